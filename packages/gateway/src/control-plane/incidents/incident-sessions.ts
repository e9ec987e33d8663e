import { type Kysely, sql } from 'kysely'
import type { Tables } from '../ports/tables/tables.ts'
import { searchSessions } from '../recordings/index/query/search-sessions.ts'
import type { SessionIndex } from '../session-index.ts'
import { invalid } from './incident.ts'
import type { IncidentScope } from '../contract/incident-views.ts'

/** More is no incident to be read by people, nor an archive to be handed on: a narrower search or time is needed. */
export const sessionsMax = 1000
const pageSize = 100

/** The sessions that a scope covers in this time. Those of a session are all of its tree: what stands above and beside it belongs to the story. */
export async function sessionsOf(
  db: Kysely<Tables>,
  index: SessionIndex,
  scope: IncidentScope,
  time: { readonly fromMs: number | undefined; readonly untilMs: number | undefined },
): Promise<string[]> {
  await index.settled()
  const ids =
    scope.kind === 'query'
      ? await found(db, scope.text, time)
      : await below(db, await topOf(db, index, scope), time)
  if (ids.length <= sessionsMax) return ids
  throw invalid(
    `that is more than ${sessionsMax} sessions. Name an agent further below, or give --since and --until.`,
  )
}

/** The agent at whose tree a scope looks. */
export async function topOf(
  db: Kysely<Tables>,
  index: SessionIndex,
  { kind, text }: Exclude<IncidentScope, { kind: 'query' }>,
): Promise<string> {
  if (kind === 'session') {
    const id = await index.whole(text)
    const row = await db
      .selectFrom('session')
      .select('path')
      .where('id', '=', id)
      .executeTakeFirst()
    const root = row?.path?.[0]
    if (root !== undefined) return root
    throw invalid(`there is no session "${text}"`)
  }
  const rows = await db
    .selectFrom('agent')
    .select('id')
    .where(sql<boolean>`starts_with(id, ${text})`)
    .limit(2)
    .execute()
  const [only, second] = rows
  if (only !== undefined && second === undefined) return only.id
  throw invalid(
    second === undefined
      ? `there is no agent "${text}"`
      : `"${text}" is the start of several agents`,
  )
}

async function below(
  db: Kysely<Tables>,
  agent: string,
  {
    fromMs,
    untilMs,
  }: { readonly fromMs: number | undefined; readonly untilMs: number | undefined },
): Promise<string[]> {
  let query = db
    .selectFrom('session')
    .select('id')
    .where(sql<boolean>`path @> array[${agent}]::text[]`)
    .orderBy('opened_at')
    .limit(sessionsMax + 1)
  if (untilMs !== undefined) query = query.where('opened_at', '<', new Date(untilMs))
  if (fromMs !== undefined) {
    const from = new Date(fromMs)
    query = query.where((is) => is.or([is('closed_at', 'is', null), is('closed_at', '>=', from)]))
  }
  return (await query.execute()).map(({ id }) => id)
}

async function found(
  db: Kysely<Tables>,
  text: string,
  {
    fromMs,
    untilMs,
  }: { readonly fromMs: number | undefined; readonly untilMs: number | undefined },
): Promise<string[]> {
  const terms = [text]
  if (fromMs !== undefined) terms.push(`since:${new Date(fromMs).toISOString()}`)
  if (untilMs !== undefined) terms.push(`until:${new Date(untilMs).toISOString()}`)
  const request = { query: terms.join(' '), limit: pageSize }
  const ids: string[] = []
  let after: string | undefined
  do {
    const page = await searchSessions(
      db,
      after === undefined ? request : { ...request, after },
      Date.now(),
    )
    ids.push(...page.sessions.map(({ id }) => id))
    after = page.next
  } while (after !== undefined && ids.length <= sessionsMax)
  return ids.toReversed()
}
