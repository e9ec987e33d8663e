/** At most this many places are told apart at a time; who comes then is counted with all others. */
const placesMax = 100
const others = 'others'

/** Something that was counted and is to be written. */
export interface Counted<Fact> {
  readonly fact: Fact
  readonly count: number
  /** True where the sources are many, and the fact is that of the first of them. */
  readonly isOfOthers: boolean
}

interface Place<Fact> {
  readonly endsAtMs: number
  readonly windowMs: number
  waiting: number
  fact: Fact
}

/**
 * Keeps whoever can cause facts at will from filling the disk: one fact for each key and window of time, with a count. The first
 * is given back at once, since somebody may be waiting to see it.
 */
export class FactCounts<Fact> {
  readonly #places = new Map<string, Place<Fact>>()

  /** Returns what is to be written now; undefined where it is only counted. */
  take(key: string, fact: Fact, nowMs: number, windowMs: number): Counted<Fact> | undefined {
    const isKnown = this.#places.has(key)
    const isFull = !isKnown && this.#places.size >= placesMax
    const place = this.#places.get(isFull ? others : key)
    if (place !== undefined) {
      place.waiting += 1
      place.fact = fact
      return undefined
    }
    const endsAtMs = nowMs + windowMs
    this.#places.set(isFull ? others : key, { endsAtMs, windowMs, waiting: 0, fact })
    return { fact, count: 1, isOfOthers: isFull }
  }

  /** What was counted in windows that are over; all of it where no time is given. */
  due(nowMs = Infinity): Counted<Fact>[] {
    const found: Counted<Fact>[] = []
    for (const [key, place] of this.#places) {
      if (place.endsAtMs > nowMs) continue
      this.#places.delete(key)
      const { fact, windowMs, waiting: count } = place
      if (count === 0) continue
      found.push({ fact, count, isOfOthers: key === others })
      // What was just written opens the next window.
      if (nowMs !== Infinity)
        this.#places.set(key, { endsAtMs: nowMs + windowMs, windowMs, waiting: 0, fact })
    }
    return found
  }
}
