import { at, list, rangeVarName, tagged, text, type Tree } from '../classify/tree.ts'
import type { Context, Output, Place } from './context.ts'
import { withCtes } from './cte-rules.ts'
import { clean, derived, either, inexact, isTainted, type Flow } from './flow.ts'
import { fromClause, fromItem, relationItem } from './from-rules.ts'
import type { LineageRelation, RowEvent } from './lineage-catalog.ts'
import { conditions } from './select-rules.ts'
import {
  beside,
  columnOf,
  nothingVisible,
  visibleItem,
  type ScopeColumn,
  type ScopeItem,
  type Visible,
} from './scope.ts'
import { targetOutput } from './target-rules.ts'
import { codeBehindWrites } from './trigger-rules.ts'
import { assign, constraintsOn, referrersOf } from './write-rules.ts'
import { flowsOf } from './outputs.ts'

/** The relation that a statement writes. */
interface Target {
  readonly item: ScopeItem
  readonly relations: readonly LineageRelation[]
  readonly name: string
  readonly events: readonly RowEvent[]
}

function targetOf(
  body: Tree,
  events: readonly RowEvent[],
  assigned: ReadonlySet<string> | 'all',
  place: Place,
  context: Context,
): Target {
  const rangeVar = at(body, 'relation') ?? {}
  const name = rangeVarName(rangeVar)
  const relations = context.catalog.named(name)
  const item = relationItem(rangeVar, { ...place, ctes: new Map() }, context)
  codeBehindWrites(relations, events, assigned, context)
  return { item, relations, name: name.join('.'), events }
}

export function insertOutput(body: Tree, outer: Place, context: Context): Output {
  const place = withCtes(body, outer, context)
  const target = targetOf(body, insertEvents(body), 'all', place, context)
  const given = at(body, 'selectStmt')
  const columns = assignedColumns(list(body, 'cols'), target)
  if (given !== undefined) insertRows(given, columns, target, place, context)
  const assigned = new Set(columns.map(({ name }) => name))
  constraintsOn(
    target.relations,
    list(body, 'cols').length === 0 ? 'all' : assigned,
    false,
    context,
  )
  const excluded: ScopeItem = { ...target.item, alias: 'excluded', columns: target.item.columns }
  const conflict = at(body, 'onConflictClause')
  if (conflict !== undefined) {
    const visible = beside(visibleItem(target.item), visibleItem(excluded))
    const inner = inside(visible, place)
    assignments(list(conflict, 'targetList'), target, inner, context)
    conditions(at(conflict, 'whereClause'), 'ON CONFLICT', inner, context)
    conditions(at(at(conflict, 'infer') ?? {}, 'whereClause'), 'ON CONFLICT', inner, context)
    if (list(conflict, 'targetList').length > 0)
      constraintsOn(target.relations, names(list(conflict, 'targetList')), true, context)
  }
  return returning(body, target, nothingVisible, place, context)
}

function insertEvents(body: Tree): readonly RowEvent[] {
  const action = text(at(body, 'onConflictClause') ?? {}, 'action')
  return action === 'ONCONFLICT_UPDATE' ? ['insert', 'update'] : ['insert']
}

function insertRows(
  given: Tree,
  columns: readonly ScopeColumn[],
  target: Target,
  place: Place,
  context: Context,
): void {
  const rows = list(tagged(given, 'SelectStmt') ?? {}, 'valuesLists')
  const output = context.query(given, place)
  const isPlain = output.open === undefined && output.columns.length <= columns.length
  const all = derived(flowsOf(output))
  for (const [index, column] of columns.entries()) {
    const flow = isPlain ? (output.columns[index]?.flow ?? clean) : all
    const values = rows.map((row) => list(tagged(row, 'List') ?? {}, 'items')[index])
    if (values.length === 0) assign({ column, flow, value: undefined }, target.name, context)
    for (const value of values) assign({ column, flow, value }, target.name, context)
  }
  if (columns.length === 0 && isTainted(all)) context.facts.launder(all, target.name)
  if (!isPlain && columns.length > 0 && isTainted(all)) context.facts.launder(all, target.name)
}

/** The columns of an INSERT in its order; without a list, all of the relation's. */
function assignedColumns(cols: readonly Tree[], target: Target): readonly ScopeColumn[] {
  if (cols.length === 0) return target.item.columns
  return cols.map((node) => assignedColumn(tagged(node, 'ResTarget') ?? {}, target))
}

/** A column, or a part of it; one that is not known masks nothing. */
function assignedColumn(node: Tree, target: Target): ScopeColumn {
  const name = text(node, 'name')
  return columnOf(target.item, name) ?? { name, flow: clean }
}

function names(targets: readonly Tree[]): ReadonlySet<string> {
  return new Set(targets.map((node) => text(tagged(node, 'ResTarget') ?? {}, 'name')))
}

