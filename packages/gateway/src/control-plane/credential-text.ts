import { createHash, randomBytes, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { makeId, type CredentialId } from '@sallyport/core'

const base62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
/** 154 random bits. */
const secretCharacters = 26
/** Enough for every CRC-32. */
const checksumCharacters = 6

/** A new credential: `spc_<id:13>_<secret:26><crc:6>`. The text is the password; the id, which is no secret, goes into the user name. */
export interface NewCredentialText {
  readonly id: CredentialId
  readonly text: string
}

export function makeCredentialText(): NewCredentialText {
  const id = makeId<CredentialId>('spc', randomBytes).slice('spc_'.length) as CredentialId
  let secret = ''
  for (let at = 0; at < secretCharacters; at += 1) secret += base62.charAt(randomInt(base62.length))
  const body = `spc_${id}_${secret}`
  return { id, text: body + checksum(body) }
}

/** The id inside a credential, where its form and checksum are right. Lets scanners and error messages tell a typo from a wrong secret. */
export function credentialIdOf(text: string): CredentialId | undefined {
  const match = /^(spc_([0-9a-hjkmnp-tv-z]{13})_[0-9A-Za-z]{26})([0-9A-Za-z]{6})$/.exec(text)
  if (match === null || checksum(match[1] ?? '') !== match[3]) return undefined
  return match[2] as CredentialId
}

/** The digest that the store keeps, for protocols where the secret travels whole. */
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
