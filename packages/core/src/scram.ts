import { createHash, createHmac, pbkdf2 } from 'node:crypto'
import { promisify } from 'node:util'

/** RFC 5802 section 3: salt, StoredKey and ServerKey in base64. Whoever reads it can check a login, and not make one. */
export interface ScramVerifier {
  readonly salt: string
  readonly iterations: number
  readonly storedKey: string
  readonly serverKey: string
}

export type ScramMechanism = 'SCRAM-SHA-256' | 'SCRAM-SHA-256-PLUS'

/** RFC 7677 section 4 asks for at least this many. Our credentials are random, so that more would only cost callers time. */
export const SCRAM_ITERATIONS = 4096

/** As PostgreSQL makes them. A dummy verifier must have the same size as a real one. */
export const SCRAM_SALT_BYTES = 16

/** The one channel binding that PostgreSQL speaks: a hash of the certificate (RFC 5929). */
export const CHANNEL_BINDING = 'tls-server-end-point'

/** Size of every key in SCRAM-SHA-256. */
export const SCRAM_KEY_BYTES = 32

/** A SCRAM message that breaks the protocol, or an exchange that must not go on. It never quotes the message. */
export class ScramError extends Error {
  override readonly name: string = 'ScramError'
}

/** Makes the verifier of a password. */
export async function scramVerifier(
  password: string,
  salt: Buffer,
  iterations: number,
): Promise<ScramVerifier> {
  const salted = await saltPassword(password, salt, iterations)
  return {
    salt: salt.toString('base64'),
    iterations,
    storedKey: sha256(hmac(salted, 'Client Key')).toString('base64'),
    serverKey: hmac(salted, 'Server Key').toString('base64'),
  }
}

/**
 * A verifier for a credential that does not exist: always the same for one id, and no password fits it. An exchange
 * with it reads and costs the same as one with a wrong password, so that nobody can ask which ids exist.
 */
export function mockVerifier(
  credentialId: string,
  key: Buffer,
  iterations = SCRAM_ITERATIONS,
): ScramVerifier {
  const derive = (part: string): Buffer => hmac(key, `scram ${part} ${credentialId}`)
  return {
    salt: derive('salt').subarray(0, SCRAM_SALT_BYTES).toString('base64'),
    iterations,
    storedKey: derive('stored key').toString('base64'),
    serverKey: derive('server key').toString('base64'),
  }
}

const pbkdf2Async = promisify(pbkdf2)

export function saltPassword(password: string, salt: Buffer, iterations: number): Promise<Buffer> {
  return pbkdf2Async(saslPrep(password), salt, iterations, SCRAM_KEY_BYTES, 'sha256')
}

export function hmac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest()
}

export function sha256(bytes: Buffer): Buffer {
  return createHash('sha256').update(bytes).digest()
}

export function xor(left: Buffer, right: Buffer): Buffer {
  return Buffer.from(left.map((byte, index) => byte ^ (right[index] ?? 0)))
}

/** Base64 in its one canonical form; `Buffer.from` alone would skip what it does not know. */
export function decodeBase64(text: string): Buffer {
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text) throw new ScramError('malformed base64')
  return bytes
}

/** The value of the attribute `name=value`. */
export function attribute(part: string | undefined, name: string): string {
  if (part?.startsWith(`${name}=`) !== true)
    throw new ScramError(`the attribute ${name} is missing`)
  return part.slice(2)
}

/** RFC 5802 section 7: printable ASCII without the comma. */
export function checkNonce(nonce: string): string {
  if (!/^[\x21-\x2b\x2d-\x7e]+$/.test(nonce)) throw new ScramError('malformed nonce')
  return nonce
}

/** A positive number without leading zeros. */
export function readIterations(text: string, max: number): number {
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new ScramError('malformed iteration count')
  const iterations = Number(text)
  if (iterations > max) throw new ScramError(`over ${max} iterations`)
  return iterations
}

/**
 * RFC 4013 as far as PostgreSQL applies it: spaces become one space, invisible characters go, NFKC. A password that it
 * would reject is used as it stands, as PostgreSQL does.
 */
export function saslPrep(password: string): string {
  const mapped = password.replace(otherSpaces, ' ').replace(mappedToNothing, '')
  const prepared = mapped.normalize('NFKC')
  return prepared === '' || prohibited.test(prepared) ? password : prepared
}

/** RFC 3454 table C.1.2. */
const otherSpaces = /[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000]/gu
/** RFC 3454 table B.1; by code point, since some of them join characters. */
const mappedToNothing =
  /\u00ad|\u034f|\u1806|[\u180b-\u180d]|\u200c|\u200d|\u2060|[\ufe00-\ufe0f]|\ufeff/gu
/** Control, private use and unassigned characters. */
const prohibited = /[\p{Cc}\p{Co}\p{Cs}\p{Cn}]/u