/** SET, of UPDATE, ON CONFLICT and MERGE. */
function assignments(
  targets: readonly Tree[],
  target: Target,
  place: Place,
  context: Context,
): void {
  for (const node of targets) {
    const item = tagged(node, 'ResTarget') ?? {}
    const value = at(item, 'val')
    const flow = assignedFlow(value, place, context)
    const isPart = list(item, 'indirection').length > 0
    const column = assignedColumn(item, target)
    assign({ column, flow: isPart ? inexact(flow) : flow, value }, target.name, context)
  }
}

/** `(a, b) = (x, y)` gives each column its own; `(a, b) = (SELECT …)` by position. */
function assignedFlow(value: Tree | undefined, place: Place, context: Context): Flow {
  const multi = tagged(value, 'MultiAssignRef')
  if (multi === undefined) return context.expression(value, place)
  const source = at(multi, 'source') ?? {}
  const position = Number(multi['colno'] ?? 1) - 1
  const row = tagged(source, 'RowExpr')
  if (row !== undefined) {
    const value = list(row, 'args')[position]
    return value === undefined ? clean : context.expression(value, place)
  }
  return derived([context.expression(source, place)])
}

export function updateOutput(body: Tree, outer: Place, context: Context): Output {
  const place = withCtes(body, outer, context)
  const assigned = names(list(body, 'targetList'))
  const target = targetOf(body, ['update'], assigned, place, context)
  const own = visibleItem(target.item)
  const from = fromClause(list(body, 'fromClause'), own, place, context)
  const inner = inside(beside(own, from), place)
  assignments(list(body, 'targetList'), target, inner, context)
  constraintsOn(target.relations, assigned, true, context)
  if (context.isOn('clause.where')) conditions(at(body, 'whereClause'), 'WHERE', inner, context)
  return returning(body, target, from, place, context)
}

export function deleteOutput(body: Tree, outer: Place, context: Context): Output {
  const place = withCtes(body, outer, context)
  const target = targetOf(body, ['delete'], 'all', place, context)
  referrersOf(target.relations, context)
  const own = visibleItem(target.item)
  const using = fromClause(list(body, 'usingClause'), own, place, context)
  if (context.isOn('clause.where'))
    conditions(at(body, 'whereClause'), 'WHERE', inside(beside(own, using), place), context)
  return returning(body, target, using, place, context)
}

export function mergeOutput(body: Tree, outer: Place, context: Context): Output {
  const place = withCtes(body, outer, context)
  const target = targetOf(body, ['insert', 'update', 'delete'], 'all', place, context)
  const own = visibleItem(target.item)
  const source = fromItem(at(body, 'sourceRelation') ?? {}, nothingVisible, place, context)
  const inner = inside(beside(own, source), place)
  conditions(at(body, 'joinCondition'), 'the condition of a MERGE', inner, context)
  for (const node of list(body, 'mergeWhenClauses')) {
    const clause = tagged(node, 'MergeWhenClause') ?? {}
    conditions(at(clause, 'condition'), 'WHEN of a MERGE', inner, context)
    const targets = list(clause, 'targetList')
    if (text(clause, 'commandType') === 'CMD_DELETE') referrersOf(target.relations, context)
    if (text(clause, 'commandType') === 'CMD_INSERT') {
      const columns = assignedColumns(targets, target)
      for (const [index, value] of list(clause, 'values').entries()) {
        const column = columns[index] ?? { name: '', flow: clean }
        assign({ column, flow: context.expression(value, inner), value }, target.name, context)
      }
      constraintsOn(target.relations, targets.length === 0 ? 'all' : names(targets), false, context)
    } else {
      assignments(targets, target, inner, context)
      if (targets.length > 0) constraintsOn(target.relations, names(targets), true, context)
    }
  }
  // In a MERGE, `*` of RETURNING begins with the source.
  return returning(body, target, source, place, context, true)
}

function inside(visible: Visible, place: Place): Place {
  return { ...place, scope: { ...visible, outer: place.scope } }
}

/** RETURNING: the rows as they were or are, under the names `old` and `new` too. */
function returning(
  body: Tree,
  target: Target,
  others: Visible,
  place: Place,
  context: Context,
  isSourceFirst = false,
): Output {
  const clause = at(body, 'returningClause') ?? {}
  const targets = list(clause, 'exprs')
  if (targets.length === 0) return { columns: [], open: undefined }
  if (!context.isOn('returning')) return targetOutput([], others, place, context)
  const own = visibleItem(target.item)
  const visible = isSourceFirst ? beside(others, own) : beside(own, others)
  const renamed = list(clause, 'options').map((node) =>
    text(tagged(node, 'ReturningOption') ?? {}, 'value'),
  )
  const states = ['old', 'new', ...renamed].map((alias) => ({
    ...target.item,
    alias,
    isTable: true,
  }))
  const scope = { ...visible, items: [...visible.items, ...states], outer: place.scope }
  const output = targetOutput(targets, visible, { ...place, scope }, context)
  const isRuled = target.relations.some(({ rules }) =>
    target.events.some((event) => rules.includes(event)),
  )
  if (!isRuled) return output
  return {
    columns: output.columns.map((column) => ({
      ...column,
      flow: either([column.flow, context.masks.anything]),
    })),
    open: output.open,
  }
}
