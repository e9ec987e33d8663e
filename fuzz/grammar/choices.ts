/**
 * Where a generator's decisions come from: a seeded stream, or an earlier run's list. What is read is kept, so that a
 * statement can be made again from a shorter list: zeros stand for the simplest choice, and so do choices past the end.
 */
export class Choices {
  readonly taken: number[] = []
  readonly #next: () => number

  private constructor(next: () => number) {
    this.#next = next
  }

  static from(random: Random): Choices {
    return new Choices(() => random.next())
  }

  static replay(list: readonly number[]): Choices {
    let at = 0
    return new Choices(() => list[at++] ?? 0)
  }

  /** A whole number from 0 up to, not including, `count`. */
  below(count: number): number {
    const value = this.#next() % count
    this.taken.push(value)
    return value
  }

  pick<Item>(items: readonly Item[]): Item {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new Error('nothing to choose from')
    return item
  }

  /** True in so many cases of a hundred; false is the simpler choice. */
  chance(percent: number): boolean {
    return this.below(100) >= 100 - percent
  }
}

/** Mulberry32: small, fast, and the same everywhere. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let value = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1)
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61)
    return (value ^ (value >>> 14)) >>> 0
  }
}
