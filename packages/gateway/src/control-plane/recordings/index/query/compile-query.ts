import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Tables } from '../../../ports/tables/tables.ts'
import { term } from '../terms.ts'
import { escapeLike, timestamp } from './literals.ts'
import { nameWords, objectWords } from './named-words.ts'
import type { Query, SizeField, SizeTest, Term, TimeRange } from './query.ts'

/** A search as a condition on `command`, and the time outside of which nothing can match. */
export interface CompiledQuery extends TimeRange {
  /** Cheap to ask of one command. */
  readonly condition: RawBuilder<boolean>
  /** The same of a command whose session is known to be one that can match. */
  readonly ofCommand: RawBuilder<boolean>
  /** The same as the index of words answers it; where they differ, the words are so many that a scan should not ask this of each command. */
  readonly lookup: RawBuilder<boolean>
  readonly isWide: boolean
  /** The sessions that can match, where some are asked for and they are few. */
  readonly sessions: readonly NamedSession[] | undefined
  /** True where every command of these sessions matches in its time. */
  readonly isOfSessions: boolean
}

/** A session, and when it was open. */
export interface NamedSession extends TimeRange {
  readonly id: string
}

/** A list of words is compared with those of a command pair by pair: from here on a table of them is faster. */
const wordsCompared = 8
/** So many words are looked up one by one among sessions; with more, reading all sessions is the shorter way. */
const wordsJoined = 100
/** So many sessions are named one by one, so that the database knows how few commands these are. */
const sessionsNamed = 500
/** Clocks of workers and their reports may differ a little, and be set. */
const clockMs = 3_600_000

/** Compiles a search. Names with wildcards are looked up, all that a caller wrote becomes a parameter. */
export async function compileQuery(db: Kysely<Tables>, query: Query): Promise<CompiledQuery> {
  const time = timeOf(query.terms)
  const all = query.terms.filter((each) => each.kind !== 'time' || each.isNegated)
  const compiled = await Promise.all(all.map(async (each) => await compileTerm(db, each)))
  const ofSessions = compiled.filter(({ of }) => of === 'session')
  const ofCommands = compiled.filter(({ of }) => of === 'command')
  const sessions = ofSessions.length === 0 ? undefined : await namedSessions(db, ofSessions, time)
  const own = sessions === undefined ? [] : [sessions.condition]
  const conditions = ofCommands.map(({ condition }) => condition)
  return {
    ...time,
    condition: allOf([...own, ...conditions]),
    ofCommand: allOf(conditions),
    lookup: allOf([...own, ...ofCommands.map(({ lookup }) => lookup)]),
    isWide: ofCommands.some(({ isWide }) => isWide),
    sessions: sessions?.named,
    isOfSessions: ofCommands.length === 0,
  }
}

function timeOf(terms: readonly Term[]): TimeRange {
  const times = terms.filter((each) => each.kind === 'time').filter((each) => !each.isNegated)
  return {
    fromMs: Math.max(-Infinity, ...times.map(({ fromMs }) => fromMs)),
    untilMs: Math.min(Infinity, ...times.map(({ untilMs }) => untilMs)),
  }
}

interface CompiledTerm {
  /** What the words or numbers stand with. */
  readonly of: 'command' | 'session'
  readonly condition: RawBuilder<boolean>
  readonly lookup: RawBuilder<boolean>
  readonly isWide: boolean
}

async function compileTerm(db: Kysely<Tables>, each: Term): Promise<CompiledTerm> {
  const { of, words, condition } = await read(db, each)
  if (words === undefined) return { of, ...same(signed(each, condition)), isWide: false }
  const overlaps = signed(each, sql<boolean>`terms && ${[...words]}::text[]`)
  if (words.length <= wordsCompared) return { of, ...same(overlaps), isWide: false }
  const one = sql<boolean>`exists (select from unnest(terms) as own (word) where word = any (${[...words]}::text[]))`
  const isOne = signed(each, one)
  // What is not there is not in the index either.
  if (each.isNegated) return { of, ...same(isOne), isWide: false }
  if (of === 'command') return { of, condition: isOne, lookup: overlaps, isWide: true }
  if (words.length > wordsJoined) return { of, ...same(isOne), isWide: false }
  // Word by word, so that the database can't take it for a shorter way to read all sessions.
  const byWord = sql<boolean>`id in (select own.id from unnest(${[...words]}::text[]) as wanted (word)
    join session as own on own.terms @> array[wanted.word])`
  return { of, ...same(byWord), isWide: false }
}

