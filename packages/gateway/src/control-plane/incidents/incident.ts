import { parseMoment } from '../recordings/index/query/parse-moment.ts'
import { SallyportError } from '@sallyport/core'

/** What an incident covers: the tree of a session's root, an agent with all below it, or the sessions that a search finds. */
export type IncidentScope =
  | { readonly kind: 'session'; readonly text: string }
  | { readonly kind: 'agent'; readonly text: string }
  | { readonly kind: 'query'; readonly text: string }

/** An incident that is to be opened. */
export interface NewIncident {
  readonly title: string
  readonly scope: IncidentScope
  readonly fromMs?: number
  readonly untilMs?: number
}

/** An incident as the API shows it. */
export interface IncidentView {
  readonly id: string
  readonly title: string
  readonly openedBy: string
  readonly openedAt: string
  readonly scope: IncidentScope
  readonly from?: string
  readonly until?: string
  /** Ids of the sessions that it covers. They only become more, until `until` or until it is closed. */
  readonly sessions: readonly string[]
  /** Absent while it is open. */
  readonly closed?: { readonly at: string; readonly by: string; readonly note: string }
}

/** An incident with the holds that were put on what it covers, and that nobody has taken away. */
export interface HeldIncident extends IncidentView {
  readonly holds: readonly string[]
}

const titleCharactersMax = 200
const scopeCharactersMax = 4096
/** The whole of it stands in the ledger, which keeps so much of a text. */
const noteCharactersMax = 500

/** Reads `{title, of, since, until}`; throws `SP_CONFIG_INVALID`. */
export function parseNewIncident(body: unknown, nowMs: number): NewIncident {
  const fields = fieldsOf(body, ['title', 'of', 'since', 'until'])
  const title = textOf(fields.get('title'), 'title', titleCharactersMax)
  const text = textOf(fields.get('of'), 'of', scopeCharactersMax)
  const fromMs = momentOf(fields.get('since'), 'since', nowMs)
  const untilMs = momentOf(fields.get('until'), 'until', nowMs)
  if (fromMs !== undefined && untilMs !== undefined && fromMs >= untilMs)
    throw invalid('since must be before until')
  return {
    title,
    scope: scopeOf(text),
    ...(fromMs === undefined ? {} : { fromMs }),
    ...(untilMs === undefined ? {} : { untilMs }),
  }
}

/** Reads `{note}`; throws `SP_CONFIG_INVALID`. */
export function parseClosing(body: unknown): string {
  return textOf(fieldsOf(body, ['note']).get('note'), 'note', noteCharactersMax)
}

function fieldsOf(body: unknown, names: readonly string[]): ReadonlyMap<string, unknown> {
  const fields = new Map(Object.entries(typeof body === 'object' && body !== null ? body : {}))
  const unknown = [...fields.keys()].find((name) => !names.includes(name))
  if (unknown !== undefined) throw invalid(`there is no field "${unknown}"`)
  return fields
}

function scopeOf(text: string): IncidentScope {
  if (/^s_[0-9a-z]+$/iu.test(text)) return { kind: 'session', text: text.toLowerCase() }
  if (/^a_[0-9a-z]+$/iu.test(text)) return { kind: 'agent', text: text.toLowerCase() }
  if (text.includes(':')) return { kind: 'query', text }
  throw invalid(`"${text}" is no session (s_…), agent (a_…) or search (field:value)`)
}

function textOf(value: unknown, field: string, max: number): string {
  if (typeof value === 'string' && value.trim() !== '' && value.length <= max) return value.trim()
  throw invalid(`${field} is a text of 1 to ${max} characters`)
}

function momentOf(value: unknown, field: string, nowMs: number): number | undefined {
  if (value === undefined) return undefined
  const moment = typeof value === 'string' ? parseMoment(value, nowMs) : undefined
  if (moment !== undefined) return moment.fromMs
  throw invalid(`${field} is a time such as 7d, 2026-11-20 or 2026-11-20T14:00`)
}

export function invalid(detail: string): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}
