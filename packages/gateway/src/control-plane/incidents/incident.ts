import { SallyportError } from '@sallyport/core'
import type * as z from 'zod'
import type { IncidentScope } from '../contract/incident-views.ts'
import type { newIncident } from '../contract/incidents.ts'
import { parseMoment } from '../recordings/index/query/parse-moment.ts'

/** An incident that is to be opened. */
export interface NewIncident {
  readonly title: string
  readonly scope: IncidentScope
  readonly fromMs?: number
  readonly untilMs?: number
}

/** An incident as it was asked for, with its times read. Throws `SP_CONFIG_INVALID`. */
export function newIncidentOf(
  { title, of, since, until }: z.output<typeof newIncident>,
  nowMs: number,
): NewIncident {
  const fromMs = momentOf(since, 'since', nowMs)
  const untilMs = momentOf(until, 'until', nowMs)
  if (fromMs !== undefined && untilMs !== undefined && fromMs >= untilMs)
    throw invalid('since must be before until')
  return {
    title,
    scope: scopeOf(of),
    ...(fromMs === undefined ? {} : { fromMs }),
    ...(untilMs === undefined ? {} : { untilMs }),
  }
}

function scopeOf(text: string): IncidentScope {
  if (/^s_[0-9a-z]+$/iu.test(text)) return { kind: 'session', text: text.toLowerCase() }
  if (/^a_[0-9a-z]+$/iu.test(text)) return { kind: 'agent', text: text.toLowerCase() }
  if (text.includes(':')) return { kind: 'query', text }
  throw invalid(`"${text}" is no session (s_…), agent (a_…) or search (field:value)`)
}

function momentOf(value: string | undefined, field: string, nowMs: number): number | undefined {
  if (value === undefined) return undefined
  const moment = parseMoment(value, nowMs)
  if (moment !== undefined) return moment.fromMs
  throw invalid(`${field} is a time such as 7d, 2026-11-20 or 2026-11-20T14:00`)
}

export function invalid(detail: string): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}
