import type { Asking, Call } from '@sallyport/gateway'

declare const of: unique symbol

/** Where a call of the API goes, and what it carries. The type keeps which call it is, for its answer. */
export interface ApiAddress<Each extends Call = Call> {
  readonly method: string
  readonly path: string
  readonly body?: unknown
  readonly [of]?: Each
}

/** Puts the parts of a call where HTTP has them. Ids of agents and sessions are read without regard to case. */
export function addressOf<Each extends Call>(
  call: Each,
  ...asking: Asking<Each>
): ApiAddress<Each> {
  const [{ params, query, body } = {}] = asking as readonly [asked?: Parts]
  const [method = '', template = ''] = call.split(' ')
  const path = template.replaceAll(/\{(\w+)\}/gu, (_, name: string) =>
    encodeURIComponent(String(params?.[name])),
  )
  const text = queryText(query ?? {})
  return {
    method,
    path: text === '' ? path : `${path}?${text}`,
    ...(body === undefined ? {} : { body }),
  }
}

interface Parts {
  readonly params?: Readonly<Record<string, unknown>>
  readonly query?: Readonly<Record<string, unknown>>
  readonly body?: unknown
}

/** What is undefined is left out; a list is its name once for each. */
function queryText(query: Readonly<Record<string, unknown>>): string {
  const pairs = Object.entries(query).flatMap(([name, value]) =>
    (Array.isArray(value) ? value : [value])
      .filter((each) => each !== undefined)
      .map((each): [string, string] => [name, String(each)]),
  )
  return new URLSearchParams(pairs).toString()
}
