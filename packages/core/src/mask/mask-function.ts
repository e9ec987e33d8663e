import type { MaskFunction } from '../verdict.ts'

/** Mask functions, strongest first: where two masks fall on one value, the first of this list wins. */
export const MASK_STRENGTH = [
  'block',
  'null',
  'redact',
  'hash',
  'token',
  'fake',
  'last4',
  'round',
  'partial',
] as const

/** Stands for a value that must not be delivered at all. */
export const BLOCK: unique symbol = Symbol('block')
export type Block = typeof BLOCK

/** The coarsest step first, so that of two date roundings the stronger wins. */
const calendarSteps = ['year', 'month', 'day']
const roundStep = /^round:(?:[1-9][0-9]{0,8}|day|month|year)$/

/** True for the functions that the policy language knows. */
export function isMaskFunction(text: string): text is MaskFunction {
  if (text.startsWith('round:')) return roundStep.test(text)
  return text !== 'round' && (MASK_STRENGTH as readonly string[]).includes(text)
}

/** The strongest of several functions; `redact` where there is none, because a mask without a function still hides. */
export function strongest(functions: readonly MaskFunction[]): MaskFunction {
  let best: MaskFunction | undefined
  for (const fn of functions) if (best === undefined || isStronger(fn, best)) best = fn
  return best ?? 'redact'
}

/** True for the functions that put a value in the place of another: numbers and dates have one such form. */
export function isKeyed(fn: MaskFunction): boolean {
  return fn === 'token' || fn === 'hash' || fn === 'fake'
}

/** The step of `round:<n>` as a whole number; undefined for another function or a calendar step. */
export function numberStep(fn: MaskFunction): number | undefined {
  if (!fn.startsWith('round:')) return undefined
  const step = Number(fn.slice('round:'.length))
  return Number.isSafeInteger(step) && step > 0 ? step : undefined
}

/** The step of `round:day`, `round:month` or `round:year`; undefined for any other function. */
export function calendarStep(fn: MaskFunction): 'day' | 'month' | 'year' | undefined {
  if (fn === 'round:day') return 'day'
  if (fn === 'round:month') return 'month'
  return fn === 'round:year' ? 'year' : undefined
}

function isStronger(fn: MaskFunction, than: MaskFunction): boolean {
  const difference = rank(fn) - rank(than)
  if (difference !== 0) return difference < 0
  const [step, other] = [numberStep(fn), numberStep(than)]
  if (step !== undefined && other !== undefined) return step > other
  return calendarRank(fn) < calendarRank(than)
}

/** A name outside the list ranks as `redact`: it must never lose to a function that shows something. */
function rank(fn: MaskFunction): number {
  const name = fn.startsWith('round:') ? 'round' : fn
  const at = (MASK_STRENGTH as readonly string[]).indexOf(name)
  return at < 0 ? MASK_STRENGTH.indexOf('redact') : at
}

function calendarRank(fn: MaskFunction): number {
  return calendarSteps.indexOf(fn.slice('round:'.length))
}
