import { type RawBuilder, type Selectable, sql, type Transaction } from 'kysely'
import type { Store } from '../ports/store.ts'
import type { Tables } from '../ports/tables/tables.ts'
import type { ApprovalAnswer, ApprovalRecord, ApprovalState } from './approval.ts'

type Row = Selectable<Tables['approval']>

/** A request that is answered by nobody else while this transaction lasts. */
export type Tx = Transaction<Tables>

export async function insertApproval(tx: Tx, record: ApprovalRecord): Promise<void> {
  const { asked, state, rootId, note } = record
  await tx
    .insertInto('approval')
    .values({
      id: asked.id,
      state,
      wait: asked.wait,
      session_id: asked.session,
      agent_id: asked.agent,
      root_id: rootId,
      connection: asked.connection,
      binding: asked.binding,
      asked: JSON.stringify(asked),
      asked_at: new Date(asked.askedAtMs),
      until_at: new Date(asked.untilMs),
      ended_at: record.endedAtMs === undefined ? null : new Date(record.endedAtMs),
      note,
      preview: null,
    })
    .execute()
}

/** Moves a request on. False where it was not in that state any more: somebody else was first. */
export async function moveApproval(
  tx: Tx,
  id: string,
  from: ApprovalState,
  to: ApprovalState,
  how: { readonly atMs: number; readonly note: string },
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('approval')
    .set({ state: to, ended_at: new Date(how.atMs), note: how.note })
    .where('id', '=', id)
    .where('state', '=', from)
    .executeTakeFirst()
  return numUpdatedRows === 1n
}

/** Keeps an answer; who has answered before has another say. */
export async function putAnswer(tx: Tx, id: string, said: ApprovalAnswer): Promise<void> {
  const { approver, answer, note, atMs } = said
  const values = {
    approver: JSON.stringify(approver),
    answer,
    note,
    at: new Date(atMs),
  }
  await tx
    .insertInto('approval_answer')
    .values({ approval_id: id, approver_id: approver.id, ...values })
    .onConflict((conflict) => conflict.columns(['approval_id', 'approver_id']).doUpdateSet(values))
    .execute()
}

/** An agent: what it and those below it ask for, and what rules name it for by one of these words. */
export interface Seer {
  readonly agent: string
  readonly words: readonly string[]
}

/** Requests, newest first: of these states, or with ids that begin like this. */
export async function readApprovals(
  { db }: Store,
  of: {
    readonly states?: readonly ApprovalState[]
    readonly prefix?: string
    readonly binding?: string
    readonly seer?: Seer
    readonly limit: number
  },
): Promise<ApprovalRecord[]> {
  let query = db.selectFrom('approval').selectAll()
  if (of.states !== undefined) query = query.where('state', 'in', [...of.states])
  if (of.binding !== undefined) query = query.where('binding', '=', of.binding)
  if (of.prefix !== undefined) query = query.where(sql<boolean>`starts_with(id, ${of.prefix})`)
  if (of.seer !== undefined) query = query.where(isSeenBy(of.seer))
  const rows = await query.orderBy('asked_at', 'desc').orderBy('id').limit(of.limit).execute()
  if (rows.length === 0) return []
  const said = await db
    .selectFrom('approval_answer')
    .selectAll()
    .where(
      'approval_id',
      'in',
      rows.map(({ id }) => id),
    )
    .orderBy('at')
    .execute()
  return rows.map((row) => ({
    ...recordOf(row),
    answers: said
      .filter((each) => each.approval_id === row.id)
      .map(({ approver, answer, note, at }) => ({ approver, answer, note, atMs: at.getTime() })),
  }))
}

function isSeenBy({ agent, words }: Seer): RawBuilder<boolean> {
  const names = sql.join(words)
  return sql<boolean>`(
    asked -> 'path' @> to_jsonb(${agent}::text) or exists (
      select from jsonb_array_elements(asked -> 'demands') as each
      where jsonb_exists_any(each -> 'demand' -> 'from', array[${names}]::text[])))`
}

function recordOf(row: Row): ApprovalRecord {
  return {
    asked: row.asked,
    state: row.state,
    rootId: row.root_id,
    answers: [],
    note: row.note,
    ...(row.preview === null ? {} : { preview: row.preview }),
    ...(row.ended_at === null ? {} : { endedAtMs: row.ended_at.getTime() }),
  }
}