function same(condition: RawBuilder<boolean>): Pick<CompiledTerm, 'condition' | 'lookup'> {
  return { condition, lookup: condition }
}

function signed({ isNegated }: Term, condition: RawBuilder<boolean>): RawBuilder<boolean> {
  return isNegated ? sql<boolean>`not (${condition})` : condition
}

/** What a term asks for: one of these words, or something else. */
type Read =
  | { readonly of: CompiledTerm['of']; readonly words: readonly string[]; condition?: undefined }
  | { readonly of: 'command'; readonly words?: undefined; condition: RawBuilder<boolean> }

const fieldsOfSessions: ReadonlySet<string> = new Set(['tree', 'agent', 'root', 'connection'])

async function read(db: Kysely<Tables>, each: Term): Promise<Read> {
  switch (each.kind) {
    case 'name': {
      const of = fieldsOfSessions.has(each.field) ? 'session' : 'command'
      return { of, words: await nameWords(db, each.field, each.values) }
    }
    case 'object':
      return { of: 'command', words: await objectWords(db, each.values) }
    case 'text':
      return anyOf(each.values.map((text) => sql<boolean>`text ilike ${`%${escapeLike(text)}%`}`))
    case 'word':
      return anyOf(each.values.map((text) => sql<boolean>`text ~* ${`\\m${text}\\M`}`))
    case 'size':
      return each.field === 'level'
        ? { of: 'session', words: levels(each.values) }
        : anyOf(sizes(each.field, each.values))
    case 'time':
      return anyOf([
        sql<boolean>`(at >= ${timestamp(each.fromMs)} and at < ${timestamp(each.untilMs)})`,
      ])
  }
}

function anyOf(any: readonly RawBuilder<boolean>[]): Read {
  return { of: 'command', condition: sql<boolean>`(${sql.join([...any], sql` or `)})` }
}

function allOf(conditions: readonly RawBuilder<boolean>[]): RawBuilder<boolean> {
  return conditions.length === 0
    ? sql<boolean>`true`
    : sql<boolean>`${sql.join([...conditions], sql` and `)}`
}

/** Sessions are far fewer than commands, so they are found first. */
async function namedSessions(
  db: Kysely<Tables>,
  terms: readonly CompiledTerm[],
  { fromMs, untilMs }: TimeRange,
): Promise<{
  readonly condition: RawBuilder<boolean>
  readonly named: readonly NamedSession[] | undefined
}> {
  const wanted = sql`from session
    where opened_at < ${timestamp(untilMs + clockMs)}
      and (closed_at is null or closed_at >= ${timestamp(fromMs - clockMs)})
      and ${allOf(terms.map(({ condition }) => condition))}`
  const { rows } = await sql<{ id: string; opened_at: Date; closed_at: Date | null }>`
    select id, opened_at, closed_at ${wanted} limit ${sessionsNamed + 1}`.execute(db)
  // Of many, a table is made once: joined, the conditions would be asked of each command.
  if (rows.length > sessionsNamed) {
    const condition = sql<boolean>`(session_id in (select id ${wanted})) is true`
    return { condition, named: undefined }
  }
  return {
    condition: sql<boolean>`session_id = any (${rows.map(({ id }) => id)}::text[])`,
    named: rows.map(({ id, opened_at: from, closed_at: until }) => ({
      id,
      fromMs: from.getTime() - clockMs,
      untilMs: (until?.getTime() ?? Infinity) + clockMs,
    })),
  }
}

function levels(tests: readonly SizeTest[]): string[] {
  return [0, 1, 2, 3, 4]
    .filter((level) => tests.some((test) => holds(level, test)))
    .map((level) => term('level', String(level)))
}

export function holds(value: number, { is, than }: SizeTest): boolean {
  switch (is) {
    case '>':
      return value > than
    case '>=':
      return value >= than
    case '<':
      return value < than
    case '<=':
      return value <= than
    case '=':
      return value === than
  }
}

const operators = {
  '>': sql`>`,
  '>=': sql`>=`,
  '<': sql`<`,
  '<=': sql`<=`,
  '=': sql`=`,
}

function sizes(
  field: Exclude<SizeField, 'level'>,
  tests: readonly SizeTest[],
): RawBuilder<boolean>[] {
  const column = sql.ref(field)
  return tests.map(({ is, than }) => sql<boolean>`${column} ${operators[is]} ${than}::bigint`)
}
