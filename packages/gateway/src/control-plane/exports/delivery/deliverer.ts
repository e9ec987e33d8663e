import { DeliveryError, type Destination, type OutgoingEvent } from './destination.ts'
import type { Backlog, Outbox, WaitingFact } from '../outbox.ts'
import type { DeliveryStatus } from '../../contract/operations.ts'

export interface DelivererOptions {
  readonly name: string
  readonly type: string
  readonly destination: Destination
  readonly outbox: Pick<Outbox, 'read' | 'told' | 'onMore' | 'backlog'>
  readonly lineOf: (fact: WaitingFact['fact']) => string
  /** Told when it begins to fail. */
  readonly onFault: (error: unknown) => void
  /** The first wait after a failure, in milliseconds. */
  readonly retryMsFirst?: number
}

/** Of one request or one write. */
const eventsMax = 500
const bytesMax = 1024 * 1024
/** The database may have been away when something was to be told. */
const lookEveryMs = 5000
const retryMsFirst = 1000
const retryMsMax = 60_000

/** Brings events to one destination in their order, each until it is there: at least once, also over restarts. */
export class Deliverer {
  readonly #options: DelivererOptions
  readonly #stopped = new AbortController()
  #wake: () => void = () => undefined
  #hasMore = false
  #running: Promise<void> | undefined
  #countMax = eventsMax
  #delivered = 0
  #failures = 0
  #problem: string | undefined

  constructor(options: DelivererOptions) {
    this.#options = options
  }

  start(): void {
    const off = this.#options.outbox.onMore(() => {
      this.#hasMore = true
      this.#wake()
    })
    this.#running = this.#run().finally(off)
  }

  /** Resolves when nothing is under way any more. */
  async stop(): Promise<void> {
    this.#stopped.abort()
    this.#wake()
    await this.#running
  }

  get counts(): { readonly delivered: number; readonly failures: number } {
    return { delivered: this.#delivered, failures: this.#failures }
  }

  async status(): Promise<DeliveryStatus> {
    const { name, type, destination, outbox } = this.#options
    const { events, sinceMs }: Backlog = await outbox.backlog(name)
    return {
      name,
      type,
      where: destination.where,
      waiting: events,
      ...(sinceMs === undefined ? {} : { sinceMs }),
      ...this.counts,
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    }
  }

  async #run(): Promise<void> {
    let retryMs = this.#options.retryMsFirst ?? retryMsFirst
    while (!this.#stopped.signal.aborted) {
      try {
        this.#hasMore = false
        const isAll = await this.#some()
        this.#problem = undefined
        retryMs = this.#options.retryMsFirst ?? retryMsFirst
        if (isAll && !this.#hasMore) await this.#sleep(lookEveryMs, true)
      } catch (error) {
        if (this.#stopped.signal.aborted) return
        const waitMs = this.#failed(error, retryMs)
        retryMs = Math.min(retryMs * 2, retryMsMax)
        await this.#sleep(waitMs, false)
      }
    }
  }

  /** Delivers the oldest; true where there are no more. */
  async #some(): Promise<boolean> {
    const { name, outbox, destination, lineOf } = this.#options
    const facts = await outbox.read(name, this.#countMax)
    const events: OutgoingEvent[] = []
    let bytes = 0
    for (const { id, fact } of facts) {
      const line = lineOf(fact)
      bytes += line.length
      if (bytes > bytesMax && events.length > 0) break
      events.push({ id, line })
    }
    const last = events.at(-1)
    if (last === undefined) return true
    await destination.deliver(events, this.#stopped.signal)
    // Only now: whoever is killed before this delivers again.
    await outbox.told(name, last.id)
    this.#delivered += events.length
    const isAll = facts.length < this.#countMax && events.length === facts.length
    this.#countMax = Math.min(this.#countMax * 2, eventsMax)
    return isAll
  }

  /** How long to wait. */
  #failed(error: unknown, retryMs: number): number {
    this.#failures += 1
    const said = error instanceof DeliveryError ? error : undefined
    if (said?.isTooLarge === true) this.#countMax = Math.max(1, Math.floor(this.#countMax / 2))
    const wasFailing = this.#problem !== undefined
    this.#problem = said?.message ?? 'the database of the control plane does not answer'
    if (!wasFailing) {
      const { name } = this.#options
      this.#options.onFault(new Error(`export ${name}: ${this.#problem}`, { cause: error }))
    }
    // Receivers that come back are not met by all their senders at once.
    const jittered = retryMs * (0.5 + Math.random() / 2)
    return Math.max(jittered, said?.retryAfterMs ?? 0)
  }

  async #sleep(ms: number, endsWithMore: boolean): Promise<void> {
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
