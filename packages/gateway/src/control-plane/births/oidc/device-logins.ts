import { randomInt } from 'node:crypto'
import type { GrantAsk } from '../oauth/grant-request.ts'
import { OAuthError } from '../oauth/oauth-error.ts'
import type { LoggedIn } from './human-births.ts'
import { makeSecret, ShortLived } from './short-lived.ts'

/** RFC 8628, section 6.1: letters that no one mixes up and that spell no word; 34 bits. */
const letters = 'BCDFGHJKLMNPQRSTVWXZ'
const codeMs = 10 * 60_000
const pollSeconds = 5
/** Two polls may take unequal times to arrive. */
const jitterMs = 500
/** Each poll that comes too early makes the next wait longer (RFC 8628, section 3.5). */
const slowDownSeconds = 5
const pendingMax = 1000
/** Wrong codes that may be typed in a minute, by all people together: of 34 bits that finds nothing. */
const guessesPerMinute = 60

/** A device that waits to be logged in. */
export interface DeviceLogin {
  readonly userCode: string
  readonly ask: GrantAsk
  /** As the device says, and as the connection shows. */
  readonly host: string
  readonly source: string
  state:
    | { readonly kind: 'waiting' }
    | { readonly kind: 'denied' }
    | { readonly kind: 'allowed'; readonly person: LoggedIn }
  pollAtMs: number
  intervalSeconds: number
}

/** Devices that wait until somebody types their code in a browser (RFC 8628). */
export class DeviceLogins {
  readonly #byDevice: ShortLived<DeviceLogin>
  readonly #byUser: ShortLived<DeviceLogin>
  readonly #now: () => number
  #guesses = guessesPerMinute
  #guessesAtMs = 0

  constructor(now: () => number) {
    this.#now = now
    this.#byDevice = new ShortLived(codeMs, pendingMax, now)
    this.#byUser = new ShortLived(codeMs, pendingMax, now)
  }

  /** The answer to a device (RFC 8628, section 3.2). */
  begin(
    ask: GrantAsk,
    host: string,
    source: string,
    gatewayUrl: string,
  ): Readonly<Record<string, string | number>> {
    const code = Array.from({ length: 8 }, () => letters.charAt(randomInt(letters.length))).join('')
    const login: DeviceLogin = {
      userCode: `${code.slice(0, 4)}-${code.slice(4)}`,
      ask,
      host,
      source,
      state: { kind: 'waiting' },
      pollAtMs: -Infinity,
      intervalSeconds: pollSeconds,
    }
    const deviceCode = makeSecret()
    this.#byDevice.add(login, deviceCode)
    this.#byUser.add(login, code)
    return {
      device_code: deviceCode,
      user_code: login.userCode,
      verification_uri: `${gatewayUrl}/device`,
      verification_uri_complete: `${gatewayUrl}/device?user_code=${login.userCode}`,
      expires_in: codeMs / 1000,
      interval: pollSeconds,
    }
  }

  /** The device that waits under a code that a person typed. */
  find(typed: string): DeviceLogin | 'unknown' | 'too-many' {
    this.#refill()
    if (this.#guesses < 1) return 'too-many'
    const login = this.#byUser.get(typed.toUpperCase().replaceAll(/[^A-Z]/gu, ''))
    if (login !== undefined && login.state.kind === 'waiting') return login
    this.#guesses -= 1
    return 'unknown'
  }

  /** A person has decided; without a person it was denied. */
  decide(userCode: string, person: LoggedIn | undefined): void {
    const login = this.#byUser.take(userCode.replace('-', ''))
    if (login !== undefined)
      login.state = person === undefined ? { kind: 'denied' } : { kind: 'allowed', person }
  }

  /** The device asks whether it is logged in. */
  poll(deviceCode: string): { readonly person: LoggedIn; readonly ask: GrantAsk } {
    const login = this.#byDevice.get(deviceCode)
    if (login === undefined)
      throw new OAuthError('expired_token', 'the code is older than 10 minutes, or was used')
    const now = this.#now()
    const isEarly = now < login.pollAtMs + login.intervalSeconds * 1000 - jitterMs
    login.pollAtMs = now
    if (isEarly) {
      login.intervalSeconds += slowDownSeconds
      throw new OAuthError('slow_down', `ask every ${login.intervalSeconds} seconds`)
    }
    if (login.state.kind === 'waiting')
      throw new OAuthError('authorization_pending', 'nobody has decided yet')
    this.#byDevice.take(deviceCode)
    if (login.state.kind === 'denied')
      throw new OAuthError('access_denied', 'a person has denied this login')
    return { person: login.state.person, ask: login.ask }
  }

  #refill(): void {
    const now = this.#now()
    if (now - this.#guessesAtMs < 60_000) return
    this.#guesses = guessesPerMinute
    this.#guessesAtMs = now
  }
}
