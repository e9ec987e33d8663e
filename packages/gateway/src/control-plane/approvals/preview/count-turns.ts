import { RateError } from '../../rates.ts'
import { notCounted } from './not-counted.ts'

/** Each reads the target for 5 s at most; who decides looks a few times, and a script would go on for ever. */
const countsMax = 20
const restMs = 2_000

/** How often the rows of one request may be counted: one count at a time, a rest after each, and not without end. */
export class CountTurns {
  #taken = 0
  #isRunning = false
  #restedAtMs = 0

  /** Runs a count. Throws SP_RATE_LIMIT where it comes too soon, SP_PREVIEW_UNKNOWN where there were enough of them. */
  async take<T>(now: () => number, count: () => Promise<T>): Promise<T> {
    if (this.#taken >= countsMax) throw notCounted(`it was counted ${countsMax} times already`)
    const what = 'its rows are counted one time after the other'
    if (this.#isRunning) throw new RateError('SP_RATE_LIMIT', what, restMs)
    const waitMs = this.#restedAtMs - now()
    if (waitMs > 0) throw new RateError('SP_RATE_LIMIT', what, waitMs)
    this.#taken += 1
    this.#isRunning = true
    try {
      return await count()
    } finally {
      this.#isRunning = false
      this.#restedAtMs = now() + restMs
    }
  }
}
