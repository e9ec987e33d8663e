import { sql } from 'kysely'
import type { NoticeView } from '../../contract/channels.ts'
import type { Store } from '../../ports/store.ts'
import type { Tx } from '../approval-rows.ts'
import type { NoticeKind, Receipt } from './channel.ts'

/** A notice as it is kept. */
export interface NoticeRow {
  readonly id: string
  readonly channel: string
  readonly kind: NoticeKind
  readonly tree: string
  readonly begunAtMs: number
  /** This one among them. */
  readonly tries: number
}

export type Phase = 'requested' | 'ended'

/** A notice that may not have reached anybody is tried again after this long where its sender has gone. */
const claimMs = 60_000

/** Takes the notice that is due longest, for one try. Nobody else gets it meanwhile. */
export async function claimNotice(
  store: Pick<Store, 'durable'>,
  channel: string,
  nowMs: number,
): Promise<NoticeRow | undefined> {
  const { rows } = await store.durable(
    async (tx) =>
      await sql<Omit<NoticeRow, 'begunAtMs'> & { begun_at: Date }>`
        update channel_notice set tries = tries + 1, due_at = ${new Date(nowMs + claimMs)}
        where id = (select id from channel_notice
          where channel = ${channel} and state = 'waiting' and due_at <= ${new Date(nowMs)}
          order by due_at, id limit 1 for update skip locked)
        returning id, channel, kind, tree, begun_at, tries`.execute(tx),
  )
  const [row] = rows
  if (row === undefined) return undefined
  const { begun_at: begunAt, ...rest } = row
  return { ...rest, begunAtMs: begunAt.getTime() }
}

/** The requests that a notice is about, oldest first. */
export async function approvalsOfNotice({ db }: Store, id: string): Promise<string[]> {
  const rows = await db
    .selectFrom('channel_told as t')
    .innerJoin('approval as a', 'a.id', 't.approval_id')
    .select('t.approval_id')
    .where('t.notice_id', '=', id)
    .orderBy('a.asked_at')
    .orderBy('a.id')
    .execute()
  return rows.map((row) => row.approval_id)
}

/** The messages that told of these requests when they began, each with what its channel needs to find it. */
export async function earlierOf(
  { db }: Store,
  channel: string,
  approvals: readonly string[],
): Promise<{ readonly id: string; readonly receipt: Receipt }[]> {
  if (approvals.length === 0) return []
  const rows = await db
    .selectFrom('channel_told as t')
    .innerJoin('channel_notice as n', 'n.id', 't.notice_id')
    .select(['n.id', 'n.receipt'])
    .distinctOn('n.id')
    .where('t.channel', '=', channel)
    .where('t.phase', '=', 'requested')
    .where('t.approval_id', 'in', [...approvals])
    .where('n.receipt', 'is not', null)
    .execute()
  return rows.map(({ id, receipt }) => ({ id, receipt: receipt as Receipt }))
}

export async function endNotice(
  store: Pick<Store, 'durable'>,
  id: string,
  how: {
    readonly state: 'delivered' | 'dropped'
    readonly atMs: number
    readonly problem?: string
    readonly receipt?: Receipt | undefined
  },
): Promise<void> {
  const { state, atMs, problem = '', receipt } = how
  await store.durable(
    async (tx) =>
      await tx
        .updateTable('channel_notice')
        .set({
          state,
          ended_at: new Date(atMs),
          problem,
          receipt: receipt === undefined ? null : JSON.stringify(receipt),
        })
        .where('id', '=', id)
        .execute(),
  )
}

export async function putOff(
  store: Pick<Store, 'durable'>,
  id: string,
  { dueMs, problem }: { readonly dueMs: number; readonly problem: string },
): Promise<void> {
  await store.durable(
    async (tx) =>
      await tx
        .updateTable('channel_notice')
        .set({ due_at: new Date(dueMs), problem })
        .where('id', '=', id)
        .execute(),
  )
}

/** When the next notice of a channel is due, in milliseconds since the epoch. */
export async function nextDueMs({ db }: Store, channel: string): Promise<number | undefined> {
  const row = await db
    .selectFrom('channel_notice')
    .select((of) => of.fn.min('due_at').as('due'))
    .where('channel', '=', channel)
    .where('state', '=', 'waiting')
    .executeTakeFirst()
  // The aggregate of nothing is null.
  return (row?.due as Date | null | undefined)?.getTime()
}

export async function countWaiting({ db }: Store, channel: string): Promise<number> {
  const { rows } = await sql<{ n: string }>`
    select count(*) as n from channel_notice where channel = ${channel} and state = 'waiting'`.execute(
    db,
  )
  return Number(rows[0]?.n ?? 0)
}

/** Newest first. */
export async function readLog(
  { db }: Store,
  of: { readonly channel?: string; readonly limit: number },
): Promise<NoticeView[]> {
  let query = db.selectFrom('channel_notice').selectAll()
  if (of.channel !== undefined) query = query.where('channel', '=', of.channel)
  const rows = await query.orderBy('id', 'desc').limit(of.limit).execute()
  if (rows.length === 0) return []
  const ids = rows.map(({ id }) => id)
  const told = await db
    .selectFrom('channel_told')
    .select(['notice_id', 'approval_id'])
    .where('notice_id', 'in', ids)
    .orderBy('approval_id')
    .execute()
  const approvals = Map.groupBy(told, (each) => each.notice_id)
  return rows.map((row) => ({
    id: `${row.channel}-${row.id}`,
    channel: row.channel,
    kind: row.kind,
    state: row.state,
    tree: row.tree,
    approvals: (approvals.get(row.id) ?? []).map((each) => each.approval_id),
    tries: row.tries,
    begunAt: row.begun_at.toISOString(),
    ...(row.state === 'waiting' ? { dueAt: row.due_at.toISOString() } : {}),
    ...(row.ended_at === null ? {} : { endedAt: row.ended_at.toISOString() }),
    ...(row.problem === '' ? {} : { problem: row.problem }),
  }))
}

/** Forgets what waits for channels that are gone, and what was told long ago. */
export async function tidyNotices(tx: Tx, names: readonly string[], oldest: Date): Promise<void> {
  await sql`delete from channel_notice where state = 'waiting' and not (channel = any(${[...names]}))`.execute(
    tx,
  )
  await tx
    .deleteFrom('channel_notice')
    .where('state', '<>', 'waiting')
    .where('ended_at', '<', oldest)
    .execute()
}
