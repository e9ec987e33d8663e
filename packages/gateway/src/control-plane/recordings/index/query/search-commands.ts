import { Buffer } from 'node:buffer'
import { SallyportError } from '@sallyport/core'
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Tables } from '../../../ports/store.ts'
import { timestamp, type CompiledQuery } from './compile-query.ts'
import type { TimeRange } from './query.ts'

/** A command that matches. */
export interface FoundCommand {
  readonly at: Date
  readonly session_id: string
  readonly part: string
  readonly seq: number
  readonly id: string
  readonly verdict: 'allowed' | 'held' | 'blocked'
  readonly rules: readonly string[]
  readonly class: string
  readonly verb: string
  readonly text: string
  readonly text_bytes: number
  readonly status: string | null
  readonly code: string | null
  readonly rows: string
  readonly bytes: string
  readonly columns: readonly string[]
  readonly masks: readonly string[]
  readonly mask_values: readonly string[]
}

/** Where a page ended: the key of its last command. */
export interface Place {
  readonly at: Date
  readonly session_id: string
  readonly part: string
  readonly seq: number
}

/** What one statement looks through at most, unless one day has more: the embedded database does nothing else meanwhile. */
const commandsPerStatement = 250_000
const daysPerStatement = 64
const dayMs = 86_400_000
/** The first statement is for what is found at once; where few sessions have many matches, the next ones take more. */
const matchesPerStatement = [500, 5000, 50_000]
/** Of the text of a command that is shown. */
const textCharsShown = 500

/** Matches of sessions that were not seen yet, newest first, from behind a place. `seen` may grow meanwhile. */
export async function* searchCommands(
  db: Kysely<Tables>,
  query: CompiledQuery,
  after: Place | undefined,
  seen: ReadonlySet<string>,
): AsyncGenerator<Place> {
  let place = after
  let step = 0
  for (const window of await windows(db, query, after)) {
    for (;;) {
      const matches = matchesPerStatement[step] ?? 0
      const { places, last } = await placesIn(db, query, { window, place, seen, matches })
      for (const each of places) yield each
      if (last === undefined) break
      place = last
      step = Math.min(step + 1, matchesPerStatement.length - 1)
    }
  }
}

/** The sessions of the next matches, each with the newest of them; `last` is where to go on, absent where there are no more. */
async function placesIn(
  db: Kysely<Tables>,
  { condition }: CompiledQuery,
  of: {
    readonly window: TimeRange
    readonly place: Place | undefined
    readonly seen: ReadonlySet<string>
    readonly matches: number
  },
): Promise<{ readonly places: readonly Place[]; readonly last: Place | undefined }> {
  const { window, place, seen, matches } = of
  const { rows } = await sql<Place & { readonly is_newest: boolean; readonly found: number }>`
    with match as materialized (
      select at, session_id, part, seq from command
      where at >= ${timestamp(window.fromMs)} and at < ${timestamp(window.untilMs)} and ${condition}
        ${place === undefined ? sql`` : sql`and ${keyIs(sql`<`, place)}`}
        ${seen.size === 0 ? sql`` : sql`and session_id <> all (${[...seen]}::text[])`}
      order by at desc, session_id desc, part desc, seq desc
      limit ${matches}),
    newest as (select distinct on (session_id) * from match order by session_id, at desc, part desc, seq desc),
    last as (select * from match order by at, session_id, part, seq limit 1)
    select *, true as is_newest, 0 as found from newest
    union all select *, false, (select count(*)::integer from match) from last
    order by at desc, session_id desc, part desc, seq desc`.execute(db)
  const end = rows.find((row) => !row.is_newest)
  return {
    places: rows.filter((row) => row.is_newest),
    last: end !== undefined && end.found === matches ? end : undefined,
  }
}

function keyIs(operator: RawBuilder<unknown>, { at, session_id, part, seq }: Place) {
  return sql<boolean>`(at, session_id, part, seq) ${operator} (${at}::timestamptz, ${session_id}, ${part}, ${seq}::integer)`
}

