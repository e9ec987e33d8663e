import type { MaskFunction } from '../../verdict.ts'
import { dayOf, maskDay, maskMoment, printDay, type Moment } from '../mask-date.ts'
import type { MaskKey } from '../mask-key.ts'
import type { PgFormat } from './pg-empty-value.ts'
import type { Masker } from './pg-number.ts'
import { OID } from './pg-types.ts'

/** PostgreSQL counts from 2000-01-01. */
const epochDays = 10_957
const dayMicros = 86_400_000_000n

const dayText = /^[0-9]{4}-[0-9]{2}-[0-9]{2}$/
const momentText =
  /^[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.([0-9]{1,6}))?([+-][0-9:]{2,8})?$/

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
    const text = value.toString('latin1')
    const match = momentText.exec(text)
    if (match === null) return undefined
    const day = parseDay(text.slice(0, 10))
    if (day === undefined) return undefined
    const micros =
      (digits(text, 11) * 3600 + digits(text, 14) * 60 + digits(text, 17)) * 1_000_000 +
      Number((match[1] ?? '').padEnd(6, '0'))
    const masked = maskMoment(fn, { day, micros }, key)
    // The zone stays as it was printed: it belongs to the session, not to the value.
    return masked === undefined ? undefined : Buffer.from(printMoment(masked) + (match[2] ?? ''))
  }
}

function binaryMoment(fn: MaskFunction, key: MaskKey): Masker {
  return (value) => {
    if (value.length !== 8) return undefined
    const micros = value.readBigInt64BE(0)
    const rest = ((micros % dayMicros) + dayMicros) % dayMicros
    const day = Number((micros - rest) / dayMicros) + epochDays
    const masked = maskMoment(fn, { day, micros: Number(rest) }, key)
    if (masked === undefined) return undefined
    const out = Buffer.alloc(8)
    out.writeBigInt64BE(BigInt(masked.day - epochDays) * dayMicros + BigInt(masked.micros))
    return out
  }
}

function parseDay(text: string): number | undefined {
  if (!dayText.test(text)) return undefined
  return dayOf(digits(text, 0) * 100 + digits(text, 2), digits(text, 5), digits(text, 8))
}

/** The number of two digits at a place where digits stand. */
function digits(text: string, at: number): number {
  return (text.charCodeAt(at) - 48) * 10 + text.charCodeAt(at + 1) - 48
}

function printMoment({ day, micros }: Moment): string {
  const seconds = Math.floor(micros / 1_000_000)
  const part = micros - seconds * 1_000_000
  const fraction = part === 0 ? '' : `.${String(part).padStart(6, '0').replace(/0+$/, '')}`
  const minutes = Math.floor(seconds / 60)
  const clock = `${two(Math.floor(minutes / 60))}:${two(minutes % 60)}:${two(seconds % 60)}`
  return `${printDay(day)} ${clock}${fraction}`
}

function two(number: number): string {
  return number < 10 ? `0${number}` : String(number)
}
