import { parseInstant, parseTtl } from '@sallyport/core'
import type { TimeRange } from './query.ts'

const minuteMs = 60_000
const dayMs = 24 * 60 * minuteMs

/**
 * Reads `7d` (so long ago), `2026-11-20`, `2026-11-20T14:00` or `…:30`, as long as it is exact: a day, a minute, a second.
 * A time without a zone is UTC.
 */
export function parseMoment(text: string, nowMs: number): TimeRange | undefined {
  const ago = parseTtl(text)
  if (typeof ago === 'number') return { fromMs: nowMs - ago, untilMs: nowMs - ago + 1000 }
  const isDay = /^\d{4}-\d\d-\d\d$/u.test(text)
  const hasZone = /(?:Z|[+-]\d\d:\d\d)$/iu.test(text)
  const fromMs = parseInstant(isDay ? `${text}T00:00Z` : hasZone ? text : `${text}Z`)
  if (typeof fromMs === 'string') return undefined
  const hasSeconds = /T\d\d:\d\d:\d\d/u.test(text)
  return { fromMs, untilMs: fromMs + (isDay ? dayMs : hasSeconds ? 1000 : minuteMs) }
}
