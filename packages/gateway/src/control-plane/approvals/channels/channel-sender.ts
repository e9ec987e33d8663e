import type { ChannelStatus } from '../../contract/channels.ts'
import { DeliveryError } from '../../exports/delivery/destination.ts'
import type { Store } from '../../ports/store.ts'
import type { ApprovalView } from '../approval.ts'
import { MessageRefused, type Channel, type EarlierMessage, type Notice } from './channel.ts'
import {
  approvalsOfNotice,
  claimNotice,
  countWaiting,
  earlierOf,
  endNotice,
  nextDueMs,
  putOff,
  type NoticeRow,
} from './notice-rows.ts'
import { toldOf } from './told-approval.ts'

export interface ChannelSenderOptions {
  readonly name: string
  readonly type: string
  readonly channel: Channel
  readonly store: Store
  readonly view: (approval: string) => Promise<ApprovalView>
  readonly urlOf: (approval: string) => string | undefined
  readonly now: () => number
  /** It begins to fail, or gives a message up. */
  readonly onFailure: (problem: string, dropped: readonly string[]) => void
  readonly onFault: (error: unknown) => void
  /** The first wait after a failure, in milliseconds. */
  readonly retryMsFirst?: number
}

/** Something may be due that nobody told of: the database may have been away. */
const lookEveryMs = 5000
const retryMsFirst = 1000
const retryMsMax = 5 * 60_000
/** A message that is a day old helps nobody. */
const giveUpMs = 24 * 3_600_000
/** As the column of the log shows it. */
const problemCharsMax = 500

/** Brings notices to one channel, each until it is there or a day has passed: at least once, also over restarts. */
export class ChannelSender {
  readonly #options: ChannelSenderOptions
  readonly #stopped = new AbortController()
  #wake: () => void = () => undefined
  #hasMore = false
  #running: Promise<void> | undefined
  #delivered = 0
  #failures = 0
  #dropped = 0
  #problem: string | undefined

  constructor(options: ChannelSenderOptions) {
    this.#options = options
  }

  start(): void {
    this.#running = this.#run()
  }

  /** There may be something to tell. */
  more(): void {
    this.#hasMore = true
    this.#wake()
  }

  /** Something of this channel was not even put into its queue. */
  overflowed(approval: string): void {
    this.#dropped += 1
    this.#options.onFailure('too many messages wait for this channel', [approval])
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    this.#wake()
    await this.#running
    await this.#options.channel.close()
  }

  async status(): Promise<ChannelStatus> {
    const { name, type, channel, store } = this.#options
    return {
      name,
      type,
      where: channel.where,
      waiting: await countWaiting(store, name),
      delivered: this.#delivered,
      failures: this.#failures,
      dropped: this.#dropped,
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    }
  }

