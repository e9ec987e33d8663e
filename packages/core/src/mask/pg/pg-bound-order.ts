import { decodeNumeric } from './numeric-binary.ts'
import type { PgFormat } from './pg-empty-value.ts'
import type { IsAbove } from './pg-range.ts'
import { OID } from './pg-types.ts'

type Read<T> = (bound: Buffer) => T

/** Orders the bounds of a range by their type; undefined for a type whose order is not known here. */
export function isAboveOf(subtype: number, format: PgFormat): IsAbove | undefined {
  switch (subtype) {
    case OID.int2:
    case OID.int4:
    case OID.int8:
      return above(format === 'text' ? (bound) => BigInt(bound.toString()) : readInteger)
    case OID.numeric:
      return aboveDecimal(format === 'text' ? (bound) => bound.toString() : decodeNumeric)
    case OID.date:
      return above(format === 'text' ? (bound) => moment(bound.toString()) : readInteger)
    case OID.timestamp:
    case OID.timestamptz:
      return above(format === 'text' ? (bound) => moment(bound.toString()) : readInteger)
    default:
      return undefined
  }
}

function above<T extends bigint | number>(read: Read<T>): IsAbove {
  return (lower, upper) => read(lower) > read(upper)
}

/** Masked numbers are plain decimals; they may be longer than a double is exact. */
function aboveDecimal(read: Read<string | undefined>): IsAbove {
  return (lower, upper) => {
    const [a, b] = [read(lower) ?? '0', read(upper) ?? '0'].map((text) => {
      const [whole = '0', fraction = ''] = text.split('.')
      return { whole, fraction }
    })
    const scale = Math.max(a?.fraction.length ?? 0, b?.fraction.length ?? 0)
    const scaled = (one: typeof a): bigint =>
      BigInt((one?.whole ?? '0') + (one?.fraction ?? '').padEnd(scale, '0'))
    return scaled(a) > scaled(b)
  }
}

function readInteger(bound: Buffer): bigint {
  const size = bound.length
  if (size === 8) return bound.readBigInt64BE(0)
  return BigInt(size === 0 ? 0 : bound.readIntBE(0, Math.min(size, 6)))
}

/** Microseconds of a masked date or moment: those are between the years 1 and 9999, in the ISO style. */
function moment(text: string): bigint {
  const [, day = '1970-01-01', clock = '00:00:00', fraction = '', zone = ''] =
    /^([0-9-]{10})(?: ([0-9:]{8})(?:\.([0-9]{1,6}))?([+-][0-9:]{2,8})?)?$/.exec(text) ?? []
  const [, sign = '+', hours = '0', minutes = '0', seconds = '0'] =
    /^([+-])([0-9]{2})(?::([0-9]{2}))?(?::([0-9]{2}))?$/.exec(zone) ?? []
  const offset = Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)
  const local = Date.parse(`${day}T${clock}Z`) - (sign === '-' ? -offset : offset) * 1000
  return BigInt(local) * 1000n + BigInt(fraction.padEnd(6, '0'))
}
