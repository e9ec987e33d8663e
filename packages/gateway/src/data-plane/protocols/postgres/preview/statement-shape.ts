import { createHash } from 'node:crypto'
import type { Effects } from '@sallyport/core'
import { isTree, type Tree } from '../classify/tree.ts'
import { bare } from './bare-tree.ts'

/**
 * SHA-256, in hexadecimal, of a statement without the values in it, and of the names of all that it touches: statements of
 * one shape differ in values alone. What is inside of a function call stays as it is, for it may name objects or be code.
 * The parser's own fingerprint is no such hash: texts with the same one can be made.
 */
export function shapeOf(tree: Tree, effects: Effects): string {
  const objects = effects.objects.map((name) => JSON.stringify(name)).toSorted()
  const parts = [effects.class, effects.verb, objects, bare(tree, withoutValue)]
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex')
}

function withoutValue(tree: Tree): unknown {
  if ('FuncCall' in tree) return verbatim(tree)
  const constant = tree['A_Const']
  if (isTree(constant)) return isValue(constant) ? '?' : tree
  if ('ParamRef' in tree) return '?'
  const items = isTree(tree['List']) ? tree['List']['items'] : undefined
  // A list of values is one of any length: how many rows it meets, the estimate says.
  if (Array.isArray(items) && items.every(isPlainValue)) return '?'
  const rows = tree['valuesLists']
  if (Array.isArray(rows) && rows.length > 1) return { ...tree, valuesLists: distinct(rows) }
  return tree
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

/** Rows of VALUES that are alike without their values count once. */
function distinct(rows: readonly unknown[]): unknown[] {
  const seen = new Map(rows.map((row) => [JSON.stringify(bare(row, withoutValue)), row]))
  return [...seen.values()]
}

/** Nothing below is looked at again: the text of the call stands for it. */
function verbatim(call: Tree): string {
  return JSON.stringify(bare(call))
}
