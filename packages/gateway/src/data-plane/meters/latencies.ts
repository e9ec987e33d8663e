import { LATENCY_BOUNDS, type Bins } from '../../boundary/counts.ts'

/** Counts how long something took. */
export class Latencies {
  #counts = none()
  #sum = 0

  add(ms: number): void {
    const seconds = ms / 1000
    let bin = 0
    // Most are short, so that the first few comparisons find them.
    for (const bound of LATENCY_BOUNDS) {
      if (seconds <= bound) break
      bin += 1
    }
    this.#counts[bin] = (this.#counts[bin] ?? 0) + 1
    this.#sum += seconds
  }

  /** What was added since the last call. */
  take(): Bins {
    const bins = { counts: this.#counts, sum: this.#sum }
    this.#counts = none()
    this.#sum = 0
    return bins
  }
}

function none(): number[] {
  return LATENCY_BOUNDS.map(() => 0).concat(0)
}
