import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair } from 'jose'
import { Provider } from 'oidc-provider'

interface LoginContext {
  readonly oidc: {
    readonly client: { readonly clientId: string }
    readonly session: { readonly accountId: string }
  }
}

/** A real OpenID provider on loopback. Whoever comes is logged in as `account`, without a question. */
export class LocalProvider {
  readonly url: string
  account: Record<string, unknown> = {}
  /** Whether claims stand in the ID token, or in userinfo only. */
  readonly #server: Server
  readonly #provider: Provider
  /** People who have left. */
  readonly gone = new Set<string>()

  static async open(redirectUri: string, inIdToken: boolean): Promise<LocalProvider> {
    const { privateKey } = await generateKeyPair('RS256', { extractable: true })
    const key = { ...(await exportJWK(privateKey)), kid: 'p1', alg: 'RS256', use: 'sig' }
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new LocalProvider(server, key, redirectUri, inIdToken)
  }

  private constructor(server: Server, key: object, redirectUri: string, inIdToken: boolean) {
    this.#server = server
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
      features: { devInteractions: { enabled: false } },
      interactions: { url: () => '/interaction' },
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
    const answer = this.#provider.callback()
    server.on('request', (request, response) => {
      if (request.url?.startsWith('/interaction') === true) void this.#logIn(request, response)
      else answer(request, response)
    })
  }

  async #logIn(request: IncomingMessage, response: ServerResponse): Promise<void> {
    await this.#provider.interactionFinished(request, response, { login: { accountId: 'u-dana' } })
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
