/** Enough for an application that finds its users by what they typed; too few to guess by. */
export const lookupsPerMinuteMax = 60

const minuteMs = 60_000

/** Counts the look-ups by masked columns of one tree of agents. */
export class LookupMeter {
  readonly #now: () => number
  #startedAtMs = -Infinity
  #count = 0

  constructor(now: () => number) {
    this.#now = now
  }

  /** True where one more is allowed within this minute. */
  take(): boolean {
    const nowMs = this.#now()
    if (nowMs - this.#startedAtMs >= minuteMs || nowMs < this.#startedAtMs) {
      this.#startedAtMs = nowMs
      this.#count = 0
    }
    this.#count += 1
    return this.#count <= lookupsPerMinuteMax
  }
}

/** The meters of a worker, by the root of the tree. */
export class LookupMeters {
  readonly #now: () => number
  readonly #byRoot = new Map<string, LookupMeter>()

  constructor(now: () => number) {
    this.#now = now
  }

  of(root: string): LookupMeter {
    let meter = this.#byRoot.get(root)
    if (meter === undefined) {
      meter = new LookupMeter(this.#now)
      this.#byRoot.set(root, meter)
    }
    return meter
  }
}
