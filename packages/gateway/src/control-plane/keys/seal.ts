import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { SallyportError, type Secret } from '@sallyport/core'

const nonceBytes = 12
const tagBytes = 16

/** Encrypts with AES-256-GCM: nonce, tag, ciphertext. `name` is bound to it, so a sealed value can't be moved to another name. */
export function seal(key: Secret<Buffer>, name: string, plain: string): Buffer {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key.expose(), nonce, { authTagLength: tagBytes })
  cipher.setAAD(Buffer.from(name))
  const body = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), body])
}

/** Opens what `seal` made; throws where the key, the name or a byte differs. */
export function unseal(key: Secret<Buffer>, name: string, sealed: Buffer): string {
  try {
    const nonce = sealed.subarray(0, nonceBytes)
    const decipher = createDecipheriv('aes-256-gcm', key.expose(), nonce, {
      authTagLength: tagBytes,
    })
    decipher.setAAD(Buffer.from(name))
    decipher.setAuthTag(sealed.subarray(nonceBytes, nonceBytes + tagBytes))
    const plain = [decipher.update(sealed.subarray(nonceBytes + tagBytes)), decipher.final()]
    return Buffer.concat(plain).toString('utf8')
  } catch (cause) {
    throw new SallyportError(
      'SP_INTERNAL',
      `the sealed secret "${name}" does not open with this kek file`,
      {
        cause,
      },
    )
  }
}
