import { createHash } from 'node:crypto'
import type { IdentityConfig, OidcProvider } from '../config/identity-config.ts'
import type { GrantAsk } from '../oauth/grant-request.ts'
import { OAuthError } from '../oauth/oauth-error.ts'
import type { BirthEvent } from '../ports.ts'
import type { DeviceLogins } from './device-logins.ts'
import type { LoggedIn } from './human-births.ts'
import { type IdentityClaims, LoginRefused, readIdentity } from './identity.ts'
import type { LoginChecks, ProviderClient } from './provider-client.ts'
import { ShortLived } from './short-lived.ts'

/** For a person to find the password and the second factor. */
const loginMs = 10 * 60_000
/** The program that waits on loopback fetches at once. */
const codeMs = 60_000
const pendingMax = 10_000
const sessionCharactersMax = 512

/** What a login is for: a program on loopback (RFC 8252), a device that shows a code, or an answer to a request for approval. */
export type Purpose =
  | {
      readonly kind: 'loopback'
      readonly redirect: string
      readonly challenge: string
      readonly state?: string
      readonly ask: GrantAsk
    }
  | { readonly kind: 'device'; readonly userCode: string }
  | ApprovalPurpose
  | LinkPurpose

/** To link an account of a chat; with its code as soon as that is known. */
export interface LinkPurpose {
  readonly kind: 'link'
  readonly code?: string
}

/** What a person decides in that moment takes a login of that moment. */
export function isFreshFor({ kind }: Purpose): boolean {
  return kind === 'approval' || kind === 'link'
}

export interface ApprovalPurpose {
  readonly kind: 'approval'
  readonly approval: string
}

interface Pending {
  readonly provider: string
  readonly checks: LoginChecks
  readonly browser: string
  readonly purpose: Purpose
}

interface Asked {
  readonly person: LoggedIn
  readonly browser: string
  readonly purpose: Purpose
}

interface Issued {
  readonly person: LoggedIn
  readonly redirect: string
  readonly challenge: string
  readonly ask: GrantAsk
}

export interface LoginFlowOptions {
  readonly config: () => IdentityConfig
  readonly client: ProviderClient
  readonly devices: DeviceLogins
  readonly gatewayUrl: () => string
  readonly onEvent: (event: BirthEvent) => void
  readonly now: () => number
}

/** A login in a browser, from the first page to the code that a program on loopback gets. */
export class LoginFlow {
  readonly #options: LoginFlowOptions
  readonly #pending: ShortLived<Pending>
  readonly #asked: ShortLived<Asked>
  readonly #issued: ShortLived<Issued>
  /** Challenges that were answered: each is good for one login. */
  readonly #finished: ShortLived<true>

  constructor(options: LoginFlowOptions) {
    this.#options = options
    this.#pending = new ShortLived(loginMs, pendingMax, options.now)
    this.#asked = new ShortLived(loginMs, pendingMax, options.now)
    this.#issued = new ShortLived(codeMs, pendingMax, options.now)
    this.#finished = new ShortLived(loginMs, pendingMax, options.now)
  }

  /** Where to send the browser. `browser` is a secret of its cookie: whoever began must also finish. */
  async begin(provider: OidcProvider, purpose: Purpose, browser: string): Promise<URL> {
    const redirectUri = `${this.#options.gatewayUrl()}/login/callback`
    const isFresh = isFreshFor(purpose)
    const { url, checks } = await this.#options.client.begin(provider, redirectUri, isFresh)
    this.#pending.add({ provider: provider.name, checks, browser, purpose }, checks.state)
    return url
  }

  /** The provider has sent the browser back. Returns what the person has to allow. */
  async callback(query: string, browser: string): Promise<{ readonly id: string } & Asked> {
    const { client, config, gatewayUrl, onEvent } = this.#options
    const pending = this.#pending.take(new URLSearchParams(query).get('state') ?? '')
    const provider = config().providers.get(pending?.provider ?? '')
    if (pending === undefined || provider === undefined || pending.browser !== browser) {
      throw new LoginRefused(
        'this login was not begun in this browser, or took too long. Begin again.',
      )
    }
    // Before the provider is asked: what it takes back after that counts.
    const confirmedAtMs = this.#options.now()
    try {
      const answer = new URL(`${gatewayUrl()}/login/callback?${query}`)
      const { claims, refreshToken } = await client.finish(provider, answer, pending.checks)
      const person: LoggedIn = {
        provider: provider.name,
        principal: readIdentity(provider, claims),
        confirmedAtMs,
        ...sessionOf(claims),
        ...(refreshToken === undefined ? {} : { refreshToken }),
      }
      return this.ask({ person, browser, purpose: pending.purpose })
    } catch (error) {
      const why = error instanceof Error ? error.message : 'unknown'
      onEvent({ kind: 'login.refused', provider: provider.name, why })
      if (error instanceof LoginRefused) throw error
      throw new LoginRefused(`${provider.name} did not confirm the login. Begin again.`)
    }
  }

