/** Buckets that are full again are forgotten; these many others bound the memory. */
const sourcesMax = 10_000

interface Bucket {
  tokens: number
  atMs: number
}

/** How often something may be done, per second, and at once after a pause. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

/** Counts what each source asks for. */
export class RateLimit {
  readonly #buckets = new Map<string, Bucket>()
  readonly #rate: Rate
  readonly #now: () => number

  constructor(rate: Rate, now: () => number) {
    this.#rate = rate
    this.#now = now
  }

  /** Takes one, or says after how many whole seconds there will be one. */
  take(source: string): 'ok' | { readonly retryAfterSeconds: number } {
    const { perSecond, burst } = this.#rate
    const now = this.#now()
    const known = this.#buckets.get(source)
    const tokens = known === undefined ? burst : this.#filled(known, now)
    // The newest stands last, so the first is the one that was quiet longest.
    this.#buckets.delete(source)
    this.#makeRoom()
    this.#buckets.set(source, { tokens: tokens < 1 ? tokens : tokens - 1, atMs: now })
    if (tokens >= 1) return 'ok'
    return { retryAfterSeconds: Math.max(1, Math.ceil((1 - tokens) / perSecond)) }
  }

  #filled({ tokens, atMs }: Bucket, now: number): number {
    const { perSecond, burst } = this.#rate
    return Math.min(burst, tokens + (Math.max(0, now - atMs) / 1000) * perSecond)
  }

  #makeRoom(): void {
    if (this.#buckets.size < sourcesMax) return
    for (const oldest of this.#buckets.keys()) {
      this.#buckets.delete(oldest)
      return
    }
  }
}
