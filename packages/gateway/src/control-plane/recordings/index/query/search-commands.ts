import { Buffer } from 'node:buffer'
import { SallyportError } from '@sallyport/core'
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Tables } from '../../../ports/tables/tables.ts'
import type { CompiledQuery, NamedSession } from './compile-query.ts'
import { timestamp, timestampText } from './literals.ts'
import type { TimeRange } from './query.ts'
import { searchWindows, type SearchWindow } from './search-windows.ts'

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

/** The first statement is for what is found at once; where few sessions have many matches, the next ones take more. */
const matchesPerStatement = [500, 5000, 50_000]
/** Where many words are asked for, the newest commands are looked at before the index is asked for all that have one. */
const commandsLookedAt = 5000
/** Of the text of a command that is shown. */
const textCharsShown = 500

/** Matches of sessions that were not seen yet, newest first, from behind a place. `seen` may grow meanwhile. */
export async function* searchCommands(
  db: Kysely<Tables>,
  query: CompiledQuery,
  after: Place | undefined,
  seen: ReadonlySet<string>,
): AsyncGenerator<Place> {
  if (query.sessions !== undefined && query.isOfSessions) {
    yield* await newestOfSessions(db, query, query.sessions, after)
    return
  }
  let place = after
  let step = 0
  let isLookedAt = !query.isWide
  for (const window of await searchWindows(db, query, after)) {
    for (;;) {
      const request = { window, place, seen, count: matchesPerStatement[step] ?? 0 }
      const { places, last } = await (isLookedAt
        ? nextMatches(db, query, request)
        : nextPlaces(db, amongNewest(query, request), commandsLookedAt))
      isLookedAt = true
      for (const each of places) yield each
      if (last === undefined) break
      place = last
      step = Math.min(step + 1, matchesPerStatement.length - 1)
    }
  }
}

/** The newest command of each of these sessions, newest first; of those whose newest is behind a place. */
async function newestOfSessions(
  db: Kysely<Tables>,
  { fromMs, untilMs }: TimeRange,
  sessions: readonly NamedSession[],
  after: Place | undefined,
): Promise<Place[]> {
  const times = sessions.map((session) => ({
    id: session.id,
    from: timestampText(Math.max(fromMs, session.fromMs)),
    until: timestampText(Math.min(untilMs, session.untilMs)),
  }))
  const { rows } = await sql<Place>`
    select c.* from jsonb_to_recordset(${JSON.stringify(times)}::jsonb)
      as s (id text, "from" timestamptz, until timestamptz)
    cross join lateral (
      select at, session_id, part, seq from command
      where session_id = s.id and at >= s."from" and at < s.until
      order by at desc, part desc, seq desc limit 1) as c
    where ${after === undefined ? sql`true` : keyIs(sql`<`, after)}
    order by at desc, session_id desc, part desc, seq desc`.execute(db)
  return rows
}

/** Which matches come next. */
interface MatchRequest {
  readonly window: SearchWindow
  readonly place: Place | undefined
  readonly seen: ReadonlySet<string>
  /** At most so many. */
  readonly count: number
}

interface NextPlaces {
  /** The sessions of these matches, each with the newest of them. */
  readonly places: readonly Place[]
  /** Where to go on; absent where there are no more. */
  readonly last: Place | undefined
}

async function nextMatches(
  db: Kysely<Tables>,
  query: CompiledQuery,
  request: MatchRequest,
): Promise<NextPlaces> {
  const { count } = request
  if (!query.isWide) return await nextPlaces(db, ofWindow(query, request), count)
  return await db.transaction().execute(async (tx) => {
    // How many commands have one of many words can't be told beforehand; that the index knows, can.
    await sql`set local enable_seqscan = off`.execute(tx)
    await sql`set local enable_indexscan = off`.execute(tx)
    return await nextPlaces(tx, byWords(query, request), count)
  })
}