  /** A provider has confirmed a person, who now has to allow what was asked for. */
  ask(asked: Asked): { readonly id: string } & Asked {
    return { id: this.#asked.add(asked), ...asked }
  }

  /** The person has pressed a button. Returns where a program waits; nothing for a device, which asks by itself. */
  confirm(id: string, isAllowed: boolean, browser: string): URL | undefined {
    const asked = this.#asked.get(id)
    if (asked === undefined || asked.browser !== browser) {
      throw new LoginRefused('this page is too old, or was answered already. Begin again.')
    }
    const { person, purpose } = asked
    if (purpose.kind === 'approval' || purpose.kind === 'link')
      throw new LoginRefused('this page is for something else.')
    this.#asked.take(id)
    if (purpose.kind === 'device') {
      this.#options.devices.decide(purpose.userCode, isAllowed ? person : undefined)
      return undefined
    }
    // The program that waited is gone: a second tab would only lead to an address where nobody is.
    if (this.#finished.get(purpose.challenge) !== undefined)
      throw new LoginRefused('this login was finished in another tab. You can close this one.')
    const back = new URL(purpose.redirect)
    if (purpose.state !== undefined) back.searchParams.set('state', purpose.state)
    // RFC 9207: the program can tell that the answer is this gateway's.
    back.searchParams.set('iss', this.#options.gatewayUrl())
    if (isAllowed) {
      const { redirect, challenge, ask } = purpose
      back.searchParams.set('code', this.#issued.add({ person, redirect, challenge, ask }))
    } else back.searchParams.set('error', 'access_denied')
    return back
  }

  /** The person has pressed a button of an approval. Works once. */
  answered(id: string, browser: string): { readonly person: LoggedIn; readonly approval: string } {
    const asked = this.#asked.get(id)
    const isRight = asked?.browser === browser && asked.purpose.kind === 'approval'
    if (asked === undefined || !isRight || asked.purpose.kind !== 'approval')
      throw new LoginRefused('this page is too old, or was answered already. Begin again.')
    this.#asked.take(id)
    return { person: asked.person, approval: asked.purpose.approval }
  }

  /** The person has pressed a button of a page that links an account. Works once. */
  linking(id: string, browser: string): { readonly person: LoggedIn; readonly code?: string } {
    const asked = this.#asked.get(id)
    if (asked === undefined || asked.browser !== browser || asked.purpose.kind !== 'link')
      throw new LoginRefused('this page is too old, or was answered already. Begin again.')
    this.#asked.take(id)
    const { code } = asked.purpose
    return { person: asked.person, ...(code === undefined ? {} : { code }) }
  }

  /** Exchanges the code of a program on loopback; it works once, and only for who knows the verifier. */
  redeem(form: URLSearchParams): { readonly person: LoggedIn; readonly ask: GrantAsk } {
    const issued = this.#issued.take(form.get('code') ?? '')
    const verifier = form.get('code_verifier') ?? ''
    const challenge = createHash('sha256').update(verifier).digest('base64url')
    const isRight = issued?.challenge === challenge && issued.redirect === form.get('redirect_uri')
    if (issued === undefined || !isRight || this.#finished.get(challenge) !== undefined) {
      throw new OAuthError(
        'invalid_grant',
        'the code is wrong, was used, or is older than a minute',
      )
    }
    this.#finished.add(true, challenge)
    return { person: issued.person, ask: issued.ask }
  }
}

/** OpenID Connect Back-Channel Logout 1.0, section 2.1: the provider's session, by which it may be ended. */
function sessionOf(claims: IdentityClaims): { readonly session?: string } {
  const { sid } = claims as { readonly sid?: unknown }
  return typeof sid === 'string' && sid !== '' && sid.length <= sessionCharactersMax
    ? { session: sid }
    : {}
}

/** Reads the address of a program that waits: an IP literal of loopback, as RFC 8252, section 8.3, wants it. */
export function readLoopback(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined
  const { protocol, hostname, username, password, hash, port } = new URL(text)
  const isLoopback = protocol === 'http:' && ['127.0.0.1', '[::1]'].includes(hostname)
  return isLoopback && port !== '' && username === '' && password === '' && hash === ''
    ? text
    : undefined
}
