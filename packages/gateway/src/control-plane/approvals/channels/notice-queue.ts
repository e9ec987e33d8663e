import { sql } from 'kysely'
import type { Store } from '../../ports/store.ts'
import type { ApprovalState, ApprovalView } from '../approval.ts'
import type { Tx } from '../approval-rows.ts'
import type { NoticeKind } from './channel.ts'
import type { Phase } from './notice-rows.ts'

/** What the queue has to know of a channel. */
export interface QueuedChannel {
  readonly name: string
  readonly events: readonly NoticeKind[]
  readonly isForPeople: boolean
  readonly edits: boolean
  readonly approvalsMax: number
}

export interface NoticeQueueOptions {
  readonly store: Store
  readonly now: () => number
  /** Told of a request that is not told to anybody, since too many wait already. */
  readonly onFull: (channel: string, approval: string) => void
}

/** What comes together is one message. */
const settleMs = 1000
/** What comes within this time of a message of the same kind, channel and tree is one more. */
const windowMs = 60_000
/** A channel that is away for a day would have a tree that asks without end fill the database. */
const waitingMax = 1000
/** What ended longer ago is no news. */
const newsMs = 24 * 3_600_000
const pageMax = 500

interface Step {
  readonly phase: Phase
  readonly kind: NoticeKind
}

const kinds: Readonly<Record<ApprovalState, NoticeKind>> = {
  pending: 'requested',
  approved: 'decided',
  used: 'decided',
  denied: 'decided',
  expired: 'expired',
  withdrawn: 'withdrawn',
}

