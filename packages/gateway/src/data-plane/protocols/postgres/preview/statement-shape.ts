import { createHash } from 'node:crypto'
import type { Effects } from '@sallyport/core'
import type { AskedValue } from '../../../../boundary/approvals.ts'
import { isTree, list, type Tree } from '../classify/tree.ts'
import { bare } from './bare-tree.ts'

/** What a caller gave beside its text. */
export interface GivenValues {
  readonly values: readonly AskedValue[]
  /** Object ids of their types; 0 or nothing where the target is to tell. */
  readonly types: readonly number[]
}

/**
 * SHA-256, in hexadecimal, of a statement without the values in it, of the names of all that it touches, and of the tables and
 * the code that these stand for (`behind`): statements of one shape differ in values alone. What is inside of a function call
 * stays as it is, for it may name objects or be code, and so does what only looks like a value: a column's number, the length
 * of a type, an element that is assigned to. The parser's own fingerprint is no such hash: texts with the same one can be made.
 */
export function shapeOf(
  tree: Tree,
  effects: Effects,
  given: GivenValues,
  behind: readonly string[],
): string {
  const objects = effects.objects.map((name) => JSON.stringify(name)).toSorted()
  const statement = bare(tree, (each) => withoutValue(each, given))
  const parts = [effects.class, effects.verb, objects, statement, behind]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

/** Calls in all the forms that the grammar has for them. */
const calls = [
  'FuncCall',
  'JsonFuncExpr',
  'JsonTable',
  'RangeTableFunc',
  'XmlExpr',
  'GroupingFunc',
] as const

/** Clauses in which a number is that of a column, as `ORDER BY 1`. */
const byNumber = ['sortClause', 'groupClause', 'distinctClause', 'content'] as const

function withoutValue(tree: Tree, given: GivenValues): unknown {
  if (calls.some((tag) => tag in tree)) return verbatim(tree, given)
  const constant = tree['A_Const']
  if (isTree(constant)) return isValue(constant) ? '?' : tree
  if ('ParamRef' in tree) return '?'
  // A list of values is one of any length: how many rows it meets, the estimate says.
  if (isTree(tree['List']) && itemsOf(tree).every(isPlainValue)) return '?'
  const kept: Record<string, unknown> = {}
  for (const key of ['typmods', 'indirection'])
    if (key in tree && !('arg' in tree)) kept[key] = verbatim(tree[key], given)
  for (const key of byNumber)
    if (Array.isArray(tree[key]))
      kept[key] = list(tree, key).map((item) =>
        isColumnNumber(item) ? verbatim(item, given) : item,
      )
  if (Array.isArray(tree['valuesLists'])) {
    // As arrays, for how many columns a row has is no value.
    const rows = list(tree, 'valuesLists').map(itemsOf)
    kept['valuesLists'] = distinct(rows, given)
  }
  return { ...tree, ...kept }
}

function itemsOf(row: Tree): readonly unknown[] {
  const items = isTree(row['List']) ? row['List']['items'] : undefined
  return Array.isArray(items) ? items : []
}

/** true, false and NULL are no values in a condition: they say whether it holds. */
function isValue(constant: Tree): boolean {
  return 'ival' in constant || 'fval' in constant || 'sval' in constant || 'bsval' in constant
}

function isPlainValue(value: unknown): boolean {
  if (!isTree(value)) return false
  if ('ParamRef' in value) return true
  return isTree(value['A_Const']) && isValue(value['A_Const'])
}

function isColumnNumber(item: Tree): boolean {
  const sorted = item['SortBy']
  const by = isTree(sorted) ? sorted['node'] : item
  return isTree(by) && 'A_Const' in by
}

/** Rows of VALUES that are alike without their values count once. */
function distinct(rows: readonly (readonly unknown[])[], given: GivenValues): unknown[] {
  const change = (each: Tree): unknown => withoutValue(each, given)
  const seen = new Map(rows.map((row) => [JSON.stringify(bare(row, change)), row]))
  return [...seen.values()]
}

/** Nothing below is looked at again: this text stands for it, with the values that its parameters have. */
function verbatim(value: unknown, { values, types }: GivenValues): string {
  const withParameters = bare(value, (tree) => {
    const parameter = tree['ParamRef']
    if (!isTree(parameter)) return tree
    const number = typeof parameter['number'] === 'number' ? parameter['number'] : 0
    const own = values[number - 1]
    const shown = own instanceof Uint8Array ? { bytes: Buffer.from(own).toString('hex') } : own
    return ['$', number, types[number - 1] ?? 0, shown ?? null]
  })
  return JSON.stringify(withParameters)
}
