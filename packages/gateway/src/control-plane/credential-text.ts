import { createHash, randomBytes, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { makeId, type CredentialId } from '@sallyport/core'

const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** 154 random bits. */
const secretCharacters = 26
/** Enough for every CRC-32. */
const checksumCharacters = 6
const form = /^((spa|spc|spt)_([0-9a-hjkmnp-tv-z]{13})_[0-9A-Za-z]{26})([0-9A-Za-z]{6})$/

/** `spa`: handle of an agent; `spc`: credential for one connection; `spt`: ticket for one birth. */
export type SecretPrefix = 'spa' | 'spc' | 'spt'

/** A new secret: `<prefix>_<id:13>_<secret:26><crc:6>`. The id is no secret. */
export interface NewSecretText {
  readonly id: string
  readonly text: string
}

export function makeSecretText(prefix: SecretPrefix): NewSecretText {
  const id = makeId(prefix, randomBytes).slice(prefix.length + 1)
  let secret = ''
  for (let at = 0; at < secretCharacters; at += 1) secret += base62.charAt(randomInt(base62.length))
  const body = `${prefix}_${id}_${secret}`
  return { id, text: body + checksum(body) }
}

/** The id inside a secret of this kind, where its form and checksum are right. */
export function secretIdOf(prefix: SecretPrefix, text: string): string | undefined {
  const [, body, kind, id, crc] = form.exec(text) ?? []
  return body !== undefined && kind === prefix && checksum(body) === crc ? id : undefined
}

/** A new credential: the text is the password; the id goes into the user name. */
export function makeCredentialText(): { readonly id: CredentialId; readonly text: string } {
  const { id, text } = makeSecretText('spc')
  return { id: id as CredentialId, text }
}

/** The id inside a credential. Lets scanners and error messages tell a typo from a wrong secret. */
export function credentialIdOf(text: string): CredentialId | undefined {
  return secretIdOf('spc', text) as CredentialId | undefined
}

/** The digest that the store keeps of a secret. */
export function credentialDigest(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function checksum(body: string): string {
  let rest = crc32(body)
  let digits = ''
  for (let at = 0; at < checksumCharacters; at += 1) {
    digits = base62.charAt(rest % 62) + digits
    rest = Math.floor(rest / 62)
  }
  return digits
}