/** Whether a session has a match at a place or after it. */
export async function hasMatchSince(
  db: Kysely<Tables>,
  { condition, untilMs }: CompiledQuery,
  session: string,
  place: Place,
): Promise<boolean> {
  const { rows } = await sql`
    select 1 from command
    where session_id = ${session} and at >= ${place.at}::timestamptz and at < ${timestamp(untilMs)}
      and ${condition} and ${keyIs(sql`>=`, place)}
    limit 1`.execute(db)
  return rows.length > 0
}

/** The newest matches of each of these sessions, newest first, up to its place. */
export async function newestMatches(
  db: Kysely<Tables>,
  { condition, fromMs }: CompiledQuery,
  places: readonly Place[],
  limit: number,
): Promise<ReadonlyMap<string, readonly FoundCommand[]>> {
  const sessions = places.map(({ session_id, at }) => ({ session: session_id, until: at }))
  const { rows } = await sql<FoundCommand>`
    select c.* from jsonb_to_recordset(${JSON.stringify(sessions)}::jsonb) as s (session text, until timestamptz)
    left join session on session.id = s.session
    cross join lateral (
      select at, session_id, part, seq, id, verdict, rules, class, verb,
        left(text, ${textCharsShown}::integer) as text, text_bytes, status, code, rows, bytes, columns,
        masks, mask_values
      from command
      where session_id = s.session and at <= s.until and at >= ${timestamp(fromMs)}
        and at >= coalesce(session.opened_at, '-infinity') and ${condition}
      order by at desc, part desc, seq desc
      limit ${limit}) as c`.execute(db)
  const found = new Map<string, FoundCommand[]>()
  for (const row of rows) found.set(row.session_id, [...(found.get(row.session_id) ?? []), row])
  return found
}

/** Whole days that may hold matches, newest first, some at a time. */
async function windows(
  db: Kysely<Tables>,
  { fromMs, untilMs }: TimeRange,
  after: Place | undefined,
): Promise<TimeRange[]> {
  const { rows } = await sql<{ day: string; commands: string }>`
    select day::text as day, commands from command_day order by day desc`.execute(db)
  const found: { fromMs: number; untilMs: number; commands: number; days: number }[] = []
  for (const { day, commands } of rows) {
    const startMs = Date.parse(day)
    const isOutside =
      startMs >= untilMs ||
      startMs + dayMs <= fromMs ||
      (after !== undefined && startMs > after.at.getTime())
    if (isOutside) continue
    const last = found.at(-1)
    const sum = (last?.commands ?? 0) + Number(commands)
    if (last !== undefined && sum <= commandsPerStatement && last.days < daysPerStatement) {
      Object.assign(last, { fromMs: startMs, commands: sum, days: last.days + 1 })
    } else {
      const range = { fromMs: startMs, untilMs: startMs + dayMs }
      found.push({ ...range, commands: Number(commands), days: 1 })
    }
  }
  return found.map((each) => ({
    fromMs: Math.max(each.fromMs, fromMs),
    untilMs: Math.min(each.untilMs, untilMs),
  }))
}

/** A place as a text for callers, who give it back. */
export function printPlace({ at, session_id, part, seq }: Place): string {
  return Buffer.from(JSON.stringify([at.getTime(), session_id, part, seq])).toString('base64url')
}

/** Reads what `printPlace` wrote. */
export function parsePlace(text: string): Place {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(text, 'base64url').toString('utf8'))
    const [at, session_id, part, seq]: unknown[] = Array.isArray(parsed) ? parsed : []
    const isPlace =
      typeof at === 'number' &&
      Math.abs(at) < 8e14 &&
      typeof session_id === 'string' &&
      typeof part === 'string' &&
      Number.isInteger(seq) &&
      Math.abs(Number(seq)) < 2 ** 31 &&
      !`${session_id}${part}`.includes('\0')
    if (isPlace) return { at: new Date(at), session_id, part, seq: Number(seq) }
  } catch {
    // What is no JSON is no place either.
  }
  const detail = 'the place to go on from is not one that an answer gave'
  throw new SallyportError('SP_QUERY_INVALID', detail, { detail })
}
