import type { MaskFunction } from '../../verdict.ts'
import { dayOf, floorDays, maskDay, maskMoment, printDay } from '../mask-date.ts'
import type { MaskKey } from '../mask-key.ts'
import type { PgFormat } from './pg-empty-value.ts'
import type { Masker } from './pg-number.ts'
import { OID } from './pg-types.ts'

/** PostgreSQL counts from 2000-01-01. */
const epochDays = 10_957
const epochMicros = 946_684_800_000_000n
const dayMicros = 86_400_000_000n

const dayText = /^([0-9]{4})-([0-9]{2})-([0-9]{2})$/
const momentText =
  /^([0-9]{4}-[0-9]{2}-[0-9]{2}) ([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,6}))?([+-][0-9:]{2,8})?$/

/** The masker of a date type; undefined for other types. Only the ISO style is read; any other becomes the empty date. */
export function dateMasker(
  fn: MaskFunction,
  typeOid: number,
  format: PgFormat,
  key: MaskKey,
): Masker | undefined {
  if (typeOid === OID.date) return format === 'text' ? textDay(fn, key) : binaryDay(fn, key)
  if (typeOid !== OID.timestamp && typeOid !== OID.timestamptz) return undefined
  return format === 'text' ? textMoment(fn, key) : binaryMoment(fn, key)
}

function textDay(fn: MaskFunction, key: MaskKey): Masker {
  return (value) => {
    const day = parseDay(value.toString('latin1'))
    const masked = day === undefined ? undefined : maskDay(fn, day, key)
    return masked === undefined ? undefined : Buffer.from(printDay(masked))
  }
}

function binaryDay(fn: MaskFunction, key: MaskKey): Masker {
  return (value) => {
    if (value.length !== 4) return undefined
    const masked = maskDay(fn, value.readInt32BE(0) + epochDays, key)
    if (masked === undefined) return undefined
    const out = Buffer.alloc(4)
    out.writeInt32BE(masked - epochDays)
    return out
  }
}

function textMoment(fn: MaskFunction, key: MaskKey): Masker {
  return (value) => {
    const match = momentText.exec(value.toString('latin1'))
    const day = parseDay(match?.[1] ?? '')
    if (match === null || day === undefined) return undefined
    const seconds = Number(match[2]) * 3600 + Number(match[3]) * 60 + Number(match[4])
    const micros = BigInt(seconds) * 1_000_000n + BigInt((match[5] ?? '').padEnd(6, '0'))
    const masked = maskMoment(fn, BigInt(day) * dayMicros + micros, key)
    // The zone stays as it was printed: it belongs to the session, not to the value.
    return masked === undefined ? undefined : Buffer.from(printMoment(masked) + (match[6] ?? ''))
  }
}

function binaryMoment(fn: MaskFunction, key: MaskKey): Masker {
  return (value) => {
    if (value.length !== 8) return undefined
    const masked = maskMoment(fn, value.readBigInt64BE(0) + epochMicros, key)
    if (masked === undefined) return undefined
    const out = Buffer.alloc(8)
    out.writeBigInt64BE(masked - epochMicros)
    return out
  }
}

function parseDay(text: string): number | undefined {
  const match = dayText.exec(text)
  return match === null ? undefined : dayOf(Number(match[1]), Number(match[2]), Number(match[3]))
}

function printMoment(micros: bigint): string {
  const day = floorDays(micros)
  const rest = Number(micros - day * dayMicros)
  const seconds = Math.floor(rest / 1_000_000)
  const fraction = String(rest % 1_000_000)
    .padStart(6, '0')
    .replace(/0+$/, '')
  const clock = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60]
  const time = clock.map((part) => String(part).padStart(2, '0')).join(':')
  return `${printDay(Number(day))} ${time}${fraction === '' ? '' : `.${fraction}`}`
}
