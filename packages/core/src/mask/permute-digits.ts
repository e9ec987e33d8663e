import type { MaskKey } from './mask-key.ts'

/** FF1 uses ten rounds; more than small domains strictly need. */
const rounds = 10

/** Up to here a number with this many digits is exact in a double. */
const doubleDigitsMax = 15

/** Up to here half of a number fits the 48 bits of the round function. */
const feistelDigitsMax = 20

/** Values on one side of these limits stay there, so that a masked int4 is an int4, and the same number masks alike in every integer type. */
const typeLimits = [32_767n, 2_147_483_647n, 4_294_967_295n, 9_223_372_036_854_775_807n]

interface Band {
  readonly domain: number
  readonly low: bigint
  readonly high: bigint
  /** The same as doubles, exact up to 15 digits. */
  readonly start: number
  readonly end: number
  readonly left: number
  readonly right: number
}

const bands = makeBands()

/**
 * Replaces a whole number, given as decimal digits without leading zeros, by another with as many digits.
 * Up to 20 digits this is a keyed permutation; longer numbers get keyed digits, where a collision is out of reach.
 */
export function permuteDigits(digits: string, key: MaskKey): string {
  if (digits.length > feistelDigitsMax) return keyedDigits(digits, digits.length, key)
  const bandsOfLength = bands[digits.length] ?? []
  if (digits.length <= doubleDigitsMax) {
    const small = Number(digits)
    const band = bandsOfLength.find((candidate) => small <= candidate.end)
    if (band !== undefined) return String(permuteSmall(small, band, key))
  }
  const value = BigInt(digits)
  const band = bandsOfLength.find((candidate) => value <= candidate.high)
  if (band === undefined) return keyedDigits(digits, digits.length, key)
  return String(permuteLarge(value, band, key))
}

/** Digits that depend on `seed` alone; the first is never 0. */
export function keyedDigits(seed: string, length: number, key: MaskKey): string {
  let out = ''
  for (let block = 0; out.length < length; block++) {
    const mac = key.macText(`digits-${block}`, seed)
    for (let at = 0; at < mac.length && out.length < length; at += 1) {
      const byte = mac.charCodeAt(at)
      // 250 and above would favour the small digits.
      if (byte < 250 && !(out === '' && byte % 10 === 0)) out += String(byte % 10)
    }
  }
  return out
}

/** Walks the permutation of the slightly larger rectangle until it lands in the band again. */
function permuteSmall(value: number, band: Band, key: MaskKey): number {
  const low = band.start
  const size = band.end - low + 1
  let at = value - low
  do {
    const [left, right] = mix(Math.floor(at / band.right), at % band.right, band, key)
    at = left * band.right + right
  } while (at >= size)
  return at + low
}

function permuteLarge(value: bigint, band: Band, key: MaskKey): bigint {
  const width = BigInt(band.right)
  let at = value - band.low
  do {
    const [left, right] = mix(Number(at / width), Number(at % width), band, key)
    at = BigInt(left) * width + BigInt(right)
  } while (at > band.high - band.low)
  return at + band.low
}

/** A Feistel network over the rectangle left × right: each side in turn moves by a function of the other. */
function mix(leftIn: number, rightIn: number, band: Band, key: MaskKey): [number, number] {
  let left = leftIn
  let right = rightIn
  for (let round = 0; round < rounds; round += 2) {
    left = (left + key.roundModulo(band.domain, round, right, band.left, band.right)) % band.left
    right =
      (right + key.roundModulo(band.domain, round + 1, left, band.right, band.right)) % band.right
  }
  return [left, right]
}

function makeBands(): readonly (readonly Band[])[] {
  const all: Band[][] = [[]]
  for (let digits = 1; digits <= feistelDigitsMax; digits++) {
    let low = digits === 1 ? 0n : 10n ** BigInt(digits - 1)
    const end = 10n ** BigInt(digits) - 1n
    const highs = [...typeLimits.filter((limit) => limit >= low && limit < end), end]
    all.push(
      highs.map((high, index) => {
        const band = makeBand(digits * 8 + index, low, high)
        low = high + 1n
        return band
      }),
    )
  }
  return all
}

function makeBand(domain: number, low: bigint, high: bigint): Band {
  const size = high - low + 1n
  const right = Math.ceil(Math.sqrt(Number(size)))
  const left = Number((size + BigInt(right) - 1n) / BigInt(right))
  return { domain, low, high, start: Number(low), end: Number(high), left, right }
}
