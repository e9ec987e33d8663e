import { numberStep, OID } from '@sallyport/core'
import type { GuardColumn } from './guard-column.ts'
import { hexOf, macOfText, type MaskInput } from './mask-secrets.ts'

/** The largest value of each whole-number type. */
const integerMax: ReadonlyMap<number, bigint> = new Map([
  [OID.int2, 32_767n],
  [OID.int4, 2_147_483_647n],
  [OID.int8, 9_223_372_036_854_775_807n],
])

/** A token has at most as many digits: its arithmetic stays exact, and no real number that is a secret has more. */
const tokenDigitsMax = 15

/** The mask of a number; undefined for other types and for functions that show nothing of one. */
export function maskedNumber(input: MaskInput): string | undefined {
  const { column, value } = input
  const { typeOid } = column
  if (integerMax.has(typeOid)) return ofNumber(input, `${value}::pg_catalog."numeric"`)
  const isDecimal = typeOid === OID.numeric
  if (!isDecimal && typeOid !== OID.float4 && typeOid !== OID.float8) return undefined
  // NaN, infinities and what is printed with an exponent are hidden whole.
  const text = `(${value}::pg_catalog.text collate pg_catalog."C")`
  const shown = ofNumber(input, isDecimal ? value : `${text}::pg_catalog."numeric"`)
  if (shown === undefined) return undefined
  return `case when ${text} ~ '^-?[0-9]+([.][0-9]+)?$' then ${shown} else 0 end`
}

function ofNumber({ column, fn, secrets }: MaskInput, number: string): string | undefined {
  const size = `pg_catalog.trunc(pg_catalog.abs(${number}))`
  const digits = `pg_catalog.length((${size})::pg_catalog.text)`
  const limit = limitOf(column)
  if (limit === 'none') return undefined
  if (fn === 'partial') {
    // A number that is nothing but its leading digit would be shown whole.
    const isLong = `(${size} >= 10 or ${size} >= 1 and pg_catalog.scale(${number}) > 0)`
    return `case when ${isLong} then pg_catalog.trunc(${number}, 1 - ${digits}) else 0 end`
  }
  const step = numberStep(fn)
  if (step !== undefined) {
    return clamp(`pg_catalog.round(${number} / ${step}) * ${step}`, BigInt(step), limit?.whole)
  }
  if ((fn !== 'token' && fn !== 'hash') || secrets === undefined) return undefined
  // Trailing zeros do not change a number, so they must not change its token.
  const code = macOfText(secrets, 'digits', `(pg_catalog.trim_scale(${number}))::pg_catalog.text`)
  const random = `(('x' || ${hexOf(code, 1, 15)})::pg_catalog."bit"(60))::pg_catalog.int8`
  const shown = `least(${digits}, ${tokenDigitsMax})`
  const power = `pg_catalog.trunc(pg_catalog.power(10::pg_catalog."numeric", ${shown} - 1))`
  const span =
    limit === undefined ? `9 * ${power}` : `least(9 * ${power}, ${limit.whole} - ${power} + 1)`
  return `pg_catalog.sign(${number}) * (${power} + pg_catalog.mod(${random}::pg_catalog."numeric", ${span}))`
}

interface Limit {
  /** The largest value, without its part behind the point. */
  readonly whole: string
}

/** What still fits the declared type: beyond it the target fails, and the error tells of a value. `none` where nothing does. */
function limitOf({ typeOid, typmod }: GuardColumn): Limit | undefined | 'none' {
  const max = integerMax.get(typeOid)
  if (max !== undefined) return { whole: String(max) }
  if (typeOid !== OID.numeric || typmod < 4) return undefined
  const precision = ((typmod - 4) >> 16) & 0xffff
  const scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024
  if (scale < 0 || scale >= precision) return 'none'
  return { whole: '9'.repeat(precision - scale) }
}

/** To the last step that fits, not to the limit itself: that one may be the value. */
function clamp(number: string, step: bigint, max: string | undefined): string {
  if (max === undefined) return number
  const last = (BigInt(max) / step) * step
  return `greatest(-(${last}), least(${last}, ${number}))`
}
