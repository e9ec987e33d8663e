import { SallyportError } from '@sallyport/core'
import type { Context, Hono } from 'hono'
import type * as z from 'zod'
import type { Endpoint, Endpoints, Media } from '../contract/endpoint.ts'
import { object } from '../contract/schema.ts'
import { accepted } from './refusal.ts'

type Accepted<Schema> = Schema extends z.ZodType ? z.output<Schema> : Readonly<Record<never, never>>

/** A request whose parts are what their schemas say. */
export interface ServedRequest<Of extends Endpoint> {
  readonly params: Accepted<Of['params']>
  readonly query: Accepted<Of['query']>
  readonly headers: Accepted<Of['headers']>
  readonly body: Accepted<Of['body']>
  readonly context: Context
}

/** A `Response` where the handler has the bytes already. */
type Answer<Of extends Endpoint> = Of['answer'] extends z.ZodType
  ? z.input<Of['answer']> | Response
  : Of['answer'] extends Media
    ? Response
    : void

/** One for each endpoint of a table. */
export type Handlers<Table extends Endpoints, Caller> = {
  readonly [Call in keyof Table]: (
    request: ServedRequest<Table[Call]>,
    caller: Caller,
  ) => Answer<Table[Call]> | Promise<Answer<Table[Call]>>
}

/** Says who calls, or throws why they may not: before the rest of what they sent is read. */
export type Admit<Table extends Endpoints, Caller> = (
  context: Context,
  call: keyof Table & string,
) => Caller | Promise<Caller>

/**
 * Serves all endpoints of a table. For each request: its path, who calls, the rest of what was sent, the handler. What does
 * not fit its schema is refused with SP_CONFIG_INVALID before the handler sees any of it.
 */
export function serve<Table extends Endpoints, Caller>(
  app: Hono,
  table: Table,
  admit: Admit<Table, Caller>,
  handlers: Handlers<Table, Caller>,
): void {
  for (const [call, endpoint] of Object.entries<Endpoint>(table)) {
    const [method = '', path = ''] = call.split(' ')
    const handle = handlers[call] as (request: unknown, caller: Caller) => unknown
    app.on(method, path.replaceAll(/\{(\w+)\}/gu, ':$1'), async (context) => {
      const caller = await admit(context, call)
      const params = accepted(endpoint.params ?? nothing, context.req.param())
      const query = accepted(endpoint.query ?? nothing, queryOf(context))
      const headers = accepted(endpoint.headers ?? nothing, headersOf(context, endpoint))
      const body = accepted(endpoint.body ?? nothing, await bodyOf(context))
      const answer = await handle({ params, query, headers, body, context }, caller)
      if (answer instanceof Response) return answer
      if (endpoint.answer === undefined) return context.body(null, 204)
      return context.body(jsonText(answer), (endpoint.status ?? 200) as 200, {
        'content-type': 'application/json',
      })
    })
  }
}

const nothing = object({})

/** A name that is given more than once becomes a list, which only fits where one is expected. */
function queryOf(context: Context): Readonly<Record<string, string | readonly string[]>> {
  const given = Object.entries(context.req.queries())
  return Object.fromEntries(
    given.map(([name, values]) => [name, values.length === 1 ? (values[0] ?? '') : values]),
  )
}

function headersOf(context: Context, { headers }: Endpoint): Readonly<Record<string, string>> {
  const names = Object.keys(headers?.unwrap().shape ?? {})
  const found = names.map((name) => [name, context.req.header(name)] as const)
  return Object.fromEntries(found.filter((each): each is [string, string] => each[1] !== undefined))
}

/** One content type, parsed once; nothing at all is as good as an object without fields. */
async function bodyOf(context: Context): Promise<unknown> {
  if (context.req.method === 'GET' || context.req.method === 'DELETE') return {}
  const text = await context.req.text()
  if (text === '') return {}
  const type = context.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json')
    throw new SallyportError('SP_CONFIG_INVALID', 'the body must be application/json')
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new SallyportError('SP_CONFIG_INVALID', 'the body is not JSON', { cause })
  }
}

/** Numbers among facts are bigint, which JSON has no word for. */
function jsonText(value: unknown): string {
  return JSON.stringify(value, (_name, each: unknown) =>
    typeof each === 'bigint' ? Number(each) : each,
  )
}
