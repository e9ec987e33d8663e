import { SallyportError, suggest } from '@sallyport/core'
import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Tables } from '../ports/tables/tables.ts'
import { escapeLike, timestamp } from '../recordings/index/query/literals.ts'
import { parseMoment } from '../recordings/index/query/parse-moment.ts'
import { queryError } from '../recordings/index/query/query-error.ts'
import {
  readTerms,
  type WrittenTerm,
  type WrittenValue,
} from '../recordings/index/query/read-terms.ts'
import { FACTS } from './facts.ts'
import type { FoundFact, LedgerPage } from '../contract/operations.ts'

const fields = ['what', 'actor', 'subject', 'source', 'text', 'since', 'until', 'at']

/** Searches the facts of all ledgers. Throws SP_QUERY_INVALID with the place. */
export async function readLedger(
  db: Kysely<Tables>,
  { query, limit, after }: { query: string; limit: number; after?: string },
  nowMs: number,
): Promise<LedgerPage> {
  const written = readTerms(query, () => false)
  const conditions = written.map((term) => {
    const condition = compile(query, term, nowMs)
    return term.isNegated ? sql<boolean>`not (${condition})` : condition
  })
  if (after !== undefined) conditions.push(isBehind(after))
  const all = conditions.length === 0 ? sql`true` : sql.join(conditions, sql` and `)
  const { rows } = await sql<Omit<FoundFact, 'at'> & { atTime: Date }>`
    select at as "atTime", session_id as ledger, position, what, by_kind as by, actor, chain, path,
      subject, source, detail
    from fact where ${all}
    order by at desc, session_id desc, position desc limit ${limit + 1}`.execute(db)
  const facts = rows.slice(0, limit).map(({ atTime, ...fact }) => ({
    at: atTime.toISOString(),
    ...fact,
  }))
  const last = facts.at(-1)
  if (rows.length <= limit || last === undefined) return { facts }
  return { facts, next: `${last.at}_${last.ledger}_${last.position}` }
}

function isBehind(place: string): RawBuilder<boolean> {
  const [, at, ledger, position] = /^(\S+?)_(l_[0-9a-z]+)_(\d{1,9})$/u.exec(place) ?? []
  if (at === undefined || Number.isNaN(Date.parse(at))) {
    const detail = 'after is what a page gave as next'
    throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
  }
  return sql<boolean>`(at, session_id, position) < (${timestamp(Date.parse(at))}, ${ledger}, ${Number(position)})`
}

function compile(text: string, term: WrittenTerm, nowMs: number): RawBuilder<boolean> {
  const { field, values, at } = term
  switch (field) {
    case 'what':
      for (const value of values) checkWhat(text, value)
      return like('what', values)
    case 'subject':
    case 'source':
      return like(field, values)
    case 'actor': {
      const patterns = values.map((value) => pattern(value))
      const ids = patterns.map((each) => `${each}%`)
      return sql<boolean>`(actor like any (${patterns}::text[]) or by_kind like any (${patterns}::text[])
        or exists (select from unnest(chain) as name where name like any (${patterns}::text[]))
        or exists (select from unnest(path) as id where id like any (${ids}::text[])))`
    }
    case 'text': {
      const parts = values.map(({ plain }) => `%${escapeLike(plain)}%`)
      return sql<boolean>`detail::text ilike any (${parts}::text[])`
    }
    case 'since':
    case 'until':
    case 'at':
      return moment(text, field, values, nowMs)
    default: {
      const said = `there is no term "${field}"${suggest(field, fields)}`
      throw queryError(text, at, field.length, said)
    }
  }
}

/** A name that no fact has finds nothing, which reads as if nothing had happened. */
function checkWhat(text: string, { plain, at, end }: WrittenValue): void {
  const names = Object.keys(FACTS)
  if (plain.includes('*') || names.includes(plain)) return
  throw queryError(text, at, end - at, `there is no fact "${plain}"${suggest(plain, names)}`)
}

function like(column: string, values: readonly WrittenValue[]): RawBuilder<boolean> {
  const patterns = values.map(pattern)
  return sql<boolean>`${sql.ref(column)} like any (${patterns}::text[])`
}

/** `agent.*` fits all that begins so; in quotes a star is a star. */
function pattern({ parts }: WrittenValue): string {
  return parts.map((glob) => glob.map(escapeLike).join('%')).join('.')
}

function moment(
  text: string,
  field: 'since' | 'until' | 'at',
  values: readonly WrittenValue[],
  nowMs: number,
): RawBuilder<boolean> {
  const [value, second] = values
  const found = value === undefined ? undefined : parseMoment(value.plain, nowMs)
  if (value === undefined || second !== undefined || found === undefined) {
    const { at = 0, end = 1 } = second ?? value ?? {}
    const said = `${field}: takes one time such as 7d, 2026-11-20 or 2026-11-20T14:00`
    throw queryError(text, at, end - at, said)
  }
  const from = timestamp(found.fromMs)
  if (field === 'since') return sql<boolean>`at >= ${from}`
  if (field === 'until') return sql<boolean>`at < ${from}`
  return sql<boolean>`(at >= ${from} and at < ${timestamp(found.untilMs)})`
}
