import type { MaskFunction } from '../../verdict.ts'
import { maskDecimal } from '../mask-number.ts'
import type { MaskKey } from '../mask-key.ts'
import { decodeNumeric, encodeNumeric } from './numeric-binary.ts'
import type { PgFormat } from './pg-empty-value.ts'
import { OID } from './pg-types.ts'

/** Masks one value of one type; undefined where only the empty value is left. */
export type Masker = (value: Buffer) => Buffer | undefined

interface IntegerType {
  readonly bytes: number
  readonly min: bigint
  readonly max: bigint
}

const integers: ReadonlyMap<number, IntegerType> = new Map([
  [OID.int2, { bytes: 2, min: -32_768n, max: 32_767n }],
  [OID.int4, { bytes: 4, min: -2_147_483_648n, max: 2_147_483_647n }],
  [OID.int8, { bytes: 8, min: -(2n ** 63n), max: 2n ** 63n - 1n }],
  [OID.oid, { bytes: 4, min: 0n, max: 4_294_967_295n }],
])

/** The masker of a number type; undefined for other types. */
export function numberMasker(
  fn: MaskFunction,
  typeOid: number,
  typmod: number,
  format: PgFormat,
  key: MaskKey,
): Masker | undefined {
  const integer = integers.get(typeOid)
  if (integer !== undefined) return integerMasker(fn, integer, format, key)
  if (typeOid === OID.money) return moneyMasker(fn, format, key)
  if (typeOid === OID.float4 || typeOid === OID.float8) {
    return floatMasker(fn, typeOid === OID.float4, format, key)
  }
  if (typeOid !== OID.numeric) return undefined
  return (value) => {
    const text = format === 'text' ? value.toString('latin1') : decodeNumeric(value)
    const masked = text === undefined ? undefined : maskDecimal(fn, text, key)
    if (masked === undefined || !fitsNumeric(masked, typmod)) return undefined
    return format === 'text' ? Buffer.from(masked) : encodeNumeric(masked)
  }
}

function integerMasker(
  fn: MaskFunction,
  type: IntegerType,
  format: PgFormat,
  key: MaskKey,
): Masker {
  return (value) => {
    const text = format === 'text' ? value.toString('latin1') : readInteger(value, type)
    const masked = text === undefined ? undefined : maskDecimal(fn, text, key)
    if (masked === undefined || masked.includes('.')) return undefined
    const number = BigInt(masked)
    if (number < type.min || number > type.max) return undefined
    return format === 'text' ? Buffer.from(masked) : writeInteger(number, type.bytes)
  }
}

function readInteger(value: Buffer, { bytes, min }: IntegerType): string | undefined {
  if (value.length !== bytes) return undefined
  if (bytes === 8) return String(value.readBigInt64BE(0))
  return String(min === 0n ? value.readUIntBE(0, bytes) : value.readIntBE(0, bytes))
}

function writeInteger(number: bigint, bytes: number): Buffer {
  const whole = Buffer.alloc(8)
  whole.writeBigInt64BE(number)
  return whole.subarray(8 - bytes)
}

const moneyMax = 2n ** 63n - 1n

/** Money prints as the target's locale says, so its digits are masked where they stand. */
function moneyMasker(fn: MaskFunction, format: PgFormat, key: MaskKey): Masker {
  // A step counts whole units, and only the target knows how many digits stand behind the point.
  if (fn.startsWith('round:')) return () => undefined
  if (format === 'binary') {
    return integerMasker(fn, { bytes: 8, min: -(2n ** 63n), max: 2n ** 63n - 1n }, format, key)
  }
  return (value) => {
    const text = value.toString()
    const digits = text.replace(/[^0-9]/g, '')
    const masked = maskDecimal(fn, digits, key)?.padStart(digits.length, '0')
    if (masked === undefined || BigInt(masked) > moneyMax) return undefined
    let at = 0
    return Buffer.from(text.replace(/[0-9]/g, () => masked.charAt(at++)))
  }
}

function floatMasker(fn: MaskFunction, single: boolean, format: PgFormat, key: MaskKey): Masker {
  const bytes = single ? 4 : 8
  return (value) => {
    const text = format === 'text' ? value.toString('latin1') : readFloat(value, bytes)
    const masked = text === undefined ? undefined : maskFloat(fn, text, key)
    if (masked === undefined) return undefined
    const number = Number(masked)
    const stored = single ? Math.fround(number) : number
    // Out of the type's range, at either end, the text would not be a value any more.
    if (!Number.isFinite(stored) || (stored === 0 && /^[^e]*[1-9]/i.test(masked))) return undefined
    if (format === 'text') return Buffer.from(masked)
    const out = Buffer.alloc(bytes)
    if (single) out.writeFloatBE(number)
    else out.writeDoubleBE(number)
    return out
  }
}

/** The shortest decimal that PostgreSQL would print too, so that text and binary mask alike. */
function readFloat(value: Buffer, bytes: number): string | undefined {
  if (value.length !== bytes) return undefined
  if (bytes === 8) return String(value.readDoubleBE(0))
  const number = value.readFloatBE(0)
  for (let precision = 6; precision < 9; precision++) {
    const text = Number(number.toPrecision(precision))
    if (Math.fround(text) === number) return String(text)
  }
  return String(Number(number.toPrecision(9)))
}

/** With an exponent, the digits before it are masked and the magnitude stays. */
function maskFloat(fn: MaskFunction, text: string, key: MaskKey): string | undefined {
  const at = text.search(/e/i)
  if (at < 0) return maskDecimal(fn, text, key)
  if (fn.startsWith('round:')) return undefined
  const masked = maskDecimal(fn, text.slice(0, at), key)
  return masked === undefined ? undefined : masked + text.slice(at)
}

/** A rounded or permuted number may need one digit more than its column declares. */
function fitsNumeric(text: string, typmod: number): boolean {
  if (typmod < 4) return true
  const precision = ((typmod - 4) >> 16) & 0xffff
  const scale = (((typmod - 4) & 0x7ff) ^ 1024) - 1024
  const whole = text.replace('-', '').split('.')[0] ?? '0'
  return whole === '0' || whole.length <= precision - scale
}
