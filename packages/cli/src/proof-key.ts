import {
  createHash,
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
  sign,
} from 'node:crypto'

/** A gateway whose clock is this near takes our proofs as they are. */
const offsetMsMin = 5_000

/**
 * A key of this process, which a handle is bound to: whoever reads the handle somewhere can do nothing with it (RFC 9449).
 * In memory only.
 */
export class ProofKey {
  readonly #key: KeyObject
  readonly #jwk: {
    readonly kty: string
    readonly crv: string
    readonly x: string
    readonly y: string
  }
  /** How far the gateway's clock is ahead of ours. */
  #offsetMs = 0

  static make(): ProofKey {
    return new ProofKey(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)
  }

  /** From what `toText` gave. */
  static fromText(text: string): ProofKey {
    return new ProofKey(
      createPrivateKey({ key: Buffer.from(text, 'base64'), format: 'der', type: 'pkcs8' }),
    )
  }

  private constructor(key: KeyObject) {
    const { kty = '', crv = '', x = '', y = '' } = key.export({ format: 'jwk' })
    this.#key = key
    this.#jwk = { kty, crv, x, y }
  }

  /** The secret itself, for the broker's memory. */
  toText(): string {
    return this.#key.export({ format: 'der', type: 'pkcs8' }).toString('base64')
  }

  /** A proof for one request (RFC 9449, section 4.2); with the handle that it comes with, where there is one yet. */
  proof(method: string, url: string, handle?: string): string {
    const { origin, pathname } = new URL(url)
    const head = { typ: 'dpop+jwt', alg: 'ES256', jwk: this.#jwk }
    const claims = {
      jti: randomUUID(),
      htm: method,
      htu: origin + pathname,
      iat: Math.floor((Date.now() + this.#offsetMs) / 1000),
      ...(handle === undefined
        ? {}
        : { ath: createHash('sha256').update(handle).digest('base64url') }),
    }
    const text = `${encode(head)}.${encode(claims)}`
    const signature = sign('sha256', Buffer.from(text), {
      key: this.#key,
      dsaEncoding: 'ieee-p1363',
    })
    return `${text}.${signature.toString('base64url')}`
  }

  /** Learns the gateway's clock from an answer. True where ours was so far off that another try is worth it. */
  setClock(date: string | null): boolean {
    const offsetMs = Date.parse(date ?? '') - Date.now()
    const isOff = Math.abs(offsetMs - this.#offsetMs) >= offsetMsMin
    if (isOff) this.#offsetMs = offsetMs
    return isOff
  }
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}
