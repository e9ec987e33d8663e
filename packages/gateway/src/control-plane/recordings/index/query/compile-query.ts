import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { Tables } from '../../../ports/store.ts'
import { printName, term, type Mark } from '../terms.ts'
import { queryError } from './query-error.ts'
import type { Glob, NameField, Query, SizeField, SizeTest, Term, TimeRange } from './query.ts'

/** A search as a condition on `command`, and the time outside of which nothing can match. */
export interface CompiledQuery extends TimeRange {
  readonly condition: RawBuilder<boolean>
}

/** What a name may be: the marks of its words. Ids are given by their beginning. */
const words: Readonly<Record<NameField, { readonly names: readonly Mark[]; readonly ids?: Mark }>> =
  {
    tree: { names: ['treeName'], ids: 'treeId' },
    agent: { names: ['agentName'], ids: 'agentId' },
    root: { names: ['rootName'], ids: 'rootId' },
    connection: { names: ['connection'] },
    verdict: { names: ['verdict'] },
    rule: { names: ['rule'] },
    class: { names: ['class'] },
    verb: { names: ['verb'] },
    returned: { names: ['column', 'mask'] },
    masked: { names: ['mask'] },
  }

/** A pattern that fits more names is no search. */
const wordsMax = 5000

/** Compiles a search. Names with wildcards are looked up, all that a caller wrote becomes a parameter. */
export async function compileQuery(db: Kysely<Tables>, query: Query): Promise<CompiledQuery> {
  let fromMs = -Infinity
  let untilMs = Infinity
  const conditions: RawBuilder<boolean>[] = []
  for (const each of query.terms) {
    if (each.kind === 'time' && !each.isNegated) {
      fromMs = Math.max(fromMs, each.fromMs)
      untilMs = Math.min(untilMs, each.untilMs)
      continue
    }
    const condition = await compileTerm(db, each)
    conditions.push(each.isNegated ? sql<boolean>`not (${condition})` : condition)
  }
  const condition =
    conditions.length === 0 ? sql<boolean>`true` : sql<boolean>`${sql.join(conditions, sql` and `)}`
  return { condition, fromMs, untilMs }
}

async function compileTerm(db: Kysely<Tables>, each: Term): Promise<RawBuilder<boolean>> {
  switch (each.kind) {
    case 'name':
      return hasWord(await nameWords(db, each.field, each.values))
    case 'object':
      return hasWord(await objectWords(db, each.values))
    case 'text':
      return anyOf(each.values.map((text) => sql<boolean>`text ilike ${`%${escapeLike(text)}%`}`))
    case 'word':
      return anyOf(each.values.map((text) => sql<boolean>`text ~* ${`\\m${text}\\M`}`))
    case 'size':
      return each.field === 'level' ? hasWord(levels(each.values)) : sizes(each.field, each.values)
    case 'time':
      return sql<boolean>`(at >= ${timestamp(each.fromMs)} and at < ${timestamp(each.untilMs)})`
  }
}

function hasWord(list: readonly string[]): RawBuilder<boolean> {
  return sql<boolean>`terms && ${[...list]}::text[]`
}

function anyOf(conditions: readonly RawBuilder<boolean>[]): RawBuilder<boolean> {
  return sql<boolean>`(${sql.join([...conditions], sql` or `)})`
}

async function nameWords(
  db: Kysely<Tables>,
  field: NameField,
  values: readonly Glob[],
): Promise<string[]> {
  const { names, ids } = words[field]
  const found: string[] = []
  for (const glob of values) {
    for (const mark of names) {
      if (glob.length === 1) found.push(term(mark, glob.join('')))
      else found.push(...(await wordsLike(db, likeTerm(mark, glob), glob)))
    }
    if (ids !== undefined && glob.length === 1 && /^a_/iu.test(glob.join('')))
      found.push(...(await wordsLike(db, likeTerm(ids, [glob.join('').toLowerCase(), '']), glob)))
    if (field === 'root') found.push(...(await rootsOf(db, glob)))
  }
  return found
}

/** Agents that stand for this principal, by its name or id. */
async function rootsOf(db: Kysely<Tables>, glob: Glob): Promise<string[]> {
  const pattern = glob.map(escapeLike).join('%')
  const { rows } = await sql<{ id: string }>`
    select agent.id from agent join principal on principal.id = agent.principal
    where agent.parent_id is null and (principal.name like ${pattern} or principal.id like ${pattern})
    limit ${wordsMax + 1}`.execute(db)
  return few(
    rows.map(({ id }) => term('rootId', id)),
    glob,
  )
}

async function objectWords(
  db: Kysely<Tables>,
  values: readonly (readonly Glob[])[],
): Promise<string[]> {
  const found: string[] = []
  for (const parts of values) {
    if (parts.every((glob) => glob.length === 1)) {
      found.push(term('object', printName(parts.map((glob) => glob.join('')))))
      continue
    }
    const like = parts.map(
      (glob, at) => sql`parts[${at + 1}::integer] like ${glob.map(escapeLike).join('%')}`,
    )
    const { rows } = await sql<{ term: string }>`
      select term from search_term where cardinality(parts) = ${parts.length}
        and ${sql.join(like, sql` and `)} limit ${wordsMax + 1}`.execute(db)
    found.push(
      ...few(
        rows.map((row) => row.term),
        parts.map((glob) => glob.join('*')),
      ),
    )
  }
  return found
}

async function wordsLike(db: Kysely<Tables>, pattern: string, glob: Glob): Promise<string[]> {
  const { rows } = await sql<{ term: string }>`
    select term from search_term where term like ${pattern} limit ${wordsMax + 1}`.execute(db)
  return few(
    rows.map((row) => row.term),
    glob,
  )
}

function few(found: string[], glob: Glob): string[] {
  if (found.length <= wordsMax) return found
  const said = `this fits more than ${wordsMax} names; write more of it`
  throw queryError(glob.join('*'), 0, glob.join('*').length, said)
}

function likeTerm(mark: Mark, glob: Glob): string {
  const [first = '', ...rest] = glob
  return [term(mark, first), ...rest].map(escapeLike).join('%')
}

function escapeLike(text: string): string {
  return text.replaceAll('\0', '\u{fffd}').replaceAll(/[\\%_]/gu, '\\$&')
}

function levels(tests: readonly SizeTest[]): string[] {
  return [0, 1, 2, 3, 4]
    .filter((level) => tests.some((test) => holds(level, test)))
    .map((level) => term('level', String(level)))
}

export function holds(value: number, { is, than }: SizeTest): boolean {
  switch (is) {
    case '>':
      return value > than
    case '>=':
      return value >= than
    case '<':
      return value < than
    case '<=':
      return value <= than
    case '=':
      return value === than
  }
}

const operators = {
  '>': sql`>`,
  '>=': sql`>=`,
  '<': sql`<`,
  '<=': sql`<=`,
  '=': sql`=`,
}

function sizes(
  field: Exclude<SizeField, 'level'>,
  tests: readonly SizeTest[],
): RawBuilder<boolean> {
  const column = sql.ref(field)
  return anyOf(
    tests.map(({ is, than }) => sql<boolean>`${column} ${operators[is]} ${than}::bigint`),
  )
}

/** PostgreSQL's `infinity` is what bounds nothing. */
export function timestamp(ms: number): RawBuilder<Date> {
  const text = Number.isFinite(ms) ? new Date(ms).toISOString() : ms < 0 ? '-infinity' : 'infinity'
  return sql<Date>`${text}::timestamptz`
}
