import type { Context } from 'hono'
import { networkOf } from './agents/network-of.ts'
import { type Rate, RateError, Rates } from './rates.ts'
import { sourceOf } from './source-of.ts'

/** What may be asked without being anybody yet. */
export interface SourceLimits {
  readonly logins: Rate
  readonly births: Rate
}

/**
 * A login that waits is kept for 10 minutes, and there is room for 1,000: no source may take it all. The jobs of a large run
 * begin together behind one address, and each token costs the checking of a signature.
 */
export const SOURCE_LIMITS: SourceLimits = {
  logins: { perSecond: 1, burst: 60 },
  births: { perSecond: 20, burst: 300 },
}

/** Counts what one source asks for: an address, of IPv6 the network of 64 bits. */
export class SourceRates {
  readonly #logins: Rates
  readonly #births: Rates
  readonly #now: () => number
  readonly #onLimit: (what: string) => void

  /** `onLimit` hears of each refusal. */
  constructor(
    now: () => number = Date.now,
    limits: SourceLimits = SOURCE_LIMITS,
    onLimit: (what: string) => void = () => undefined,
  ) {
    this.#onLimit = onLimit
    this.#logins = new Rates(limits.logins)
    this.#births = new Rates(limits.births)
    this.#now = now
  }

  /** A person wants to log in. Throws a RateError. */
  login(context: Context): void {
    this.#take(this.#logins, context, 'too many logins begin at this address')
  }

  /** A token or a ticket is shown. Throws a RateError. */
  birth(context: Context): void {
    this.#take(this.#births, context, 'too many tokens are shown from this address')
  }

  #take(rates: Rates, context: Context, what: string): void {
    const waitMs = rates.wait(networkOf(sourceOf(context)), this.#now())
    if (waitMs <= 0) return
    this.#onLimit(what)
    throw new RateError('SP_RATE_LIMIT', what, waitMs)
  }
}
