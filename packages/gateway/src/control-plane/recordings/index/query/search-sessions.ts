import { type Kysely, sql } from 'kysely'
import type { Tables } from '../../../ports/tables/tables.ts'
import { compileQuery } from './compile-query.ts'
import { timestamp } from './literals.ts'
import { parseQuery } from './parse-query.ts'
import {
  hasMatchSince,
  newestMatches,
  parsePlace,
  printPlace,
  searchCommands,
  type FoundCommand,
  type Place,
} from './search-commands.ts'
import type { FoundSession, Match, SearchPage } from '../../../contract/sessions.ts'

/** What a search asks for. */
export interface SearchRequest {
  readonly query: string
  readonly limit: number
  readonly after?: string
}

const matchesPerSession = 5

/** Sessions with commands that match, each once over all pages: its place is that of its newest match. */
export async function searchSessions(
  db: Kysely<Tables>,
  request: SearchRequest,
  nowMs: number,
): Promise<SearchPage> {
  const after = request.after === undefined ? undefined : parsePlace(request.after)
  const query = await compileQuery(db, parseQuery(request.query, nowMs))
  const seen = new Set<string>()
  const places: Place[] = []
  let isLast = true
  for await (const place of searchCommands(db, query, after, seen)) {
    seen.add(place.session_id)
    // Of a session that stood on an earlier page, only older matches are left.
    if (after !== undefined && (await hasMatchSince(db, query, place.session_id, after))) continue
    isLast = places.length < request.limit
    if (!isLast) break
    places.push(place)
  }
  const found = await newestMatches(db, query, places, matchesPerSession + 1)
  const sessions = await describe(db, places, found)
  const end = places.at(-1)
  return { sessions, ...(isLast || end === undefined ? {} : { next: printPlace(end) }) }
}

async function describe(
  db: Kysely<Tables>,
  places: readonly Place[],
  found: ReadonlyMap<string, readonly FoundCommand[]>,
): Promise<FoundSession[]> {
  const ids = places.map((place) => place.session_id)
  if (ids.length === 0) return []
  const rows = await db.selectFrom('session').selectAll().where('id', 'in', ids).execute()
  const sessions = new Map(rows.map((row) => [row.id, row]))
  const firstMs = Math.min(...rows.map((row) => row.opened_at.getTime()))
  const counts = await countsOf(db, ids, firstMs)
  return ids.map((id) => {
    const row = sessions.get(id)
    const matches = found.get(id) ?? []
    const openedAt = row?.opened_at ?? matches.at(-1)?.at ?? new Date(0)
    return {
      id,
      chain: row?.chain ?? [],
      connection: row?.connection ?? '',
      database: row?.database ?? '',
      level: row?.level ?? null,
      openedAt: openedAt.toISOString(),
      ...(row?.closed_at ? { closedAt: row.closed_at.toISOString() } : {}),
      ...(row?.reason ? { reason: row.reason } : {}),
      ...(counts.get(id) ?? { commands: { allowed: 0, held: 0, blocked: 0 }, masked: [] }),
      matches: matches.slice(0, matchesPerSession).map(matchOf),
      hasMore: matches.length > matchesPerSession,
    }
  })
}

async function countsOf(
  db: Kysely<Tables>,
  ids: readonly string[],
  firstMs: number,
): Promise<ReadonlyMap<string, Pick<FoundSession, 'commands' | 'masked'>>> {
  const from = timestamp(Number.isFinite(firstMs) ? firstMs : -Infinity)
  const { rows } = await sql<{
    id: string
    allowed: number
    held: number
    blocked: number
  }>`
    select session_id as id, count(*) filter (where verdict = 'allowed')::integer as allowed,
      count(*) filter (where verdict = 'held')::integer as held,
      count(*) filter (where verdict = 'blocked')::integer as blocked
    from command where session_id = any (${[...ids]}::text[]) and at >= ${from}
    group by session_id`.execute(db)
  const { rows: masks } = await sql<{ id: string; rule: string; values: string }>`
    select session_id as id, rule, sum(count) as values
    from command, unnest(masks, mask_values) as m (rule, count)
    where session_id = any (${[...ids]}::text[]) and at >= ${from}
    group by session_id, rule order by rule`.execute(db)
  return new Map(
    rows.map(({ id, ...commands }) => {
      const own = masks.filter((each) => each.id === id)
      return [
        id,
        { commands, masked: own.map(({ rule, values }) => ({ rule, values: Number(values) })) },
      ]
    }),
  )
}

function matchOf(row: FoundCommand): Match {
  return {
    at: row.at.toISOString(),
    seq: row.seq,
    id: row.id,
    verdict: row.verdict,
    rules: row.rules,
    class: row.class,
    verb: row.verb,
    text: row.text,
    textBytes: row.text_bytes,
    ...(row.status === null ? {} : { status: row.status }),
    ...(row.code === null ? {} : { code: row.code }),
    rows: Number(row.rows),
    bytes: Number(row.bytes),
    columns: row.columns,
    masked: row.masks.map((rule, at) => ({ rule, values: Number(row.mask_values[at]) })),
  }
}