/** What is to be told, in the database: each request once when it begins and once when it has ended, by channel. */
export class NoticeQueue {
  readonly #options: NoticeQueueOptions
  /** Changes follow each other, so that two requests of one moment are one message. */
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: NoticeQueueOptions) {
    this.#options = options
  }

  /** Puts on its way what is to be told of a request as it is now. Gives whether there is something new. */
  async note(channel: QueuedChannel, view: ApprovalView): Promise<boolean> {
    const mine = this.#last.then(async () => await this.#note(channel, view))
    this.#last = mine.catch(() => undefined)
    return await mine
  }

  /** Resolves when nothing is being written any more. */
  async settled(): Promise<void> {
    await this.#last
  }

  /** Ids of requests that a channel may not have been told of: after a restart, or a database that was away. */
  async *missing({ name, events, isForPeople }: QueuedChannel): AsyncIterable<string> {
    const states = (Object.keys(kinds) as ApprovalState[]).filter((state) =>
      events.includes(kinds[state]),
    )
    const since = new Date(this.#options.now() - newsMs)
    let after = ''
    for (;;) {
      const { rows } = await sql<{ id: string }>`
        select a.id from approval a
        where a.id > ${after} and a.state = any(${states}) and (
          (a.state = 'pending' and not exists (
            select from channel_told t
            where t.channel = ${name} and t.approval_id = a.id and t.phase = 'requested'))
          or (a.state <> 'pending' and a.ended_at > ${since} and exists (
            select from channel_told t join channel_notice n on n.id = t.notice_id
            where t.channel = ${name} and t.approval_id = a.id and t.phase = 'requested'
              and (n.state = 'delivered' or not ${isForPeople}::boolean))
          and not exists (
            select from channel_told t
            where t.channel = ${name} and t.approval_id = a.id and t.phase = 'ended')))
        order by a.id limit ${pageMax}::integer`.execute(this.#options.store.db)
      for (const { id } of rows) yield id
      const last = rows.at(-1)
      if (last === undefined || rows.length < pageMax) return
      after = last.id
    }
  }

  async #note(channel: QueuedChannel, view: ApprovalView): Promise<boolean> {
    const kind = kinds[view.state]
    const ended: Step[] = kind === 'requested' ? [] : [{ phase: 'ended', kind }]
    // People need not read that something waits when it has ended; a system is told the whole story.
    const isBegun = kind === 'requested' || !channel.isForPeople
    const begun: Step[] = isBegun ? [{ phase: 'requested', kind: 'requested' }] : []
    const wanted = [...begun, ...ended].filter((each) => channel.events.includes(each.kind))
    if (wanted.length === 0) return false
    let isFull = false
    const isNew = await this.#options.store.durable(async (tx) => {
      let changed = false
      for (const { phase, kind: told } of wanted) {
        if (!(await this.#isDue(tx, channel, view.id, phase))) continue
        const place = await this.#place(tx, channel, view, told)
        isFull ||= place.isFull
        await tx
          .insertInto('channel_told')
          .values({ channel: channel.name, approval_id: view.id, phase, notice_id: place.id })
          .execute()
        changed = true
      }
      return changed
    })
    if (isFull) this.#options.onFull(channel.name, view.id)
    return isNew
  }

  async #isDue(
    tx: Tx,
    { name, events, isForPeople }: QueuedChannel,
    approval: string,
    phase: Phase,
  ): Promise<boolean> {
    const told = await tx
      .selectFrom('channel_told as t')
      .innerJoin('channel_notice as n', 'n.id', 't.notice_id')
      .select(['t.phase', 'n.state'])
      .where('t.channel', '=', name)
      .where('t.approval_id', '=', approval)
      .execute()
    if (told.some((each) => each.phase === phase)) return false
    if (phase === 'requested' || !isForPeople || !events.includes('requested')) return true
    return told.some((each) => each.phase === 'requested' && each.state === 'delivered')
  }

  /** The notice that tells of it: one that has not left yet, or a new one. */
  async #place(
    tx: Tx,
    { name, approvalsMax, edits }: QueuedChannel,
    view: ApprovalView,
    kind: NoticeKind,
  ): Promise<{ readonly id: string; readonly isFull: boolean }> {
    const nowMs = this.#options.now()
    const tree = view.tree
    const due = new Date(await this.#dueMs(tx, { name, tree, kind, edits }, view, nowMs))
    const { rows } = await sql<{ id: string }>`
      update channel_notice set due_at = least(due_at, ${due})
      where id = (select n.id from channel_notice n
        where n.channel = ${name} and n.tree = ${tree} and n.kind = ${kind}
          and n.state = 'waiting' and n.tries = 0
          and (select count(*) from channel_told t where t.notice_id = n.id) < ${approvalsMax}::integer
        order by n.id desc limit 1 for update)
      returning id`.execute(tx)
    const [open] = rows
    if (open !== undefined) return { id: open.id, isFull: false }
    const { rows: counted } = await sql<{ n: string }>`
      select count(*) as n from channel_notice where channel = ${name} and state = 'waiting'`.execute(
      tx,
    )
    const isFull = Number(counted[0]?.n ?? 0) >= waitingMax
    const { id } = await tx
      .insertInto('channel_notice')
      .values({
        channel: name,
        kind,
        tree,
        state: isFull ? 'dropped' : 'waiting',
        begun_at: new Date(nowMs),
        due_at: due,
        tries: 0,
        ended_at: isFull ? new Date(nowMs) : null,
        problem: isFull ? 'too many messages wait for this channel' : '',
        receipt: null,
      })
      .returning('id')
      .executeTakeFirstOrThrow()
    return { id, isFull }
  }

  /** The first of a while goes at once; those behind it wait for each other, though not until it is too late to answer. */
  async #dueMs(
    tx: Tx,
    of: {
      readonly name: string
      readonly tree: string
      readonly kind: NoticeKind
      readonly edits: boolean
    },
    view: ApprovalView,
    nowMs: number,
  ): Promise<number> {
    const soonMs = nowMs + settleMs
    // Nobody is disturbed by it, and who reads the old text would press in vain.
    if (of.edits && of.kind !== 'requested') return soonMs
    const { rows } = await sql<{ last: Date | null }>`
      select max(coalesce(ended_at, begun_at)) as last from channel_notice
      where channel = ${of.name} and tree = ${of.tree} and kind = ${of.kind}
        and begun_at > ${new Date(nowMs - newsMs)}
        and coalesce(ended_at, begun_at) > ${new Date(nowMs - windowMs)}`.execute(tx)
    const lastMs = rows[0]?.last?.getTime()
    if (lastMs === undefined) return soonMs
    const laterMs = Math.max(soonMs, lastMs + windowMs)
    if (of.kind !== 'requested') return laterMs
    const halfMs = nowMs + (Date.parse(view.until) - nowMs) / 2
    return Math.max(soonMs, Math.min(laterMs, halfMs))
  }
}
