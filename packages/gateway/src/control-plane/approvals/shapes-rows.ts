import type { HoldAsked } from '../../boundary/approvals.ts'
import type { Store } from '../ports/store.ts'
import type { Tx } from './approval-rows.ts'

/** A shape that was approved, and is good until it ends. */
export interface ShapeRecord {
  readonly id: string
  readonly agent: HoldAsked['agent']
  readonly connection: string
  readonly database: string
  readonly shape: string
  /** The rules that asked, as they were then. */
  readonly rules: string
  readonly by: readonly string[]
  readonly sinceMs: number
  readonly untilMs: number
  uses: number
  readonly asked: HoldAsked
}

export async function insertShape(tx: Tx, record: ShapeRecord): Promise<void> {
  await tx
    .insertInto('approved_shape')
    .values({
      id: record.id,
      rules: record.rules,
      by_names: JSON.stringify(record.by),
      since: new Date(record.sinceMs),
      until_at: new Date(record.untilMs),
      uses: 0,
      ended_at: null,
      why: '',
    })
    .execute()
}

/** Counts a use. False where it has ended. */
export async function usedShape(tx: Tx, id: string): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('approved_shape')
    .set((each) => ({ uses: each('uses', '+', 1) }))
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

export async function endShape(tx: Tx, id: string, atMs: number, why: string): Promise<void> {
  await tx
    .updateTable('approved_shape')
    .set({ ended_at: new Date(atMs), why })
    .where('id', '=', id)
    .where('ended_at', 'is', null)
    .execute()
}

/** Those that have not ended, oldest first. */
export async function readShapes({ db }: Store): Promise<ShapeRecord[]> {
  const rows = await db
    .selectFrom('approved_shape')
    .innerJoin('approval', 'approval.id', 'approved_shape.id')
    .selectAll('approved_shape')
    .select('approval.asked')
    .where('approved_shape.ended_at', 'is', null)
    .orderBy('approved_shape.since')
    .execute()
  return rows.map(({ id, rules, by_names, since, until_at, uses, asked }) => ({
    id,
    agent: asked.agent,
    connection: asked.connection,
    database: asked.database,
    shape: asked.shape ?? '',
    rules,
    by: by_names,
    sinceMs: since.getTime(),
    untilMs: until_at.getTime(),
    uses,
    asked,
  }))
}
