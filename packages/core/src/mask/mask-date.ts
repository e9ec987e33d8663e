import type { MaskFunction } from '../verdict.ts'
import { calendarStep, isKeyed } from './mask-function.ts'
import type { MaskKey } from './mask-key.ts'

const dayMs = 86_400_000
const dayMicros = 86_400_000_000

/** 0001-01-01 and 9999-12-31 in days since 1970: dates beyond are hidden whole, since not every reader can parse them. */
const daysMin = -719_162
const daysMax = 2_932_896

/** The masked form of a day, counted from 1970-01-01. Undefined where the function doesn't fit. */
export function maskDay(fn: MaskFunction, day: number, key: MaskKey): number | undefined {
  if (!isPlausible(day)) return undefined
  const masked = maskDayWithin(fn, day, key)
  return masked !== undefined && isPlausible(masked) ? masked : undefined
}

/** A moment as the days since 1970-01-01 and the microseconds of its day: each is exact as a double, both together are not. */
export interface Moment {
  readonly day: number
  readonly micros: number
}

/** The masked form of a moment. Undefined where the function doesn't fit. */
export function maskMoment(fn: MaskFunction, moment: Moment, key: MaskKey): Moment | undefined {
  if (!isKeyed(fn)) {
    const day = maskDay(fn, moment.day, key)
    return day === undefined ? undefined : { day, micros: 0 }
  }
  const shifted = moment.micros + key.shiftMicros
  const days = Math.floor(shifted / dayMicros)
  const day = moment.day + days
  return isPlausible(day) ? { day, micros: shifted - days * dayMicros } : undefined
}

/** Days since 1970-01-01 of a date in the proleptic Gregorian calendar; undefined where there is no such date. */
export function dayOf(year: number, month: number, dayOfMonth: number): number | undefined {
  if (month < 1 || month > 12 || dayOfMonth < 1) return undefined
  if (dayOfMonth > (month === 2 && isLeap(year) ? 29 : (monthLengths[month - 1] ?? 0)))
    return undefined
  // A year that begins in March ends with its leap day.
  const shiftedYear = month > 2 ? year : year - 1
  const dayOfYear = Math.floor((153 * (month > 2 ? month - 3 : month + 9) + 2) / 5) + dayOfMonth - 1
  const leapDays =
    Math.floor(shiftedYear / 4) - Math.floor(shiftedYear / 100) + Math.floor(shiftedYear / 400)
  return shiftedYear * 365 + leapDays + dayOfYear - daysBefore1970
}

const monthLengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
/** From the first of March of the year 0. */
const daysBefore1970 = 719_468

function isLeap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
}

/** Columns of one table have few days, and printing one costs as much as the rest of its mask. */
const printedMax = 8192
const printed = new Map<number, string>()

/** `2024-02-29` of days since 1970-01-01, within the years that masked dates have. */
export function printDay(day: number): string {
  const known = printed.get(day)
  if (known !== undefined) return known
  const text = new Date(day * dayMs).toISOString().slice(0, 10)
  if (printed.size >= printedMax) printed.clear()
  printed.set(day, text)
  return text
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
