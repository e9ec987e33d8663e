import { at, list, rangeVarName, tagged, words } from '../classify/tree.ts'
import type { Context } from './context.ts'
import type { LineageRelation } from './lineage-catalog.ts'

/** The relation that a write to a view goes to, and which of its columns the view's stand for. */
export interface BehindView {
  readonly relations: readonly LineageRelation[]
  /** By the view's column; those that are computed are missing. */
  readonly columns: ReadonlyMap<string, string>
}

/**
 * What the server writes to in the place of a view: one relation, as CREATE VIEW's section on updatable views has it. Undefined
 * where the view can't be read.
 */
export function behindView(view: LineageRelation, context: Context): BehindView | undefined {
  const { definition = '' } = view
  const statement = at(context.parse(definition)?.[0] ?? {}, 'stmt')
  const select = tagged(statement, 'SelectStmt')
  if (select === undefined) return undefined
  const from = list(select, 'fromClause')
  const source = from.length === 1 ? tagged(from[0], 'RangeVar') : undefined
  // What joins, groups or computes rows is written to by its own triggers and rules alone.
  if (source === undefined) return { relations: [], columns: new Map() }
  const columns = new Map<string, string>()
  for (const [index, node] of list(select, 'targetList').entries()) {
    const value = at(tagged(node, 'ResTarget') ?? {}, 'val')
    const name = words(list(tagged(value, 'ColumnRef') ?? {}, 'fields')).at(-1)
    const own = view.columns[index]?.name
    if (name !== undefined && own !== undefined) columns.set(own, name)
  }
  return { relations: context.catalog.named(rangeVarName(source)), columns }
}

/** True for relations that a write goes through. */
export function isView({ kind, schema }: LineageRelation): boolean {
  return kind === 'v' && schema !== 'pg_catalog' && schema !== 'information_schema'
}
