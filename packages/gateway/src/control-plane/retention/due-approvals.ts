import { printTtl } from '@sallyport/core'
import { type Kysely, sql, type RawBuilder } from 'kysely'
import type { FactBy, Ledger } from '../ledger/ledger.ts'
import type { Store } from '../ports/store.ts'
import type { Tables } from '../ports/tables/tables.ts'
import { allHolds } from './due-sessions.ts'

/** Fewer rows are locked at once, and the ledger tells of each batch. */
const batchMax = 1000
/** A yes that may be used still is no end, however short requests are kept. */
const usableMs = 3_600_000

/** How many requests for approval have ended so long ago that they are due. */
export async function countDueApprovals(
  db: Kysely<Tables>,
  keepMs: number | undefined,
  nowMs: number,
): Promise<number> {
  if (keepMs === undefined) return 0
  const { rows } = await sql<{ count: number }>`
    select count(*)::int as count from approval where ${isDue(keepMs, nowMs)}`.execute(db)
  return rows[0]?.count ?? 0
}

/** Erases them, with what was answered, oldest first. The ledger says so before they are gone. Gives how many. */
export async function eraseDueApprovals(
  { store, ledger }: { readonly store: Store; readonly ledger: Ledger },
  keepMs: number | undefined,
  nowMs: number,
  actor: FactBy,
): Promise<number> {
  if (keepMs === undefined) return 0
  let all = 0
  for (;;) {
    const { count, stored } = await store.durable(async (tx) => {
      const { rows } = await sql<{ endedAt: Date }>`
        delete from approval where id in (
          select id from approval where ${isDue(keepMs, nowMs)} order by ended_at limit ${batchMax})
        returning ended_at as "endedAt"`.execute(tx)
      if (rows.length === 0) return { count: 0, stored: undefined }
      const times = rows.map(({ endedAt }) => endedAt.getTime())
      const detail = {
        why: `requests are kept ${printTtl(keepMs)}`,
        requests: rows.length,
        from: new Date(Math.min(...times)).toISOString(),
        until: new Date(Math.max(...times)).toISOString(),
      }
      const fact = { actor, subject: 'approvals', detail }
      return {
        count: rows.length,
        stored: [ledger.write({ what: 'retention.approvals-erased', ...fact })],
      }
    })
    await Promise.all(stored ?? [])
    all += count
    if (count < batchMax) return all
  }
}

/** Ended so long ago, of no session or tree that is held, and no shape goes on by it. */
function isDue(keepMs: number, nowMs: number): RawBuilder<boolean> {
  const before = new Date(nowMs - keepMs)
  const used = new Date(nowMs - Math.max(keepMs, usableMs))
  return sql<boolean>`
    state <> 'pending' and ended_at < ${before} and (state <> 'approved' or ended_at < ${used})
    and not exists (
      select from approved_shape as s where s.id = approval.id and s.ended_at is null)
    and not exists (
      select from (${allHolds()}) as h
      where h.subject = approval.session_id or jsonb_exists(approval.asked -> 'path', h.subject))`
}
