import { type RawBuilder, sql } from 'kysely'

/** `%` and `_` stand for themselves in what this returns; NUL for what PostgreSQL's text has in its place. */
export function escapeLike(text: string): string {
  return text.replaceAll('\0', '\u{fffd}').replaceAll(/[\\%_]/gu, '\\$&')
}

/** PostgreSQL's `infinity` is what bounds nothing. */
export function timestamp(ms: number): RawBuilder<Date> {
  return sql<Date>`${timestampText(ms)}::timestamptz`
}

export function timestampText(ms: number): string {
  return Number.isFinite(ms) ? new Date(ms).toISOString() : ms < 0 ? '-infinity' : 'infinity'
}
