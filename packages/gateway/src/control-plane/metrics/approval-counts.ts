import type { HoldOutcome } from '@sallyport/core'
import type { Distribution } from './exposition.ts'

/** Seconds: 5 is faster than anybody reads, 600 is what a rule gives where it says nothing. */
const bounds = [5, 15, 60, 300, 600, 3600]

export const COUNTED_ENDS = ['approved', 'denied', 'expired', 'withdrawn'] as const

/** What became of requests for approval, since the gateway started. Who asked and who answered is in no series. */
export class ApprovalCounts {
  readonly ends = new Map<HoldOutcome, number>()
  readonly #counts = bounds.map(() => 0).concat(0)
  #sum = 0

  ended(outcome: HoldOutcome): void {
    this.ends.set(outcome, (this.ends.get(outcome) ?? 0) + 1)
  }

  /** Somebody has said yes or no, so long after the question. */
  answered(ms: number): void {
    const seconds = Math.max(0, ms / 1000)
    const found = bounds.findIndex((bound) => seconds <= bound)
    const at = found === -1 ? bounds.length : found
    this.#counts[at] = (this.#counts[at] ?? 0) + 1
    this.#sum += seconds
  }

  get decisions(): Distribution {
    return { labels: {}, bounds, counts: this.#counts, sum: this.#sum }
  }
}
