import type { MaskFunction } from '../verdict.ts'
import { isKeyed, numberStep } from './mask-function.ts'
import type { MaskKey } from './mask-key.ts'
import { keyedDigits, permuteDigits } from './permute-digits.ts'

const decimal = /^(-?)0*([0-9]+)(?:\.([0-9]+))?$/

/** A decimal number in parts; `whole` has no leading zeros, `fraction` keeps its trailing ones. */
interface Decimal {
  readonly sign: string
  readonly whole: string
  readonly fraction: string
}

/** The masked form of a plain decimal number, with the same scale. Undefined where the text is no such number or the function shows nothing of it: then use 0. */
export function maskDecimal(fn: MaskFunction, text: string, key: MaskKey): string | undefined {
  const number = parse(text)
  if (number === undefined) return undefined
  if (isKeyed(fn)) return print(tokenNumber(number, key))
  if (fn === 'partial') return partialNumber(number)
  const step = numberStep(fn)
  return step === undefined ? undefined : print(roundNumber(number, BigInt(step)))
}

function parse(text: string): Decimal | undefined {
  const match = decimal.exec(text)
  if (match === null) return undefined
  return { sign: match[1] ?? '', whole: match[2] ?? '0', fraction: match[3] ?? '' }
}

function print({ sign, whole, fraction }: Decimal): string {
  const digits = fraction === '' ? whole : `${whole}.${fraction}`
  // PostgreSQL has no negative zero but in floats.
  return /[1-9]/.test(digits) ? sign + digits : digits
}

/** A trailing zero doesn't change a number, so it must not change its token either. */
function tokenNumber(number: Decimal, key: MaskKey): Decimal {
  const significant = number.fraction.replace(/0+$/, '')
  if (significant === '') return { ...number, whole: permuteDigits(number.whole, key) }
  const seed = `${number.whole}.${significant}`
  return {
    sign: number.sign,
    // A number below 1 may be declared without any digit before the point.
    whole: number.whole === '0' ? '0' : permuteDigits(number.whole, key),
    fraction: keyedDigits(seed, significant.length, key).padEnd(number.fraction.length, '0'),
  }
}

/** Leading digit, rest 0. A number that is nothing but its leading digit would be shown whole. */
function partialNumber(number: Decimal): string | undefined {
  if (number.whole.length + number.fraction.length < 2 || number.whole === '0') return undefined
  return print({
    sign: number.sign,
    whole: number.whole.charAt(0).padEnd(number.whole.length, '0'),
    fraction: '0'.repeat(number.fraction.length),
  })
}

function roundNumber({ sign, whole, fraction }: Decimal, step: bigint): Decimal {
  const unit = step * 10n ** BigInt(fraction.length)
  const rounded = ((BigInt(whole + fraction) + unit / 2n) / unit) * step
  return {
    sign: rounded === 0n ? '' : sign,
    whole: String(rounded),
    fraction: '0'.repeat(fraction.length),
  }
}
