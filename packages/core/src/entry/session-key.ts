import { Buffer } from 'node:buffer'
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

/** AES-256-GCM: a nonce of 96 bits and a tag of 128 bits, as NIST SP 800-38D recommends. */
const CIPHER = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Wraps a session's key: nonce, tag, ciphertext. The session's id is bound to it, so that keys can't be swapped. */
export function wrapSessionKey(recordingKey: Uint8Array, key: Uint8Array, session: string): Buffer {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, recordingKey, nonce).setAAD(Buffer.from(session))
  const sealed = Buffer.concat([cipher.update(key), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed])
}

/** Returns the key, or undefined when the recording key is another one or the wrapped key was changed. */
export function unwrapSessionKey(
  recordingKey: Uint8Array,
  wrapped: Uint8Array,
  session: string,
): Buffer | undefined {
  const body = NONCE_BYTES + TAG_BYTES
  if (wrapped.length <= body) return undefined
  try {
    const nonce = wrapped.subarray(0, NONCE_BYTES)
    const cipher = createDecipheriv(CIPHER, recordingKey, nonce, { authTagLength: TAG_BYTES })
      .setAAD(Buffer.from(session))
      .setAuthTag(wrapped.subarray(NONCE_BYTES, body))
    return Buffer.concat([cipher.update(wrapped.subarray(body)), cipher.final()])
  } catch {
    // GCM reports every mismatch as an error; which one it was is nobody's business.
    return undefined
  }
}
