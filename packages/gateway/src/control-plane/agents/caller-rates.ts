import { type Rate, RateError, Rates } from '../rates.ts'
import type { ApiCaller } from './api-caller.ts'

/** What an agent may ask for in a time. The owner is not counted: whoever has to stop something must get through. */
export interface CallerLimits {
  readonly mints: Rate
  readonly treeMints: Rate
  readonly freezes: Rate
  readonly streams: Rate
  /** Open at once. */
  readonly streamsOfAgent: number
  readonly streamsOfTree: number
}

/** A pool opens a hundred sessions at once; each credential costs 4,096 rounds of a hash and a write. */
export const CALLER_LIMITS: CallerLimits = {
  mints: { perSecond: 20, burst: 200 },
  treeMints: { perSecond: 100, burst: 1000 },
  freezes: { perSecond: 1, burst: 20 },
  streams: { perSecond: 1, burst: 20 },
  streamsOfAgent: 4,
  streamsOfTree: 64,
}

/** When a stream may be free again: its watcher has to go first. */
const streamRetryMs = 5_000

/**
 * Counts what agents ask for through the API. By the caller itself, so that nobody uses up what those above need to stop
 * it; what costs the gateway most is counted for the tree as well.
 */
export class CallerRates {
  readonly #limits: CallerLimits
  readonly #now: () => number
  readonly #onLimit: (what: string, agent: string) => void
  readonly #mints: Rates
  readonly #treeMints: Rates
  readonly #freezes: Rates
  readonly #streams: Rates
  readonly #open = new Map<string, number>()

  /** `onLimit` hears of each refusal. */
  constructor(
    now: () => number = Date.now,
    limits: CallerLimits = CALLER_LIMITS,
    onLimit: (what: string, agent: string) => void = () => undefined,
  ) {
    this.#onLimit = onLimit
    this.#limits = limits
    this.#now = now
    this.#mints = new Rates(limits.mints)
    this.#treeMints = new Rates(limits.treeMints)
    this.#freezes = new Rates(limits.freezes)
    this.#streams = new Rates(limits.streams)
  }

  mint(caller: ApiCaller): void {
    this.#take(this.#mints, caller.agent, 'too many credentials are asked for')
    this.#take(this.#treeMints, caller.tree, 'too many credentials are asked for in this tree')
  }

  freeze(caller: ApiCaller): void {
    this.#take(this.#freezes, caller.agent, 'too many freezes are asked for')
  }

  /** Returns what is to be called when the stream ends. */
  stream(caller: ApiCaller): () => void {
    const { agent, tree } = caller
    if (agent === undefined || tree === undefined) return () => undefined
    this.#take(this.#streams, agent, 'too many streams of events are opened')
    const keys = [`agent ${agent}`, `tree ${tree}`] as const
    const most = [this.#limits.streamsOfAgent, this.#limits.streamsOfTree]
    if (keys.some((key, at) => this.#count(key) >= (most[at] ?? 0)))
      throw this.#limited('too many streams of events are open', agent, streamRetryMs)
    for (const key of keys) this.#open.set(key, this.#count(key) + 1)
    return () => {
      for (const key of keys) {
        const left = this.#count(key) - 1
        if (left > 0) this.#open.set(key, left)
        else this.#open.delete(key)
      }
    }
  }

  #count(key: string): number {
    return this.#open.get(key) ?? 0
  }

  #take(rates: Rates, key: string | undefined, what: string): void {
    if (key === undefined) return
    const waitMs = rates.wait(key, this.#now())
    if (waitMs > 0) throw this.#limited(what, key, waitMs)
  }

  #limited(what: string, key: string, waitMs: number): RateError {
    this.#onLimit(what, key)
    return new RateError('SP_RATE_LIMIT', what, waitMs)
  }
}
