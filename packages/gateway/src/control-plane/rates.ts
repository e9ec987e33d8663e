import { type ErrorCode, SallyportError } from '@sallyport/core'

/** A token bucket: `burst` at once, then `perSecond`. */
export interface Rate {
  readonly perSecond: number
  readonly burst: number
}

interface Bucket {
  tokens: number
  atMs: number
}

/** Refused for now only: answered with 429 and Retry-After (RFC 6585, section 4). */
export class RateError extends SallyportError {
  readonly retryAfterMs: number

  constructor(code: ErrorCode, what: string, retryAfterMs: number) {
    const detail = `${what}. Retry after ${retryAfterMs} ms`
    super(code, detail, { detail })
    this.retryAfterMs = retryAfterMs
  }

  /** For the header, which knows whole seconds. */
  get retryAfter(): string {
    return String(Math.max(1, Math.ceil(this.retryAfterMs / 1000)))
  }
}

/** Whoever has very many addresses must not fill the memory. */
const keysMax = 20_000
/** Where there are too many keys, the new ones share one bucket: a key that is forgotten would begin anew. */
const others = Symbol('others')

/** A bucket for each key. */
export class Rates {
  readonly #rate: Rate
  readonly #keysMax: number
  readonly #buckets = new Map<string | symbol, Bucket>()

  constructor(rate: Rate, max = keysMax) {
    this.#rate = rate
    this.#keysMax = max
  }

  /** Takes one, or says how many milliseconds are to be waited for it. */
  wait(key: string, nowMs: number): number {
    const bucket = this.#bucket(key, nowMs)
    bucket.tokens = this.#filled(bucket, nowMs)
    bucket.atMs = nowMs
    if (bucket.tokens < 1) return Math.ceil(((1 - bucket.tokens) * 1000) / this.#rate.perSecond)
    bucket.tokens -= 1
    return 0
  }

  #bucket(key: string, nowMs: number): Bucket {
    const known = this.#buckets.get(key)
    if (known !== undefined) return known
    if (this.#buckets.size >= this.#keysMax) this.#forgetFull(nowMs)
    const place = this.#buckets.size >= this.#keysMax ? others : key
    const bucket = this.#buckets.get(place) ?? { tokens: this.#rate.burst, atMs: nowMs }
    this.#buckets.set(place, bucket)
    return bucket
  }

  #filled({ tokens, atMs }: Bucket, nowMs: number): number {
    const gained = (Math.max(0, nowMs - atMs) * this.#rate.perSecond) / 1000
    return Math.min(this.#rate.burst, tokens + gained)
  }

  /** A full bucket is as good as none. */
  #forgetFull(nowMs: number): void {
    for (const [key, bucket] of this.#buckets)
      if (this.#filled(bucket, nowMs) >= this.#rate.burst) this.#buckets.delete(key)
  }
}
