import { createHash, randomBytes } from 'node:crypto'
import type { IdentityConfig, SamlProvider } from '../config/identity-config.ts'
import type { LoggedIn } from '../oidc/human-births.ts'
import { LoginRefused } from '../oidc/identity.ts'
import { isFreshFor, type Purpose } from '../oidc/login-flow.ts'
import { freshSeconds } from '../oidc/provider-client.ts'
import { ShortLived } from '../oidc/short-lived.ts'
import type { BirthEvent, TokenUses } from '../ports.ts'
import { authnRequestUrl, samlAcsUrl, samlEntityId } from './authn-request.ts'
import { checkAssertion } from './check-assertion.ts'
import { samlIdentity } from './saml-identity.ts'
import { verifyResponse } from './verify-response.ts'

/** For a person to find the password and the second factor. */
const loginMs = 10 * 60_000
/** The browser follows a redirect. */
const arrivalMs = 60_000
const pendingMax = 10_000
/** Clocks differ. */
const skewMs = 30_000
const idPattern = /\sInResponseTo\s*=\s*["'](_[0-9a-f]{40})["']/u

interface Pending {
  readonly provider: string
  readonly browser: string
  readonly purpose: Purpose
}

/** A login that the provider has confirmed, and whose browser has to come by itself. */
export interface Arrived {
  readonly person: LoggedIn
  readonly browser: string
  readonly purpose: Purpose
}

export interface SamlFlowOptions {
  readonly config: () => IdentityConfig
  readonly uses: Pick<TokenUses, 'take'>
  readonly gatewayUrl: () => string
  readonly onEvent: (event: BirthEvent) => void
  readonly now: () => number
}

/** A login at a provider of SAML 2.0, begun here: an answer that nobody asked for is none. */
export class SamlFlow {
  readonly #options: SamlFlowOptions
  readonly #pending: ShortLived<Pending>
  readonly #arrived: ShortLived<Arrived>

  constructor(options: SamlFlowOptions) {
    this.#options = options
    this.#pending = new ShortLived(loginMs, pendingMax, options.now)
    this.#arrived = new ShortLived(arrivalMs, pendingMax, options.now)
  }

  /** Where to send the browser. `browser` is a secret of its cookie. */
  begin(provider: SamlProvider, purpose: Purpose, browser: string): URL {
    // An NCName, with 160 bits that nobody can guess.
    const id = `_${randomBytes(20).toString('hex')}`
    this.#pending.add({ provider: provider.name, browser, purpose }, id)
    const { gatewayUrl, now } = this.#options
    return authnRequestUrl(provider, id, gatewayUrl(), now(), isFreshFor(purpose))
  }

  /**
   * The provider's answer. A browser that is sent here from another site brings no cookie along, so the answer is verified
   * now, and the secret that is returned has to be shown by the browser that began.
   */
  async arrive(response: string): Promise<string> {
    // Only to find the request: the signed value is held against it below.
    const id = idPattern.exec(Buffer.from(response, 'base64').toString())?.[1] ?? ''
    const pending = this.#pending.take(id)
    const provider = this.#options.config().samlProviders.get(pending?.provider ?? '')
    if (pending === undefined || provider === undefined)
      throw new LoginRefused(
        'this login was not begun here, was used, or took too long. Begin again.',
      )
    try {
      const isFresh = isFreshFor(pending.purpose)
      const person = await this.#personOf(response, id, provider, isFresh)
      return this.#arrived.add({ person, browser: pending.browser, purpose: pending.purpose })
    } catch (error) {
      const why = error instanceof Error ? error.message : 'unknown'
      this.#options.onEvent({ kind: 'login.refused', provider: provider.name, why })
      throw error
    }
  }

  /** The browser has come. */
  finish(secret: string, browser: string): Arrived {
    const arrived = this.#arrived.take(secret)
    if (arrived === undefined || arrived.browser !== browser)
      throw new LoginRefused(
        'this login was not begun in this browser, or took too long. Begin again.',
      )
    return arrived
  }

  async #personOf(
    response: string,
    requestId: string,
    provider: SamlProvider,
    isFresh: boolean,
  ): Promise<LoggedIn> {
    const { gatewayUrl, now, uses } = this.#options
    const confirmedAtMs = now()
    const entityId = samlEntityId(gatewayUrl())
    const acsUrl = samlAcsUrl(gatewayUrl())
    const { certificates, issuer } = provider
    const document = await verifyResponse({
      response,
      certificates,
      entityId,
      acsUrl,
      skewMs,
      ageMsMax: loginMs,
    })
    const assertion = checkAssertion(document, {
      issuer,
      entityId,
      acsUrl,
      requestId,
      nowMs: now(),
      skewMs,
    })
    if (isFresh && assertion.authenticatedAtMs < now() - freshSeconds * 1000 - skewMs)
      throw new LoginRefused(`${provider.name} did not ask you again who you are. Begin again.`)
    // The request works once; this also holds after a restart, and for what an older answer to another request says.
    const id = createHash('sha256').update(`saml ${issuer} ${assertion.id}`).digest('hex')
    const use = { birthKey: 'saml', forgetAtMs: Math.max(assertion.endsAtMs, now() + loginMs) }
    if ((await uses.take(id, use)) !== undefined)
      throw new LoginRefused('this answer of the provider was used already. Begin again.')
    const { session } = assertion
    return {
      provider: provider.name,
      principal: samlIdentity(provider, assertion),
      confirmedAtMs,
      ...(session === undefined ? {} : { session }),
    }
  }
}
