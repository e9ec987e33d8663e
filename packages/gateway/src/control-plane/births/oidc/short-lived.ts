import { createHash, randomBytes } from 'node:crypto'

interface Held<T> {
  readonly value: T
  readonly untilMs: number
}

/** Things that are kept for a short time under a secret that only its holder knows; the secret itself is not kept. */
export class ShortLived<T> {
  readonly #held = new Map<string, Held<T>>()
  readonly #ttlMs: number
  readonly #max: number
  readonly #now: () => number

  /** The oldest makes room where there are `max`: whoever fills it up must not lock others out for long. */
  constructor(ttlMs: number, max: number, now: () => number) {
    this.#ttlMs = ttlMs
    this.#max = max
    this.#now = now
  }

  /** Keeps a value and returns its secret. */
  add(value: T, secret: string = makeSecret()): string {
    this.#clean()
    if (this.#held.size >= this.#max)
      for (const oldest of this.#held.keys()) {
        this.#held.delete(oldest)
        break
      }
    this.#held.set(digest(secret), { value, untilMs: this.#now() + this.#ttlMs })
    return secret
  }

  get(secret: string): T | undefined {
    const held = this.#held.get(digest(secret))
    return held === undefined || held.untilMs <= this.#now() ? undefined : held.value
  }

  /** Gives the value, once. */
  take(secret: string): T | undefined {
    const value = this.get(secret)
    this.#held.delete(digest(secret))
    return value
  }

  values(): T[] {
    this.#clean()
    return [...this.#held.values()].map(({ value }) => value)
  }

  /** All live equally long, so the oldest come first. */
  #clean(): void {
    for (const [key, { untilMs }] of this.#held) {
      if (untilMs > this.#now()) return
      this.#held.delete(key)
    }
  }
}

export function makeSecret(): string {
  return randomBytes(32).toString('base64url')
}

function digest(secret: string): string {
  return createHash('sha256').update(secret).digest('base64url')
}