  async #run(): Promise<void> {
    const { retryMsFirst: first = retryMsFirst, onFault } = this.#options
    let awayMs = first
    while (!this.#stopped.signal.aborted) {
      try {
        this.#hasMore = false
        const waitMs = await this.#some()
        awayMs = first
        if (waitMs > 0) await this.#sleep(waitMs)
      } catch (error) {
        if (this.#stopped.signal.aborted) return
        // The database does not answer: what is under way is claimed, and comes again.
        if (this.#problem === undefined) onFault(error)
        this.#problem ??= 'the database of the control plane does not answer'
        await this.#pause(awayMs)
        awayMs = Math.min(awayMs * 2, retryMsMax)
      }
    }
  }

  /** Tries the notice that is due longest. How long to wait for the next, in milliseconds. */
  async #some(): Promise<number> {
    const { name, store, now } = this.#options
    const row = await claimNotice(store, name, now())
    if (row === undefined) {
      const dueMs = await nextDueMs(store, name)
      return dueMs === undefined ? lookEveryMs : Math.max(1, Math.min(dueMs - now(), lookEveryMs))
    }
    const ids = await approvalsOfNotice(store, row.id)
    const notice = await this.#noticeOf(row, ids)
    if (notice === undefined) {
      const problem = 'it had ended before it could be told'
      await endNotice(store, row.id, { state: 'dropped', atMs: now(), problem })
      return 0
    }
    try {
      const receipt = await this.#options.channel.deliver(notice, this.#stopped.signal)
      // Only now: whoever is killed before this tells it again.
      const refused = receipt?.['refused']
      const problem = refused === undefined ? '' : `not taken for ${refused}`
      await endNotice(store, row.id, { state: 'delivered', atMs: now(), receipt, problem })
      if (problem !== '') this.#options.onFailure(problem, [])
      this.#delivered += 1
      this.#problem = undefined
      return 0
    } catch (error) {
      // Whoever sends next need not wait until this try counts as lost.
      if (this.#stopped.signal.aborted) await putOff(store, row.id, { dueMs: now(), problem: '' })
      if (this.#stopped.signal.aborted || !(error instanceof DeliveryError)) throw error
      return await this.#failed(row, ids, error)
    }
  }

  /** What is to be told now; undefined where there is nothing any more. */
  async #noticeOf(row: NoticeRow, ids: readonly string[]): Promise<Notice | undefined> {
    const { name, channel, view, urlOf } = this.#options
    const views = await Promise.all(ids.slice(0, channel.approvalsMax).map(view))
    const isOld = row.kind === 'requested' && views.every(({ state }) => state !== 'pending')
    if (views.length === 0 || (channel.isForPeople && isOld)) return undefined
    return {
      id: `${name}-${row.id}`,
      kind: row.kind,
      tree: row.tree,
      begunAtMs: row.begunAtMs,
      count: ids.length,
      approvals: views.map((each) => toldOf(each, urlOf)),
      earlier: row.kind === 'requested' ? [] : await this.#earlier(ids),
    }
  }

  async #earlier(ids: readonly string[]): Promise<EarlierMessage[]> {
    const { name, channel, store, view, urlOf } = this.#options
    if (!channel.edits) return []
    const found = await earlierOf(store, name, ids)
    return await Promise.all(
      found.map(async ({ id, receipt }) => {
        const of = await approvalsOfNotice(store, id)
        const views = await Promise.all(of.slice(0, channel.approvalsMax).map(view))
        return { receipt, count: of.length, approvals: views.map((each) => toldOf(each, urlOf)) }
      }),
    )
  }

  /** How long the whole channel waits: where one message fails, the next is likely to. */
  async #failed(row: NoticeRow, ids: readonly string[], error: DeliveryError): Promise<number> {
    const { store, now, onFailure, retryMsFirst: first = retryMsFirst } = this.#options
    const problem = error.message.slice(0, problemCharsMax)
    const isLast = now() - row.begunAtMs >= giveUpMs
    if (error instanceof MessageRefused || isLast) {
      await endNotice(store, row.id, { state: 'dropped', atMs: now(), problem })
      this.#dropped += 1
      onFailure(problem, ids)
      return 0
    }
    this.#failures += 1
    if (this.#problem === undefined) onFailure(problem, [])
    this.#problem = problem
    const backOffMs = Math.min(first * 2 ** Math.min(row.tries - 1, 20), retryMsMax)
    // Receivers that come back are not met by all their senders at once.
    const waitMs = Math.max(backOffMs * (0.5 + Math.random() / 2), error.retryAfterMs ?? 0)
    await putOff(store, row.id, { dueMs: now() + waitMs, problem })
    await this.#pause(Math.min(waitMs, Math.max(lookEveryMs, error.retryAfterMs ?? 0)))
    return 0
  }

  /** Ends with what there is to tell. */
  async #sleep(ms: number): Promise<void> {
    if (this.#hasMore) return
    await this.#until(ms, true)
  }

  async #pause(ms: number): Promise<void> {
    await this.#until(ms, false)
  }

  async #until(ms: number, endsWithMore: boolean): Promise<void> {
    if (this.#stopped.signal.aborted) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const timer = setTimeout(resolve, ms)
    timer.unref()
    this.#wake = () => {
      if (endsWithMore || this.#stopped.signal.aborted) resolve()
    }
    await promise
    clearTimeout(timer)
    this.#wake = () => undefined
  }
}
