import { once } from 'node:events'
import { createServer, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose'

/** What the issuer answers instead of its keys. */
export type KeyAnswer = (response: ServerResponse) => void

/** An issuer of workload tokens on loopback. */
export class LocalIssuer {
  readonly url: string
  readonly publicJwk: JWK
  requests = 0
  answerKeys: KeyAnswer | undefined
  /** Replaces fields of the discovery document. */
  discovery: Record<string, unknown> = {}
  readonly #server: Server
  readonly #key: CryptoKey

  static async open(): Promise<LocalIssuer> {
    const { privateKey, publicKey } = await generateKeyPair('RS256')
    const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' }
    const server = createServer()
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    return new LocalIssuer(server, privateKey, jwk)
  }

  private constructor(server: Server, key: CryptoKey, publicJwk: JWK) {
    this.#server = server
    this.#key = key
    this.publicJwk = publicJwk
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('request', (request, response) => {
      this.requests += 1
      if (request.url === '/.well-known/openid-configuration') {
        response.end(
          JSON.stringify({ issuer: this.url, jwks_uri: `${this.url}/keys`, ...this.discovery }),
        )
      } else if (request.url === '/keys' && this.answerKeys !== undefined) this.answerKeys(response)
      else if (request.url === '/keys' || request.url === '/moved')
        response.end(JSON.stringify({ keys: [publicJwk] }))
      else response.writeHead(404).end()
    })
  }

  /** A token that is good for five minutes, unless `claims` say otherwise. */
  async token(
    claims: Readonly<Record<string, unknown>>,
    options: { readonly kid?: string; readonly typ?: string; readonly key?: CryptoKey } = {},
  ): Promise<string> {
    const now = Math.floor(Date.now() / 1000)
    return new SignJWT({ iss: this.url, iat: now, exp: now + 300, ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: options.kid ?? 'k1', typ: options.typ ?? 'JWT' })
      .sign(options.key ?? this.#key)
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }
}
