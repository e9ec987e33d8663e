import { Secret } from '@sallyport/core'
import * as oidc from 'openid-client'
import type { OidcProvider } from '../config/identity-config.ts'
import { LoginRefused, type IdentityClaims } from './identity.ts'

/** A person waits in front of a browser. */
const timeoutSeconds = 10
/** A person who decides about others' commands has shown who they are so long ago at most. */
export const freshSeconds = 300
/** Keys and addresses of a provider change rarely. */
const freshMs = 3_600_000

/** What must come back with a login that was begun. */
export interface LoginChecks {
  readonly state: string
  readonly nonce: string
  readonly verifier: string
  /** The person has to log in now, whatever session the provider still has. */
  readonly isFresh: boolean
}

/** Who logged in, and what renews it. */
export interface ProviderAnswer {
  readonly claims: IdentityClaims
  readonly refreshToken?: Secret<string>
}

/** Talks to the OpenID providers of the configuration. */
export class ProviderClient {
  readonly #known = new Map<
    string,
    { readonly config: Promise<oidc.Configuration>; readonly untilMs: number }
  >()

  /** The address at the provider where a person logs in, and what to hold against its answer. */
  async begin(
    provider: OidcProvider,
    redirectUri: string,
    isFresh = false,
  ): Promise<{ readonly url: URL; readonly checks: LoginChecks }> {
    const config = await this.#configOf(provider)
    const checks = {
      state: oidc.randomState(),
      nonce: oidc.randomNonce(),
      verifier: oidc.randomPKCECodeVerifier(),
      isFresh,
    }
    const url = oidc.buildAuthorizationUrl(config, {
      redirect_uri: redirectUri,
      response_type: 'code',
      scope: provider.scopes.join(' '),
      code_challenge: await oidc.calculatePKCECodeChallenge(checks.verifier),
      code_challenge_method: 'S256',
      state: checks.state,
      nonce: checks.nonce,
      // OpenID Connect Core, section 3.1.2.1: with max_age the ID token has to say when the person logged in.
      ...(isFresh ? { prompt: 'login', max_age: '0' } : {}),
    })
    return { url, checks }
  }

  /** Exchanges the code. Signature, issuer, audience, nonce and times of the ID token are verified. */
  async finish(provider: OidcProvider, answer: URL, checks: LoginChecks): Promise<ProviderAnswer> {
    const config = await this.#configOf(provider)
    const tokens = await oidc.authorizationCodeGrant(config, answer, {
      expectedState: checks.state,
      expectedNonce: checks.nonce,
      pkceCodeVerifier: checks.verifier,
      idTokenExpected: true,
      ...(checks.isFresh ? { maxAge: freshSeconds } : {}),
    })
    return this.#answerOf(provider, config, tokens)
  }

  /** Looks again: the provider refuses where the person has left. */
  async renew(
    provider: OidcProvider,
    refreshToken: Secret<string>,
    subject: string,
  ): Promise<ProviderAnswer> {
    const config = await this.#configOf(provider)
    const tokens = await oidc.refreshTokenGrant(config, refreshToken.expose())
    const answer = await this.#answerOf(provider, config, tokens, subject)
    return { refreshToken, ...answer }
  }

  async #answerOf(
    provider: OidcProvider,
    config: oidc.Configuration,
    tokens: oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers,
    subject?: string,
  ): Promise<ProviderAnswer> {
    const claims: Record<string, unknown> & { sub?: string } = { ...tokens.claims() }
    const sub = claims.sub ?? subject
    if (sub === undefined) throw new LoginRefused(`${provider.name} sends no ID token`)
    if (subject !== undefined && sub !== subject)
      throw new LoginRefused(`${provider.name} renewed the login of somebody else`)
    const wanted = [provider.groupsClaim, provider.userClaim]
    const isThin =
      wanted.some((claim) => claims[claim] === undefined) && claims['_claim_names'] === undefined
    // Some providers put groups into userinfo only.
    const more =
      isThin && config.serverMetadata().userinfo_endpoint !== undefined
        ? await oidc.fetchUserInfo(config, tokens.access_token, sub)
        : {}
    const { refresh_token: refreshToken } = tokens
    return {
      claims: { ...more, ...claims, sub },
      ...(refreshToken === undefined ? {} : { refreshToken: new Secret(refreshToken) }),
    }
  }

  #configOf(provider: OidcProvider): Promise<oidc.Configuration> {
    const id = JSON.stringify([provider.issuer, provider.clientId, provider.clientSecret?.expose()])
    const known = this.#known.get(id)
    if (known !== undefined && known.untilMs > Date.now()) return known.config
    const config = discover(provider)
    this.#known.set(id, { config, untilMs: Date.now() + freshMs })
    // A provider that was down is asked again.
    config.catch(() => this.#known.delete(id))
    return config
  }
}

async function discover({
  issuer,
  clientId,
  clientSecret,
}: OidcProvider): Promise<oidc.Configuration> {
  const isLoopback = new URL(issuer).protocol === 'http:'
  const config = await oidc.discovery(
    new URL(issuer),
    clientId,
    {},
    clientSecret === undefined ? oidc.None() : oidc.ClientSecretPost(clientSecret.expose()),
    { timeout: timeoutSeconds, execute: isLoopback ? [oidc.allowInsecureRequests] : [] },
  )
  // The token came over TLS from the provider itself; its signature is checked all the same.
  oidc.enableNonRepudiationChecks(config)
  return config
}

/** Whether the provider itself said no, as opposed to not being reached. */
export function isProvidersRefusal(error: unknown): boolean {
  return error instanceof oidc.ResponseBodyError && error.error === 'invalid_grant'
}
