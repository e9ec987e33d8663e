import type { Context } from 'hono'
import { networkOf } from '../agents/network-of.ts'
import { type Rate, RateError, Rates } from '../rates.ts'
import { sourceOf } from '../source-of.ts'

/** A check of a signature takes a tenth of a millisecond; a provider that ends thousands of sessions sends this many. */
const strangers: Rate = { perSecond: 100, burst: 200 }
/** Directories are filled at 25 to 50 requests a second. */
const providers: Rate = { perSecond: 100, burst: 200 }
/** Strangers can have as many signals refused as they like: the log shows these. */
const shown: Rate = { perSecond: 1, burst: 20 }

/** How often signals are taken. Who has shown the token of a provider is not kept out by strangers at its address. */
export class SignalRates {
  readonly #strangers = new Rates(strangers)
  readonly #providers = new Rates(providers)
  readonly #shown = new Rates(shown)
  readonly #now: () => number

  constructor(now: () => number) {
    this.#now = now
  }

  /** Somebody of whom nothing is known but an address. Throws a RateError. */
  stranger(context: Context): void {
    this.#take(this.#strangers, networkOf(sourceOf(context)), 'too many signals from this address')
  }

  /** A provider that has shown its token. Throws a RateError. */
  provider(issuer: string): void {
    this.#take(this.#providers, issuer, 'too many requests of this provider')
  }

  /** Whether one more refusal is worth a line. */
  isShown(): boolean {
    return this.#shown.wait('', this.#now()) === 0
  }

  #take(rates: Rates, key: string, what: string): void {
    const waitMs = rates.wait(key, this.#now())
    if (waitMs > 0) throw new RateError('SP_RATE_LIMIT', what, waitMs)
  }
}
