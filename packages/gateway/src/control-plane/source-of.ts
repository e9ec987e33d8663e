import type { Context } from 'hono'

/** The address of the peer. Forwarded headers are not read: anybody can write them. */
export function sourceOf(context: Context): string {
  const bindings: unknown = context.env
  const incoming = field(bindings, 'incoming')
  const address = field(field(incoming, 'socket'), 'remoteAddress')
  return typeof address === 'string' ? address : 'unknown'
}

function field(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)[name]
    : undefined
}
