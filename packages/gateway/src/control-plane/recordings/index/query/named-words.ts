import { type Kysely, sql } from 'kysely'
import type { Tables } from '../../../ports/tables/tables.ts'
import { printName, term, type Mark } from '../terms.ts'
import { escapeLike } from './literals.ts'
import { queryError } from './query-error.ts'
import type { Glob, NameField } from './query.ts'

/** What a name may be: the marks of its words. Ids are given by their beginning. */
export const wordsOf: Readonly<
  Record<NameField, { readonly names: readonly Mark[]; readonly ids?: Mark }>
> = {
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

/** The words that stand for these names. */
export async function nameWords(
  db: Kysely<Tables>,
  field: NameField,
  values: readonly Glob[],
): Promise<string[]> {
  const { names, ids } = wordsOf[field]
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

/** The words that stand for objects of these names, each as a list of its parts. */
export async function objectWords(
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
