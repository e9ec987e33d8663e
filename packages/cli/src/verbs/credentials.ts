import { SallyportError } from '@sallyport/core'
import type { ConnectionView, IssuedCredential } from '@sallyport/gateway'
import type { VerbContext } from '../context.ts'
import { parseDuration } from '../durations.ts'
import { EXIT } from '../exit-codes.ts'
import { printOne } from '../output.ts'
import { callerUrl } from '../target-url.ts'

export interface CredentialFlags {
  readonly connection?: string
  readonly allow: readonly string[]
  readonly ttl: string
}

interface Issued {
  readonly issued: IssuedCredential
  readonly url: string
}

/** Makes a credential and shows it, once. */
export async function credential(context: VerbContext, flags: CredentialFlags): Promise<number> {
  const { issued, url } = await issue(context, flags)
  const until = new Date(issued.expiresAtMs).toISOString()
  const text = `user      ${issued.user}\npassword  ${issued.secret}\nurl       ${url}\nuntil     ${until}  (shown once; the gateway keeps no copy)\n`
  await printOne(context.output, { ...issued, url, expiresAt: until }, text, issued.id)
  return EXIT.done
}

/** Prints an address with a fresh credential, and nothing else unless JSON was asked for: it stands inside `psql "$(…)"`. */
export async function url(
  context: VerbContext,
  name: string,
  flags: Omit<CredentialFlags, 'connection'>,
): Promise<number> {
  const form = context.output.form ?? 'table'
  const output = { ...context.output, form }
  const inside = await (await import('./spawn.ts')).insideUrl(name)
  if (inside !== undefined) {
    if (flags.allow.length > 0)
      throw new SallyportError(
        'SP_CONFIG_INVALID',
        'inside an agent, less is given with "sallyport run --allow"',
      )
    await printOne(output, { url: inside }, `${inside}\n`, name)
    return EXIT.done
  }
  const made = await issue(context, { ...flags, connection: name })
  await printOne(output, { url: made.url }, `${made.url}\n`, made.issued.id)
  return EXIT.done
}

async function issue(context: VerbContext, flags: CredentialFlags): Promise<Issued> {
  const api = await context.api()
  const connections = await api.call('GET /v1/connections')
  const connection = choose(connections, flags.connection)
  const { host, ports } = await api.call('GET /v1/status')
  const issued = await api.call('POST /v1/credentials', {
    body: {
      connection: connection.name,
      allow: flags.allow,
      ttlMs: parseDuration(flags.ttl),
    },
  })
  const { user, secret } = issued
  const { database } = connection
  return { issued, url: callerUrl({ user, secret, host, port: ports.postgres, database }) }
}

/** Where there is only one connection, it need not be named. */
function choose(connections: readonly ConnectionView[], name: string | undefined): ConnectionView {
  const names = connections.map((each) => each.name).join(', ') || 'none yet'
  const only = connections.length === 1 ? connections[0] : undefined
  const chosen = name === undefined ? only : connections.find((each) => each.name === name)
  if (chosen !== undefined) return chosen
  const code = name === undefined ? 'SP_CONFIG_INVALID' : 'SP_NOT_FOUND'
  const what =
    name === undefined ? 'say which one: --connection' : `there is no connection "${name}"`
  throw new SallyportError(code, `${what}. There are: ${names}`)
}
