import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  randomUUID,
  sign,
} from 'node:crypto'
import { readFileSync } from 'node:fs'
import { SallyportError } from '@sallyport/core'

/** An assertion is made for one request. */
const lifeSeconds = 60

/** How a kind of key signs (RFC 7518, section 3.1; RFC 8037). */
interface Algorithm {
  readonly alg: string
  readonly hash: string | null
  /** What RFC 7638 makes the thumbprint of, in its order. */
  readonly members: readonly string[]
}

const algorithms: Readonly<Record<string, Algorithm>> = {
  'P-256': { alg: 'ES256', hash: 'sha256', members: ['crv', 'kty', 'x', 'y'] },
  Ed25519: { alg: 'EdDSA', hash: null, members: ['crv', 'kty', 'x'] },
  RSA: { alg: 'RS256', hash: 'sha256', members: ['e', 'kty', 'n'] },
}

/** The key of a service, from a PEM file. It never leaves this process. */
export class ServiceKey {
  readonly #key: KeyObject
  readonly #algorithm: Algorithm
  readonly #public: Readonly<Record<string, unknown>>

  static read(path: string): ServiceKey {
    try {
      return new ServiceKey(createPrivateKey(readFileSync(path)))
    } catch (cause) {
      if (cause instanceof SallyportError) throw cause
      throw invalid(`${path} holds no private key in PEM`, cause)
    }
  }

  private constructor(key: KeyObject) {
    const jwk: Readonly<Record<string, unknown>> = createPublicKey(key).export({ format: 'jwk' })
    const algorithm = algorithms[String(jwk['crv'] ?? jwk['kty'])]
    if (algorithm === undefined) throw invalid('a key is of P-256, Ed25519 or RSA')
    const members = algorithm.members.map((name) => [name, jwk[name]])
    const kid = createHash('sha256')
      .update(JSON.stringify(Object.fromEntries(members)))
      .digest('base64url')
    this.#key = key
    this.#algorithm = algorithm
    this.#public = { ...jwk, kid, alg: algorithm.alg, use: 'sig' }
  }

  /** The public half, as the gateway takes it (RFC 7517). */
  keySet(): { readonly keys: readonly unknown[] } {
    return { keys: [this.#public] }
  }

  /** Says to one gateway who is there, once (RFC 7523, section 2.2). */
  assertion(service: string, gateway: string): string {
    const { alg, hash } = this.#algorithm
    const iat = Math.floor(Date.now() / 1000)
    const claims = { iss: service, sub: service, aud: gateway, jti: randomUUID() }
    const head = { alg, kid: this.#public['kid'], typ: 'client-authentication+jwt' }
    const text = `${encode(head)}.${encode({ ...claims, iat, exp: iat + lifeSeconds })}`
    const signature = sign(hash, Buffer.from(text), { key: this.#key, dsaEncoding: 'ieee-p1363' })
    return `${text}.${signature.toString('base64url')}`
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function invalid(detail: string, cause?: unknown): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', detail, { detail, cause })
}
