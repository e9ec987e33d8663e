import { Buffer } from 'node:buffer'
import type { MaskFunction } from '../verdict.ts'
import { fakeText } from './fake-text.ts'
import { BLOCK, type Block } from './mask-function.ts'
import type { MaskKey } from './mask-key.ts'

/** What stands where a text was. A write that contains it is refused, so it must be unlikely in real data. */
export const SENTINEL = '•••'

/** A shorter text would be mostly shown by its first and last character. */
const partialLengthMin = 5

/** Below this, the last four characters would be half of the value or more. */
const last4LengthMin = 9

/** No registered top-level domain of everyday use is longer; a longer tail may be the secret itself. */
const email = /^([^\s@])[^\s@]{0,63}@[^\s@]{1,253}(\.[A-Za-z]{2,10})$/
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

/** The masked form of a text. `round` doesn't fit a text, so it hides all of it. */
export function maskText(fn: MaskFunction, text: string, key: MaskKey): string | null | Block {
  switch (fn) {
    case 'block':
      return BLOCK
    case 'null':
      return null
    case 'partial':
      return partialText(text)
    case 'last4':
      return lastFour(text)
    case 'token':
      return tokenOf(text, key)
    case 'hash':
      return hashOf(text, key)
    case 'fake':
      return fakeText(text, key) ?? SENTINEL
    case 'redact':
    default:
      return SENTINEL
  }
}

/** 16 hexadecimal characters that equal values share. */
export function hashOf(value: string | Buffer, key: MaskKey): string {
  return Buffer.from(key.macText('hash', value).slice(0, 8), 'latin1').toString('hex')
}

function tokenOf(text: string, key: MaskKey): string {
  const mac = key.macText('token', text)
  let token = 'tok_'
  for (let at = 0; at < 10; at++) token += alphabet.charAt(mac.charCodeAt(at) & 31)
  return token
}

function partialText(text: string): string {
  const address = email.exec(text)
  if (address !== null) return `${address[1]}**@***${address[2]}`
  if (text.length < partialLengthMin) return SENTINEL
  const first = String.fromCodePoint(text.codePointAt(0) ?? 0)
  // A surrogate pair is one character; half of it would not be valid UTF-8.
  const low = text.charCodeAt(text.length - 1)
  const last = low >= 0xdc00 && low <= 0xdfff ? text.slice(-2) : text.slice(-1)
  return `${first}${SENTINEL}${last}`
}

function lastFour(text: string): string {
  const characters = Array.from(text.slice(-32).replace(/[\s-]/g, ''))
  if (text.length < last4LengthMin || characters.length < last4LengthMin) return SENTINEL
  return `•••• ${characters.slice(-4).join('')}`
}