/** `found` gives commands, newest first, and says of each whether it is a match. */
async function nextPlaces(
  db: Kysely<Tables>,
  found: RawBuilder<unknown>,
  count: number,
): Promise<NextPlaces> {
  const { rows } = await sql<Place & { readonly is_newest: boolean; readonly found: number }>`
    with found as materialized (${found} order by at desc, session_id desc, part desc, seq desc limit ${count}),
    newest as (
      select distinct on (session_id) at, session_id, part, seq from found where is_match
      order by session_id, at desc, part desc, seq desc),
    last as (select at, session_id, part, seq from found order by at, session_id, part, seq limit 1)
    select *, true as is_newest, 0 as found from newest
    union all select *, false, (select count(*)::integer from found) from last
    order by at desc, session_id desc, part desc, seq desc`.execute(db)
  const end = rows.find((row) => !row.is_newest)
  return {
    places: rows.filter((row) => row.is_newest),
    last: end !== undefined && end.found === count ? end : undefined,
  }
}

const isNew = ({ seen }: MatchRequest): RawBuilder<boolean> =>
  seen.size === 0 ? sql`true` : sql`session_id <> all (${[...seen]}::text[])`

const isBehind = ({ place }: MatchRequest): RawBuilder<boolean> =>
  place === undefined ? sql`true` : keyIs(sql`<`, place)

const isIn = ({ window: { fromMs, untilMs } }: MatchRequest): RawBuilder<boolean> =>
  sql`at >= ${timestamp(fromMs)} and at < ${timestamp(untilMs)}`

function ofWindow({ condition }: CompiledQuery, request: MatchRequest): RawBuilder<unknown> {
  return sql`
    select at, session_id, part, seq, true as is_match from command
    where ${isIn(request)} and ${condition} and ${isBehind(request)} and ${isNew(request)}`
}

function amongNewest({ condition }: CompiledQuery, request: MatchRequest): RawBuilder<unknown> {
  return sql`
    select at, session_id, part, seq, (${condition}) and ${isNew(request)} as is_match
    from (select * from command where ${isIn(request)} and ${isBehind(request)}
      order by at desc, session_id desc, part desc, seq desc limit ${commandsLookedAt}) as command`
}

/** Names the days, and asks for the time afterwards, so that the index of times is not taken for the shorter way. */
function byWords({ lookup }: CompiledQuery, request: MatchRequest): RawBuilder<unknown> {
  const ofDays = request.window.tables.map(
    (table) => sql`select at, session_id, part, seq from ${sql.table(table)} where ${lookup}`,
  )
  return sql`
    select at, session_id, part, seq, true as is_match from (
      with indexed as materialized (${sql.join(ofDays, sql` union all `)}) select * from indexed) as command
    where ${isIn(request)} and ${isBehind(request)} and ${isNew(request)}`
}

function keyIs(operator: RawBuilder<unknown>, { at, session_id, part, seq }: Place) {
  return sql<boolean>`(at, session_id, part, seq) ${operator} (${at}::timestamptz, ${session_id}, ${part}, ${seq}::integer)`
}

/** Whether a session that can match has a match at a place or after it. */
export async function hasMatchSince(
  db: Kysely<Tables>,
  { ofCommand, untilMs }: CompiledQuery,
  session: string,
  place: Place,
): Promise<boolean> {
  const { rows } = await sql`
    select 1 from command
    where session_id = ${session} and at >= ${place.at}::timestamptz and at < ${timestamp(untilMs)}
      and ${ofCommand} and ${keyIs(sql`>=`, place)}
    limit 1`.execute(db)
  return rows.length > 0
}

/** The newest matches of each of these sessions, newest first, up to its place. */
export async function newestMatches(
  db: Kysely<Tables>,
  { ofCommand, fromMs }: CompiledQuery,
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
        and at >= coalesce(session.opened_at, '-infinity') and ${ofCommand}
      order by at desc, part desc, seq desc
      limit ${limit}) as c`.execute(db)
  const found = new Map<string, FoundCommand[]>()
  for (const row of rows) found.set(row.session_id, [...(found.get(row.session_id) ?? []), row])
  return found
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
