import { luhnDigit } from './detect/checks.ts'
import type { MaskKey } from './mask-key.ts'

/** Longer texts are prose: word for word their shape would tell too much. */
const fakedCharactersMax = 256

const email = /^[^\s@]{1,64}@[^\s@]{1,253}$/
const iban = /^[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}$/
const card = /^[0-9](?:[ -]?[0-9]){12,18}$/
/** Reserved for documents (RFC 2606), so a fake address reaches nobody. */
const domain = 'example.com'

/**
 * A text of the same form that stands for no one: letters for letters, digits for digits, signs where they were. Addresses end in
 * `example.com`, card numbers and IBANs have right check digits. Equal texts stay equal under one key; no fake is longer than
 * its text. Undefined for a text that is too long to have a form.
 */
export function fakeText(text: string, key: MaskKey): string | undefined {
  if (text.length > fakedCharactersMax) return undefined
  const keyed = new KeyedChoice(key, text)
  if (email.test(text)) return fakeEmail(text, keyed)
  if (card.test(text)) return fakeCard(text, keyed)
  if (iban.test(text)) return fakeIban(text, keyed)
  return likeIt(text, keyed)
}

/** Numbers that depend on a value and a key alone. */
class KeyedChoice {
  readonly #key: MaskKey
  readonly #value: string
  #bytes = ''
  #at = 0
  #block = 0

  constructor(key: MaskKey, value: string) {
    this.#key = key
    this.#value = value
  }

  /** A number below `count`, which is at most 26: the bias of a byte is below two in a hundred. */
  below(count: number): number {
    if (this.#at === this.#bytes.length) {
      this.#bytes = this.#key.macText(`fake-${this.#block}`, this.#value)
      this.#block += 1
      this.#at = 0
    }
    const byte = this.#bytes.charCodeAt(this.#at)
    this.#at += 1
    return byte % count
  }
}

function likeIt(text: string, keyed: KeyedChoice): string {
  let out = ''
  for (const character of text) out += likeCharacter(character, keyed)
  return out
}

function likeCharacter(character: string, keyed: KeyedChoice): string {
  if (character >= '0' && character <= '9') return String(keyed.below(10))
  if (/^\p{Lu}$/u.test(character)) return String.fromCharCode(65 + keyed.below(26))
  // Letters of scripts without cases too: which script it was is no form worth keeping.
  if (/^[\p{L}\p{N}\p{M}]$/u.test(character)) return String.fromCharCode(97 + keyed.below(26))
  return /^[\x20-\x7e\p{P}\p{Z}\s]$/u.test(character) ? character : '*'
}

function fakeEmail(text: string, keyed: KeyedChoice): string {
  const at = text.indexOf('@')
  const local = likeIt(text.slice(0, at), keyed)
  const rest = text.length - at - 1
  return `${local}@${rest >= domain.length ? domain : likeIt(text.slice(at + 1), keyed)}`
}

/** The issuer's first digit stays, so that it is still a card of that kind. */
function fakeCard(text: string, keyed: KeyedChoice): string {
  const length = text.replace(/[^0-9]/g, '').length
  let digits = text.charAt(0)
  while (digits.length < length - 1) digits += String(keyed.below(10))
  digits += luhnDigit(digits)
  let at = 0
  return text.replace(/[0-9]/g, () => digits.charAt(at++))
}

/** The country stays; ISO 7064 mod 97,10 gives the check digits. */
function fakeIban(text: string, keyed: KeyedChoice): string {
  const rest = likeIt(text.slice(4), keyed)
  const moved = `${rest.replaceAll(' ', '')}${text.slice(0, 2)}00`
  let remainder = 0
  for (const character of moved) {
    const value = Number.parseInt(character, 36)
    remainder = (remainder * (value > 9 ? 100 : 10) + value) % 97
  }
  return `${text.slice(0, 2)}${String(98 - remainder).padStart(2, '0')}${rest}`
}
