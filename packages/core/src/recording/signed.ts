import { Buffer } from 'node:buffer'
import { createPublicKey, hash, verify, type KeyObject } from 'node:crypto'

/** The public keys that stand beside recordings, by their thumbprints (RFC 7638). */
export class SigningKeys {
  readonly #keys = new Map<string, KeyObject>()

  /** Adds a key in PEM, and returns its thumbprint; undefined where it is no Ed25519 key, or is written in another way. */
  add(pem: string): string | undefined {
    let key: KeyObject
    try {
      key = createPublicKey(pem)
    } catch {
      return undefined
    }
    if (key.export({ type: 'spki', format: 'pem' }) !== pem) return undefined
    const id = thumbprintOf(key)
    if (id !== undefined) this.#keys.set(id, key)
    return id
  }

  /** The payload of a compact JWS (RFC 7515) that one of these keys signed. Throws a RangeError that says what is wrong. */
  open(jws: string): Signed {
    const [head, body, signature, ...rest] = jws.split('.')
    if (head === undefined || body === undefined || signature === undefined || rest.length > 0)
      throw new RangeError('it is not signed')
    const signed = Buffer.from(signature, 'base64url')
    // Other characters can stand for the same bytes; then it is not what was written.
    if (signed.toString('base64url') !== signature) throw new RangeError('its signature is changed')
    const header = fieldsOf(Buffer.from(head, 'base64url').toString())
    const id = header.get('kid')
    if (header.get('alg') !== 'EdDSA' || typeof id !== 'string')
      throw new RangeError('it is signed in a way that is not known')
    const key = this.#keys.get(id)
    if (key === undefined) throw new RangeError(`the key ${id} that signed it is not here`)
    if (!verify(undefined, Buffer.from(`${head}.${body}`), key, signed))
      throw new RangeError('its signature is wrong')
    return { key: id, fields: fieldsOf(Buffer.from(body, 'base64url').toString()) }
  }
}

/** The thumbprint (RFC 7638) of an Ed25519 key in PEM, public or private; undefined where it is none. */
export function thumbprint(pem: string): string | undefined {
  try {
    return thumbprintOf(createPublicKey(pem))
  } catch {
    return undefined
  }
}

function thumbprintOf(key: KeyObject): string | undefined {
  const { kty, crv, x } = key.export({ format: 'jwk' })
  if (key.asymmetricKeyType !== 'ed25519' || kty === undefined || crv === undefined)
    return undefined
  // The members that RFC 8037 requires, in the order that RFC 7638 asks for.
  return hash('sha256', JSON.stringify({ crv, kty, x }), 'base64url')
}

/** What was signed, and by which key. */
export interface Signed {
  readonly key: string
  readonly fields: ReadonlyMap<string, unknown>
}

/** The members of a JSON object. Throws a RangeError where the text is none. */
export function fieldsOf(json: string): ReadonlyMap<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (cause) {
    throw new RangeError('it is no JSON', { cause })
  }
  return membersOf(value)
}

export function membersOf(value: unknown): ReadonlyMap<string, unknown> {
  if (typeof value !== 'object' || value === null) throw new RangeError('it is no JSON object')
  return new Map(Object.entries(value))
}
