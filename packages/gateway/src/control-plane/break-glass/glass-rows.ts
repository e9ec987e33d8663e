import type { Selectable } from 'kysely'
import type { Tx } from '../approvals/approval-rows.ts'
import type { Store } from '../ports/store.ts'
import type { BreakGlassTable } from '../ports/tables/approval-tables.ts'
import type { GlassRecord } from './break-glass.ts'

export async function insertGlass(tx: Tx, record: GlassRecord): Promise<void> {
  await tx
    .insertInto('break_glass')
    .values({
      id: record.id,
      grant_name: record.grant,
      by_whom: JSON.stringify(record.by),
      agent_id: record.agent,
      connections: JSON.stringify(record.connections),
      reason: record.reason,
      incident_id: record.incident,
      opened_at: new Date(record.openedAtMs),
      until_at: new Date(record.untilMs),
      uses: 0,
      skipped: '[]',
      ended_at: null,
      why: '',
    })
    .execute()
}

/** Counts a use. False where it has ended. */
export async function usedGlass(tx: Tx, id: string, skipped: readonly string[]): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('break_glass')
    .set((each) => ({ uses: each('uses', '+', 1), skipped: JSON.stringify(skipped) }))
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

export async function endGlass(tx: Tx, id: string, atMs: number, why: string): Promise<void> {
  await tx
    .updateTable('break_glass')
    .set({ ended_at: new Date(atMs), why })
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .execute()
}

/** Newest first; `open`: those alone that have not ended. */
export async function readGlasses(
  { db }: Store,
  of: { readonly open?: true; readonly limit: number },
): Promise<GlassRecord[]> {
  let query = db.selectFrom('break_glass').selectAll()
  if (of.open === true) query = query.where('ended_at', 'is', null)
  const rows = await query.orderBy('opened_at', 'desc').limit(of.limit).execute()
  return rows.map(recordOf)
}

function recordOf(row: Selectable<BreakGlassTable>): GlassRecord {
  return {
    id: row.id,
    grant: row.grant_name,
    by: row.by_whom,
    agent: row.agent_id,
    connections: row.connections,
    reason: row.reason,
    incident: row.incident_id,
    openedAtMs: row.opened_at.getTime(),
    untilMs: row.until_at.getTime(),
    uses: row.uses,
    skipped: row.skipped,
    why: row.why,
    ...(row.ended_at === null ? {} : { endedAtMs: row.ended_at.getTime() }),
  }
}
