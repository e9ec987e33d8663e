import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose'
import { Provider } from 'oidc-provider'

interface LoginContext {
  readonly oidc: {
    readonly client: { readonly clientId: string }
    readonly session: { readonly accountId: string }
  }
}

/** A real OpenID provider on loopback. Whoever comes is logged in as `subject` with the claims of `account`, without a question. */
export class LocalProvider {
  readonly url: string
  subject = 'u-dana'
  account: Record<string, unknown> = {}
  /** How often somebody had to log in; who has a session need not. */
  logins = 0
  readonly #key: CryptoKey
  /** Whether claims stand in the ID token, or in userinfo only. */
  readonly #server: Server
  readonly #provider: Provider
  /** People who have left. */
  readonly gone = new Set<string>()
  /** Reports of the end of a session that were not taken. */
  readonly failures: unknown[] = []

  /** With `logoutUri` it reports the end of sessions there. */
  static async open(
    redirectUri: string,
    inIdToken: boolean,
    logoutUri?: string,
  ): Promise<LocalProvider> {
    const { privateKey } = await generateKeyPair('RS256', { extractable: true })
    const key = { ...(await exportJWK(privateKey)), kid: 'p1', alg: 'RS256', use: 'sig' }
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const logout =
      logoutUri === undefined
        ? {}
        : { backchannel_logout_uri: logoutUri, backchannel_logout_session_required: true }
    return new LocalProvider(server, privateKey, key, redirectUri, inIdToken, logout)
  }

  private constructor(
    server: Server,
    privateKey: CryptoKey,
    key: object,
    redirectUri: string,
    inIdToken: boolean,
    logout: object,
  ) {
    this.#server = server
    this.#key = privateKey
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    this.#provider = new Provider(this.url, {
      jwks: { keys: [key] },
      cookies: { keys: ['test'] },
      conformIdTokenClaims: !inIdToken,
      clients: [
        {
          client_id: 'sallyport',
          client_secret: 'test-secret',
          redirect_uris: [redirectUri],
          grant_types: ['authorization_code', 'refresh_token'],
          token_endpoint_auth_method: 'client_secret_post',
          ...logout,
        },
      ],
      scopes: ['openid', 'email', 'profile', 'offline_access'],
      claims: {
        openid: ['sub', 'groups', '_claim_names'],
        email: ['email', 'email_verified'],
        profile: ['hd'],
      },
      pkce: { required: () => true },
      issueRefreshToken: () => true,
      ttl: {
        Interaction: 60,
        Session: 60,
        Grant: 600,
        AccessToken: 60,
        IdToken: 60,
        RefreshToken: 600,
      },
      features: {
        devInteractions: { enabled: false },
        backchannelLogout: { enabled: 'backchannel_logout_uri' in logout },
      },
      interactions: { url: () => '/interaction' },
      // Its own way out refuses loopback, and waits for two seconds only.
      fetch: (url: string, { dispatcher: _guard, signal: _limit, ...init }: RequestInit) =>
        fetch(url, init),
      findAccount: (_context: unknown, id: string) =>
        this.gone.has(id)
          ? undefined
          : { accountId: id, claims: () => ({ sub: id, ...this.account }) },
      loadExistingGrant: async ({ oidc }: LoginContext) => {
        const grant = new this.#provider.Grant({
          clientId: oidc.client.clientId,
          accountId: oidc.session.accountId,
        })
        grant.addOIDCScope('openid email profile offline_access')
        await grant.save()
        return grant
      },
    })
    this.#provider.on('backchannel.error', (_context, error) => this.failures.push(error))
    const answer = this.#provider.callback()
    server.on('request', (request, response) => {
      if (request.url?.startsWith('/interaction') === true) void this.#logIn(request, response)
      else answer(request, response)
    })
  }

  async #logIn(request: IncomingMessage, response: ServerResponse): Promise<void> {
    this.logins += 1
    await this.#provider.interactionFinished(request, response, {
      login: { accountId: this.subject },
    })
  }

  /** Any token that is signed with the provider's key. */
  async sign(
    claims: Readonly<Record<string, unknown>>,
    head: Readonly<Record<string, unknown>> & { readonly crit?: string[] } = {},
  ): Promise<string> {
    const crit = Object.fromEntries((head.crit ?? []).map((name) => [name, false]))
    return new SignJWT({ iss: this.url, ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: 'p1', ...head })
      .sign(this.#key, { crit })
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
