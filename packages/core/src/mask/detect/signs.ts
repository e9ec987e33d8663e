/** What one pass over the bytes of a value notices: a detector whose signs are missing can't match. */
export const SIGN = {
  at: 1,
  dot: 2,
  colon: 4,
  dash: 8,
  underscore: 16,
  plus: 32,
  angle: 64,
  equals: 128,
  /** `eyJ`: how every JSON web token starts. */
  jwt: 256,
  /** `A` before one of the letters that follow it in cloud keys. */
  capitalA: 512,
  /** `Bas` or `Bea`, in any case: Basic and Bearer. */
  scheme: 1024,
  backslash: 2048,
} as const

/** Above the signs, the result counts digits, up to this many. */
const digitShift = 12
const digitsMax = 255

const digit = -1
const letters = 1 << 30
const classes = new Int32Array(256)
for (let byte = 48; byte < 58; byte++) classes[byte] = digit
const marks: Readonly<Record<string, number>> = {
  '@': SIGN.at,
  '.': SIGN.dot,
  ':': SIGN.colon,
  '-': SIGN.dash,
  _: SIGN.underscore,
  '+': SIGN.plus,
  '<': SIGN.angle,
  '=': SIGN.equals,
  '\\': SIGN.backslash,
}
for (const [mark, sign] of Object.entries(marks)) classes[mark.charCodeAt(0)] = sign
for (const letter of 'eABb') classes[letter.charCodeAt(0)] = letters

/** Reads the signs of the bytes from `start` to `end` without making a string of them. */
export function readSigns(bytes: Uint8Array, start: number, end: number): number {
  let signs = 0
  let digits = 0
  for (let at = start; at < end; at++) {
    const kind = classes[bytes[at] ?? 0] ?? 0
    if (kind === 0) continue
    if (kind === digit) digits++
    else if (kind === letters) signs |= at + 2 < end ? prefixSign(bytes, at) : 0
    else signs |= kind
  }
  return signs | (Math.min(digits, digitsMax) << digitShift)
}

/** True where a value with these signs may contain what `needed` and `digits` ask for. */
export function hasSigns(signs: number, needed: number, digits: number): boolean {
  return (signs & needed) === needed && signs >>> digitShift >= digits
}

function prefixSign(bytes: Uint8Array, at: number): number {
  const [first, second, third] = [bytes[at] ?? 0, bytes[at + 1] ?? 0, bytes[at + 2] ?? 0]
  if (first === 0x65) return second === 0x79 && third === 0x4a ? SIGN.jwt : 0
  if (first === 0x62 || (second | 32) === 0x61 || (first === 0x42 && (second | 32) === 0x65)) {
    const [lower, last] = [second | 32, third | 32]
    const isScheme = (lower === 0x61 && last === 0x73) || (lower === 0x65 && last === 0x61)
    return isScheme ? SIGN.scheme : 0
  }
  // AKIA, ASIA, ABIA, ACCA and AIza.
  const cloud =
    second === 0x4b || second === 0x53 || second === 0x42 || second === 0x43 || second === 0x49
  return first === 0x41 && cloud ? SIGN.capitalA : 0
}
