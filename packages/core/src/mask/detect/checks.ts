/** Tells how much of a pattern's match is the value: its length, or 0 where a checksum or a structure says that it's none. */
export type Check = (match: string) => number

const whole = (valid: boolean, match: string): number => (valid ? match.length : 0)
const digitsOf = (text: string): string => text.replace(/[^0-9]/g, '')

/** First digits and lengths of payment cards. */
const issuers =
  /^(?:4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11,16}|(?:6011|64[4-9]\d|65\d\d|62\d\d|35\d\d)\d{12,15}|(?:50|5[6-9]|6\d)\d{11,17})$/

/** The Luhn checksum and an issuer's range, of the digits from `start` to `end`. */
export function isCard(digits: string, start: number, end: number): boolean {
  return luhnSum(digits, start, end) % 10 === 0 && issuers.test(digits.slice(start, end))
}

/** The digit that makes a number pass the Luhn check. */
export function luhnDigit(digits: string): string {
  return String((10 - (luhnSum(`${digits}0`, 0, digits.length + 1) % 10)) % 10)
}

function luhnSum(digits: string, start: number, end: number): number {
  let sum = 0
  for (let at = end - 1, alternate = false; at >= start; at--, alternate = !alternate) {
    const digit = digits.charCodeAt(at) - 48
    sum += alternate ? (digit > 4 ? digit * 2 - 9 : digit * 2) : digit
  }
  return sum
}

/** Lengths by country, from the IBAN registry. */
const ibanLengths = new Map(
  `AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20
   EG29 ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30
   KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 PK24
   PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22
   VG24 XK20`
    .split(/\s+/)
    .map((entry): [string, number] => [entry.slice(0, 2), Number(entry.slice(2))]),
)

/** The pattern may run into the words behind; the country says where the number ends. */
export const checkIban: Check = (match) => {
  const length = ibanLengths.get(match.slice(0, 2).toUpperCase())
  if (length === undefined) return 0
  let end = 0
  let iban = ''
  for (; end < match.length && iban.length < length; end++) {
    if (match[end] !== ' ') iban += match.charAt(end)
  }
  if (iban.length < length || /[0-9A-Za-z]/.test(match.charAt(end))) return 0
  let remainder = 0
  for (const character of iban.slice(4) + iban.slice(0, 4)) {
    const value = Number.parseInt(character, 36)
    remainder = (remainder * (value > 9 ? 100 : 10) + value) % 97
  }
  return remainder === 1 ? end : 0
}

export const checkSsn: Check = (match) => {
  const digits = digitsOf(match)
  return whole(/^(?!000|666|9)\d{3}(?!00)\d{2}(?!0000)\d{4}$/.test(digits), match)
}

export const checkNino: Check = (match) => whole(!/^(?:BG|GB|KN|NK|NT|TN|ZZ)/i.test(match), match)

/** ISO 7064 mod 11,10, and the rule that of the first ten digits exactly one comes two or three times. */
export const checkTaxIdDe: Check = (match) => {
  const digits = Array.from(digitsOf(match), Number)
  const counts = new Map<number, number>()
  let product = 10
  for (const digit of digits.slice(0, 10)) {
    counts.set(digit, (counts.get(digit) ?? 0) + 1)
    product = (((digit + product) % 10 || 10) * 2) % 11
  }
  const repeats = [...counts.values()].filter((count) => count > 1)
  const shaped = repeats.length === 1 && (repeats[0] ?? 0) <= 3
  return whole(shaped && (11 - product) % 10 === digits[10], match)
}

/** The key is 97 minus the number modulo 97; Corsica's letters count as 19 and 18. */
export const checkInsee: Check = (match) => {
  const compact = match.replaceAll(' ', '').toUpperCase()
  const number = Number(compact.slice(0, 13).replace('2A', '19').replace('2B', '18'))
  return whole(97 - (number % 97) === Number(compact.slice(13)), match)
}

export const checkDni: Check = (match) => {
  const compact = match.replace(/[ -]/g, '').toUpperCase()
  const number = Number(
    compact.slice(0, -1).replace(/^[XYZ]/, (letter) => String('XYZ'.indexOf(letter))),
  )
  return whole('TRWAGMYFPDXBNJZSQVHLCKE'[number % 23] === compact.at(-1), match)
}

/** The second line of a passport's machine-readable zone carries check digits over its parts. */
export const checkMrz: Check = (match) => {
  const line = match.slice(-44)
  const parts = [line.slice(0, 10), line.slice(13, 20), line.slice(21, 28)]
  return whole(parts.every(hasMrzDigit), match)
}

function hasMrzDigit(part: string): boolean {
  let sum = 0
  for (let at = 0; at < part.length - 1; at++) {
    const character = part.charAt(at)
    sum += (character === '<' ? 0 : Number.parseInt(character, 36)) * ([7, 3, 1][at % 3] ?? 0)
  }
  return sum % 10 === Number(part.at(-1))
}

export const checkIpv4: Check = (match) =>
  whole(
    match.split('.').every((part) => Number(part) < 256),
    match,
  )

/** Eight groups, or fewer with one `::`; a bare `::` and times of day are none. */
export const checkIpv6: Check = (match) => {
  const halves = match.split('::')
  const groups = match.split(':').filter((group) => group !== '')
  if (halves.length > 2 || groups.some((group) => group.length > 4)) return 0
  const complete =
    halves.length === 1 ? groups.length === 8 && !/^:|:$/.test(match) : groups.length < 8
  return whole(complete && groups.length > 1, match)
}

/** E.164: 8 to 15 digits with the country code. */
export const checkPhone: Check = (match) => {
  const { length } = digitsOf(match)
  return whole(length >= 8 && length <= 15, match)
}

/** Words that stand in the place of a secret. */
const placeholder =
  /^(?:null|none|nil|true|false|undefined|required|optional|string|\$\{|\$\(|\{\{|%[sd]|\*{3}|x{6}|•|tok_)/i

/** A word after a colon is prose unless something in it is none. */
export const checkAssigned: Check = (match) => {
  const [, sign = '', value = ''] = /([:=][>=]?)[ \t]{0,4}["']?([^\s"']*)$/.exec(match) ?? []
  if (placeholder.test(value)) return 0
  return whole(!sign.startsWith(':') || /[^A-Za-z.!?)-]/.test(value), match)
}

const entropyCharactersMax = 512

/** Bits per character above what words and names have; digits of a hash have less to choose from. */
export const checkEntropy: Check = (match) => {
  const text = match.slice(0, entropyCharactersMax)
  const counts = new Map<string, number>()
  for (const character of text) counts.set(character, (counts.get(character) ?? 0) + 1)
  let bits = 0
  for (const count of counts.values())
    bits -= (count / text.length) * Math.log2(count / text.length)
  const isHex = /^[0-9a-f]+$/i.test(text)
  return whole(isHex ? text.length >= 32 && bits >= 3 : bits >= 4 && /[0-9]/.test(text), match)
}
