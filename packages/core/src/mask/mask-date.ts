import type { MaskFunction } from '../verdict.ts'
import { calendarStep, isKeyed } from './mask-function.ts'
import type { MaskKey } from './mask-key.ts'

const dayMs = 86_400_000
const dayMicros = 86_400_000_000n

/** 0001-01-01 and 9999-12-31 in days since 1970: dates beyond are hidden whole, since not every reader can parse them. */
const daysMin = -719_162
const daysMax = 2_932_896

/** The masked form of a day, counted from 1970-01-01. Undefined where the function doesn't fit. */
export function maskDay(fn: MaskFunction, day: number, key: MaskKey): number | undefined {
  if (!isPlausible(day)) return undefined
  const masked = maskDayWithin(fn, day, key)
  return masked !== undefined && isPlausible(masked) ? masked : undefined
}

/** The masked form of a moment, in microseconds since 1970-01-01. Undefined where the function doesn't fit. */
export function maskMoment(fn: MaskFunction, micros: bigint, key: MaskKey): bigint | undefined {
  if (isKeyed(fn)) {
    const moved = micros + BigInt(key.shiftMicros)
    return isPlausible(Number(floorDays(moved))) ? moved : undefined
  }
  const day = maskDay(fn, Number(floorDays(micros)), key)
  return day === undefined ? undefined : BigInt(day) * dayMicros
}

/** Days since 1970-01-01 of a date in the proleptic Gregorian calendar; undefined where there is no such date. */
export function dayOf(year: number, month: number, dayOfMonth: number): number | undefined {
  const date = new Date(0)
  date.setUTCFullYear(year, month - 1, dayOfMonth)
  const real = date.getUTCMonth() === month - 1 && date.getUTCDate() === dayOfMonth
  return real ? date.getTime() / dayMs : undefined
}

/** `2024-02-29` of days since 1970-01-01. */
export function printDay(day: number): string {
  return new Date(day * dayMs).toISOString().slice(0, 10)
}

/** The day that a moment falls on, in UTC. */
export function floorDays(micros: bigint): bigint {
  const days = micros / dayMicros
  return micros < 0n && days * dayMicros !== micros ? days - 1n : days
}

function maskDayWithin(fn: MaskFunction, day: number, key: MaskKey): number | undefined {
  if (isKeyed(fn)) return day + key.shiftDays
  const step = fn === 'partial' ? 'year' : calendarStep(fn)
  if (step === undefined) return undefined
  const date = new Date(day * dayMs)
  if (step === 'month' || step === 'year') date.setUTCDate(1)
  if (step === 'year') date.setUTCMonth(0)
  return date.getTime() / dayMs
}

function isPlausible(day: number): boolean {
  return day >= daysMin && day <= daysMax
}
