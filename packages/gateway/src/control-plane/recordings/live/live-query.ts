import { suggest } from '@sallyport/core'
import { holds } from '../index/query/compile-query.ts'
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

const liveFields = ['tree', 'agent', 'root', 'connection', 'level'] as const

/** Which sessions are watched: a session by its id, an agent with all below it by id or name, or those that a search of sessions names; all where it is empty. Throws `SP_QUERY_INVALID`. */
export function liveQuery(text: string, nowMs: number): (session: LiveSession) => boolean {
  if (/^s_[0-9a-z]+$/iu.test(text)) {
    const id = text.toLowerCase()
    return (session) => session.id === id
  }
  const search = text === '' || text.includes(':') ? text : `tree:"${text.replaceAll('"', '')}"`
  const tests = parseQuery(search, nowMs).terms.map((term) => testOf(text, term))
  return (session) => tests.every((holdsFor) => holdsFor(session))
}

function testOf(text: string, term: Term): (session: LiveSession) => boolean {
  const is = positiveTest(text, term)
  return term.isNegated ? (session) => !is(session) : is
}

function positiveTest(text: string, term: Term): (session: LiveSession) => boolean {
  if (term.kind === 'size' && term.field === 'level')
    return ({ level }) => term.values.some((test) => holds(level, test))
  const field = term.kind === 'name' ? namesOf[term.field] : undefined
  if (term.kind !== 'name' || field === undefined) {
    const name = term.kind === 'name' || term.kind === 'size' ? term.field : term.kind
    const said = `watch shows whole sessions, by ${liveFields.join(', ')}: "${name}" is for "sessions"${suggest(name, liveFields)}`
    throw queryError(text, 0, text.length, said)
  }
  return (session) => field(session).some((each) => term.values.some((glob) => fits(glob, each)))
}

const namesOf: Partial<Record<NameField, (session: LiveSession) => readonly string[]>> = {
  tree: ({ chain }) => chain.flatMap(({ id, name }) => [id, name]),
  agent: ({ chain }) => chain.slice(-1).flatMap(({ id, name }) => [id, name]),
  root: ({ chain }) => chain.slice(0, 1).flatMap(({ id, name }) => [id, name]),
  connection: ({ connection }) => [connection],
}

/** A name is met whole, the id of an agent by its beginning. */
function fits(glob: Glob, name: string): boolean {
  const [first = ''] = glob
  if (glob.length === 1)
    return name === first || (/^a_./iu.test(first) && name.startsWith(first.toLowerCase()))
  let at = 0
  for (const [index, piece] of glob.entries()) {
    const found = index === glob.length - 1 ? name.length - piece.length : name.indexOf(piece, at)
    if (found < at || (index === 0 && found !== 0) || !name.startsWith(piece, found)) return false
    at = found + piece.length
  }
  return true
}
