import { Buffer } from 'node:buffer'
import { at, list, text as textOf, unwrap, type Tree } from '../classify/tree.ts'
import { bare, firstPlace, isTooDeep, sameTree } from './bare-tree.ts'

/** A statement that can be asked about: its text alone, and its tree. */
export interface OneStatement {
  /** Its bytes, each as one character, so that places count bytes. */
  readonly bytes: string
  readonly tag: string
  readonly body: Tree
  /** As the parser gave it, with its tag. */
  readonly tree: Tree
  readonly parse: (text: string) => readonly Tree[] | undefined
}

/** A text that means exactly what was wanted of it, or why there is none. */
export type Cut = { readonly text: string } | { readonly why: string }

const planned: ReadonlySet<string> = new Set([
  'SelectStmt',
  'InsertStmt',
  'UpdateStmt',
  'DeleteStmt',
  'MergeStmt',
])

/** The statement of a text, where it is a single one that a planner plans. */
export function oneStatement(
  text: string,
  parse: (text: string) => readonly Tree[] | undefined,
): OneStatement | { readonly why: string } {
  const statements = parse(text)
  if (statements === undefined) return { why: 'the text could not be read' }
  const [only] = statements
  if (only === undefined || statements.length !== 1)
    return { why: `the text has ${statements.length} statements` }
  const tree = at(only, 'stmt')
  const node = tree === undefined ? undefined : unwrap(tree)
  if (tree === undefined || node === undefined) return { why: 'the text could not be read' }
  if (isTooDeep(tree)) return { why: 'it is nested too deeply' }
  const { tag, body } = node
  if (!planned.has(tag)) return { why: `a planner does not plan ${nameOf(tag)}` }
  if (at(body, 'intoClause') !== undefined) return { why: 'SELECT INTO makes a table' }
  const bytes = Buffer.from(text).toString('latin1')
  const start = numberOf(only, 'stmt_location') ?? 0
  const length = numberOf(only, 'stmt_len') ?? 0
  // Places in the tree count from the beginning of the text, so what stands before the statement stays in place as blanks.
  const own = length === 0 ? bytes.slice(start) : bytes.slice(start, start + length)
  return { bytes: ' '.repeat(start) + own, tag, body, tree, parse }
}

/** `EXPLAIN` without ANALYZE of exactly this statement. */
export function planText(one: OneStatement): Cut {
  const like = skeleton(one, 'EXPLAIN (FORMAT JSON) SELECT 1')
  const wanted = { ExplainStmt: { ...at(like, 'ExplainStmt'), query: one.tree } }
  return proved(one, `EXPLAIN (FORMAT JSON) ${one.bytes.trim()}`, wanted)
}

/** How many rows the statement meets, counted. */
export function countText(one: OneStatement): Cut {
  if (one.tag === 'SelectStmt') {
    const like = skeleton(one, 'SELECT pg_catalog.count(*) FROM (SELECT 1) AS counted')
    const text = `SELECT pg_catalog.count(*) FROM (\n${one.bytes.trim()}\n) AS counted`
    const select = at(like, 'SelectStmt') ?? {}
    const subselect = at(list(select, 'fromClause')[0] ?? {}, 'RangeSubselect')
    const fromClause = [{ RangeSubselect: { ...subselect, subquery: one.tree } }]
    return proved(one, text, { SelectStmt: { ...select, fromClause } })
  }
  return fromWhere(one, 'pg_catalog.count(*)', '')
}

/** The first rows that the statement meets, as they are. */
export function sampleText(one: OneStatement, rowsMax: number): Cut {
  const relation = at(one.body, 'relation') ?? {}
  const name = textOf(at(relation, 'alias') ?? {}, 'aliasname') || textOf(relation, 'relname')
  const quoted = Buffer.from(`"${name.replaceAll('"', '""')}"`).toString('latin1')
  return fromWhere(one, `${quoted}.*`, ` LIMIT ${rowsMax}`)
}

/** A SELECT over what a DELETE or UPDATE would change: the same tables, the same condition. */
function fromWhere(one: OneStatement, columns: string, end: string): Cut {
  const { bytes, body, tag } = one
  if (tag !== 'DeleteStmt' && tag !== 'UpdateStmt')
    return { why: `only what UPDATE and DELETE meet can be looked for, not ${nameOf(tag)}` }
  const relation = at(body, 'relation') ?? {}
  const more = list(body, tag === 'DeleteStmt' ? 'usingClause' : 'fromClause')
  const where = at(body, 'whereClause')
  const name = numberOf(relation, 'location')
  const tail = at(body, 'returningClause')
  const stop = tail === undefined ? bytes.length : wordBefore(bytes, 'returning', tail)
  const verb = wordBefore(bytes, tag === 'DeleteStmt' ? 'delete' : 'update', name)
  if (name === undefined || stop === undefined || verb === undefined) return unclear
  const moreAt =
    more.length === 0 ? stop : wordBefore(bytes, tag === 'DeleteStmt' ? 'using' : 'from', more)
  const whereAt = where === undefined ? stop : wordBefore(bytes, 'where', where)
  const nameEnd =
    tag === 'UpdateStmt'
      ? wordBefore(bytes, 'set', list(body, 'targetList'))
      : Math.min(moreAt ?? stop, whereAt ?? stop)
  if (moreAt === undefined || whereAt === undefined || nameEnd === undefined) return unclear
  const only = relation['inh'] === true ? '' : 'ONLY '
  const joined = more.length === 0 ? '' : `, ${bytes.slice(moreAt, whereAt).replace(/^\w+/u, '')}`
  const text = `${bytes.slice(0, verb)}SELECT ${columns} FROM ${only}${bytes.slice(name, nameEnd)}${joined} ${bytes.slice(whereAt, stop)}${end}`
  const like = at(skeleton(one, `SELECT ${columns} FROM x${end}`), 'SelectStmt') ?? {}
  const withClause = at(body, 'withClause')
  const wanted = {
    ...like,
    fromClause: [{ RangeVar: relation }, ...more],
    ...(where === undefined ? {} : { whereClause: where }),
    ...(withClause === undefined ? {} : { withClause }),
  }
  return proved(one, text, { SelectStmt: wanted })
}

/** The cut text, where the grammar makes of it the tree that is wanted and nothing else: whatever was cut wrongly is not asked. */
function proved({ parse }: OneStatement, latin: string, wanted: Tree): Cut {
  const text = Buffer.from(latin.trim(), 'latin1').toString('utf8')
  const statements = parse(text)
  const [only] = statements ?? []
  const isSame =
    statements?.length === 1 && only !== undefined && sameTree(at(only, 'stmt'), wanted)
  return isSame ? { text } : unclear
}

const unclear = { why: 'no statement with the same tree could be made' } as const

function skeleton({ parse }: OneStatement, latin: string): Tree {
  const [only] = parse(Buffer.from(latin, 'latin1').toString('utf8')) ?? []
  return bare(at(only ?? {}, 'stmt') ?? {}) as Tree
}

/** The last place of a word before the first of a tree. */
function wordBefore(bytes: string, word: string, before: unknown): number | undefined {
  const end = typeof before === 'number' ? before : firstPlace(before)
  if (end === undefined) return undefined
  const found = [...bytes.slice(0, end).matchAll(new RegExp(`\\b${word}\\b`, 'giu'))].at(-1)
  return found?.index
}

function numberOf(tree: Tree, key: string): number | undefined {
  const value = tree[key]
  return typeof value === 'number' ? value : undefined
}

/** `TruncateStmt`: TRUNCATE. */
function nameOf(tag: string): string {
  return tag.replace(/Stmt$/u, '').toUpperCase()
}
