import { isTree, type Tree } from './tree.ts'

/** Longer lists of constants say no more than their first. */
const constantsMax = 8

/** Larger trees are left out: the thread that gets them serves sessions meanwhile. */
const nodesMax = 20_000

/** Trees without most of their constants; undefined where they are large even so. */
export function shortTrees(statements: readonly Tree[]): readonly Tree[] | undefined {
  const count = { nodes: 0 }
  const short = statements.map((tree) => shorten(tree, count))
  return count.nodes > nodesMax ? undefined : short.filter(isTree)
}

function shorten(value: unknown, count: { nodes: number }): unknown {
  if (Array.isArray(value)) {
    const kept = value.length > constantsMax && value.every(isConstant) ? value.slice(0, 1) : value
    return kept.map((one: unknown) => shorten(one, count))
  }
  if (!isTree(value)) return value
  count.nodes += 1
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, one]) =>
      key === 'location' ? [] : [[key, shorten(one, count)]],
    ),
  )
}

/** A constant, or a list of nothing else: a row of VALUES. */
function isConstant(value: unknown): boolean {
  if (!isTree(value)) return false
  if ('A_Const' in value || 'ParamRef' in value) return true
  const list = value['List']
  const items = isTree(list) ? list['items'] : undefined
  return Array.isArray(items) && items.every(isConstant)
}
