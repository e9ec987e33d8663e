import { isDeepStrictEqual } from 'node:util'
import { isTree, type Tree } from '../classify/tree.ts'

/** Fields that say where something stood in its text, and nothing of what it means. */
const places: ReadonlySet<string> = new Set([
  'location',
  'rexpr_list_start',
  'rexpr_list_end',
  'list_start',
  'list_end',
  'stmt_location',
  'stmt_len',
])

/** Whether two trees of the parser mean the same, wherever their texts had it. */
export function sameTree(left: unknown, right: unknown): boolean {
  return isDeepStrictEqual(bare(left), bare(right))
}

/** The tree without places. `change` may put something else in the place of a node. */
export function bare(value: unknown, change: (tree: Tree) => unknown = (tree) => tree): unknown {
  if (Array.isArray(value)) return value.map((one) => bare(one, change))
  if (!isTree(value)) return value
  const changed = change(value)
  if (!isTree(changed)) return changed
  return Object.fromEntries(
    Object.entries(changed).flatMap(([key, one]) =>
      places.has(key) || one === undefined ? [] : [[key, bare(one, change)]],
    ),
  )
}

/** What is walked here nests no deeper; the parser takes texts whose trees are deep enough to use up the stack. */
const levelsMax = 600

export function isTooDeep(tree: Tree): boolean {
  let level: unknown[] = [tree]
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > levelsMax) return true
    level = level.flatMap((one) =>
      typeof one === 'object' && one !== null ? Object.values(one) : [],
    )
  }
  return false
}

/** Where in its text the first word of a tree stands, in bytes; undefined where nothing in it has a place. */
export function firstPlace(value: unknown): number | undefined {
  let first: number | undefined
  const look = (one: unknown): void => {
    if (Array.isArray(one)) return one.forEach(look)
    if (!isTree(one)) return
    for (const [key, inner] of Object.entries(one)) {
      if (key !== 'location') look(inner)
      else if (typeof inner === 'number' && inner >= 0) first = Math.min(first ?? inner, inner)
    }
  }
  look(value)
  return first
}
