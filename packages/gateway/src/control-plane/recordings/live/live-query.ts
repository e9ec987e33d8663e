import { holds } from '../index/query/compile-query.ts'
import { fits } from '../index/query/match-command.ts'
import { parseQuery } from '../index/query/parse-query.ts'
import { queryError } from '../index/query/query-error.ts'
import type { Glob, NameField, Term } from '../index/query/query.ts'

/** What is known of a session that may be watched. */
export interface LiveSession {
  readonly id: string
  /** Root first; ids and names. */
  readonly chain: readonly { readonly id: string; readonly name: string }[]
  readonly connection: string
  readonly database: string
  /** Attribution level, 0 to 4. */
  readonly level: number
}

/** What somebody watches. */
export interface LiveQuery {
  readonly matches: (session: LiveSession) => boolean
  /** Of commands; all are shown where empty. */
  readonly commands: readonly Term[]
}

/**
 * What is watched: a session by its id, an agent with all below it by id or name, or what a search asks for; all where it is
 * empty. Throws `SP_QUERY_INVALID`.
 */
export function liveQuery(text: string, nowMs: number): LiveQuery {
  if (/^s_[0-9a-z]+$/iu.test(text)) {
    const id = text.toLowerCase()
    return { matches: (session) => session.id === id, commands: [] }
  }
  const search = text === '' || text.includes(':') ? text : `tree:"${text.replaceAll('"', '')}"`
  const { terms } = parseQuery(search, nowMs)
  if (terms.some(({ kind }) => kind === 'time')) {
    const said = 'watch shows what happens from now on: times are for "sessions"'
    throw queryError(text, 0, text.length, said)
  }
  const tests = terms.flatMap((term) => sessionTest(term) ?? [])
  return {
    matches: (session) => tests.every((holdsFor) => holdsFor(session)),
    commands: terms.filter((term) => sessionTest(term) === undefined),
  }
}

/** Undefined where a term is about commands. */
function sessionTest(term: Term): ((session: LiveSession) => boolean) | undefined {
  const is = positiveTest(term)
  return is !== undefined && term.isNegated ? (session) => !is(session) : is
}

function positiveTest(term: Term): ((session: LiveSession) => boolean) | undefined {
  if (term.kind === 'size' && term.field === 'level')
    return ({ level }) => term.values.some((test) => holds(level, test))
  const field = term.kind === 'name' ? namesOf[term.field] : undefined
  if (term.kind !== 'name' || field === undefined) return undefined
  return (session) => field(session).some((each) => term.values.some((glob) => isNamed(glob, each)))
}

const namesOf: Partial<Record<NameField, (session: LiveSession) => readonly string[]>> = {
  tree: ({ chain }) => chain.flatMap(({ id, name }) => [id, name]),
  agent: ({ chain }) => chain.slice(-1).flatMap(({ id, name }) => [id, name]),
  root: ({ chain }) => chain.slice(0, 1).flatMap(({ id, name }) => [id, name]),
  connection: ({ connection }) => [connection],
}

/** A name is met whole, the id of an agent by its beginning. */
function isNamed(glob: Glob, name: string): boolean {
  const [first = ''] = glob
  const isId = glob.length === 1 && /^a_./iu.test(first) && name.startsWith(first.toLowerCase())
  return isId || fits(glob, name)
}
