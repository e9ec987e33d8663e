import { at, constantText, list, tagged, text, unwrap, words, type Tree } from '../classify/tree.ts'
import type { Context, Output, Place } from './context.ts'
import { withCtes } from './cte-rules.ts'
import { clean, derived, either, type Flow } from './flow.ts'
import { fromClause } from './from-rules.ts'
import { windowFlow } from './guards.ts'
import { isLookupCondition } from './operator-rules.ts'
import { isSafeLimit, limitedRows, rowsOf } from './one-row.ts'
import { findName, nothingVisible, type ScopeColumn } from './scope.ts'
import { targetOutput } from './target-rules.ts'
import { flowsOf } from './outputs.ts'

/** SELECT, VALUES and set operations. */
export function selectOutput(body: Tree, outer: Place, context: Context): Output {
  const place = withCtes(body, outer, context)
  const op = text(body, 'op')
  if (op !== '' && op !== 'SETOP_NONE') return setOperation(body, place, context)
  const rows = list(body, 'valuesLists')
  if (rows.length > 0) {
    const output = valuesOutput(rows, place, context)
    endClauses(body, output, place, context)
    return rows.length === 1 ? { ...output, rows: 'at most one' } : output
  }
  const from = fromClause(list(body, 'fromClause'), nothingVisible, place, context)
  const inner = withWindows(body, { ...place, scope: { ...from, outer: place.scope } }, context)
  const { facts } = context
  if (context.isOn('clause.where')) conditions(at(body, 'whereClause'), 'WHERE', inner, context)
  const output = targetOutput(list(body, 'targetList'), from, inner, context)
  if (context.isOn('clause.group')) {
    const flows = list(body, 'groupClause').map((node) => keyFlow(node, output, inner, context))
    facts.influence('group', derived(flows), 'GROUP BY')
  }
  if (context.isOn('clause.having')) conditions(at(body, 'havingClause'), 'HAVING', inner, context)
  distinct(body, output, inner, context)
  endClauses(body, output, inner, context)
  // What it locks, others wait for.
  if (list(body, 'lockingClause').length > 0) facts.note({ fails: true, acts: true })
  return { ...output, rows: rowsOf(body, from, context) }
}

/** ANDed conditions, each a finding of its own, so that a look-up among them is seen as one. */
export function conditions(
  node: Tree | undefined,
  what: string,
  place: Place,
  context: Context,
): void {
  if (node === undefined) return
  const and = tagged(node, 'BoolExpr')
  if (and !== undefined && text(and, 'boolop') === 'AND_EXPR') {
    // Read as a whole too: one operand may decide whether another is computed.
    context.expression(node, place)
    for (const arg of list(and, 'args')) conditions(arg, what, place, context)
    return
  }
  const flow = context.expression(node, place)
  context.facts.influence('filter', flow, what, isLookupCondition(node))
}

function withWindows(body: Tree, place: Place, context: Context): Place {
  const nodes = list(body, 'windowClause')
  if (nodes.length === 0) return place
  const windows = new Map(place.windows)
  const inner = { ...place, windows }
  for (const node of nodes) {
    const definition = tagged(node, 'WindowDef') ?? {}
    const flow = windowFlow({ ...definition, name: '' }, inner, context)
    windows.set(text(definition, 'name'), flow)
  }
  return inner
}

/** UNION and its kind: outputs unite by position. Where doubles are sought, all columns decide about the rows. */
function setOperation(body: Tree, place: Place, context: Context): Output {
  const sides = [leftmost(body), ...rightSides(body)].map((side) =>
    selectOutput(side, place, context),
  )
  for (const flow of sides.flatMap(flowsOf)) context.facts.plan(flow)
  let output = sides[0] ?? { columns: [], open: undefined }
  for (const side of sides.slice(1)) output = united(output, side, context)
  if (comparesRows(body) && context.isOn('clause.distinct')) {
    const flow = derived(sides.flatMap(flowsOf))
    context.facts.influence('distinct', flow, 'a set operation that compares rows')
  }
  endClauses(body, output, place, context, true)
  return { ...output, rows: limitedRows(body) }
}

/** Chains lean to the left and may be long: they are walked, not recursed into. */
function leftmost(body: Tree): Tree {
  let side = body
  for (let next = chainedLeft(side); next !== undefined; next = chainedLeft(side)) side = next
  return at(side, 'larg') ?? {}
}

function rightSides(body: Tree): readonly Tree[] {
  const sides: Tree[] = []
  for (let side: Tree | undefined = body; side !== undefined; side = chainedLeft(side))
    sides.unshift(at(side, 'rarg') ?? {})
  return sides
}

/** The left side, where it is a set operation without clauses of its own. */
function chainedLeft(body: Tree): Tree | undefined {
  const left = at(body, 'larg')
  if (left === undefined || text(left, 'op') === 'SETOP_NONE' || text(left, 'op') === '')
    return undefined
  const hasOwn = ['withClause', 'sortClause', 'limitCount', 'limitOffset'].some(
    (field) => left[field] !== undefined,
  )
  return hasOwn ? undefined : left
}

function comparesRows(body: Tree): boolean {
  for (let side: Tree | undefined = body; side !== undefined; side = chainedLeft(side)) {
    if (text(side, 'op') !== 'SETOP_UNION' || side['all'] !== true) return true
  }
  return false
}

function united(left: Output, right: Output, context: Context): Output {
  const isKnown = left.open === undefined && right.open === undefined
  if (!isKnown || left.columns.length !== right.columns.length) {
    return { columns: [], open: either([...flowsOf(left), ...flowsOf(right)]) }
  }
  const isOn = context.isOn('union')
  const columns = left.columns.map((column, index): ScopeColumn => {
    const flow = isOn ? either([column.flow, right.columns[index]?.flow ?? clean]) : column.flow
    return { name: column.name, flow, ...(column.isNameless === true ? { isNameless: true } : {}) }
  })
  return { columns, open: undefined }
}

function valuesOutput(rows: readonly Tree[], place: Place, context: Context): Output {
  const columns: Flow[] = []
  for (const row of rows) {
    const items = list(tagged(row, 'List') ?? {}, 'items')
    for (const [index, item] of items.entries()) {
      const flow = context.expression(item, place)
      const before = columns[index]
      if (before === undefined) columns[index] = flow
      else if (flow !== clean) columns[index] = either([before, flow])
    }
  }
  return {
    columns: columns.map((flow, index) => ({ name: `column${index + 1}`, flow })),
    open: undefined,
  }
}

function distinct(body: Tree, output: Output, place: Place, context: Context): void {
  const clause = body['distinctClause']
  if (!Array.isArray(clause) || !context.isOn('clause.distinct')) return
  const on = list(body, 'distinctClause').filter((node) => unwrap(node) !== undefined)
  const flows =
    on.length === 0 ? flowsOf(output) : on.map((node) => keyFlow(node, output, place, context))
  context.facts.influence('distinct', derived(flows), 'DISTINCT')
}

/** ORDER BY, LIMIT and OFFSET. A set operation can be sorted by its outputs alone. */
function endClauses(
  body: Tree,
  output: Output,
  place: Place,
  context: Context,
  isSet = false,
): void {
  if (context.isOn('clause.order')) {
    const flows = list(body, 'sortClause').map((node) => {
      const key = at(tagged(node, 'SortBy') ?? {}, 'node') ?? {}
      const flow = keyFlow(key, output, place, context, isSet)
      const using = list(tagged(node, 'SortBy') ?? {}, 'useOp')
      return using.length > 1 ? derived([flow, ...flowsOf(output)]) : flow
    })
    context.facts.influence('order', derived(flows), 'ORDER BY')
  }
  if (!context.isOn('clause.limit')) return
  const limits = [at(body, 'limitCount'), at(body, 'limitOffset')]
  if (limits.some((node) => node !== undefined && !isSafeLimit(node)))
    context.facts.note({ fails: true, acts: false })
  const flow = derived(limits.map((node) => context.expression(node, place)))
  context.facts.influence('limit', flow, 'LIMIT')
}

/** What GROUP BY, ORDER BY and DISTINCT ON name: an output by its number or name, or any expression. */
function keyFlow(node: Tree, output: Output, place: Place, context: Context, isSet = false): Flow {
  const set = tagged(node, 'GroupingSet')
  if (set !== undefined) {
    return derived(list(set, 'content').map((part) => keyFlow(part, output, place, context)))
  }
  const items = tagged(node, 'List') ?? tagged(node, 'RowExpr')
  if (items !== undefined) {
    const parts = [...list(items, 'items'), ...list(items, 'args')]
    return derived(parts.map((part) => keyFlow(part, output, place, context)))
  }
  const position = tagged(node, 'A_Const') === undefined ? undefined : constantText(node)
  if (position !== undefined && /^\d+$/.test(position)) {
    if (output.open !== undefined) return derived(flowsOf(output))
    return output.columns[Number(position) - 1]?.flow ?? clean
  }
  const names = words(list(tagged(node, 'ColumnRef') ?? {}, 'fields'))
  const named = names.length === 1 ? outputNamed(names[0] ?? '', output) : undefined
  if (isSet) return named ?? derived(flowsOf(output))
  if (named === undefined) return context.expression(node, place)
  // ORDER BY prefers the output, GROUP BY the input: both are counted.
  const found =
    findName(place.scope, names[0] ?? '').kind !== 'none' ? [context.expression(node, place)] : []
  return derived([named, ...found])
}

function outputNamed(name: string, { columns, open }: Output): Flow | undefined {
  const found = columns.filter((column) => column.name === name || column.isNameless === true)
  if (found.length === 0 && open === undefined) return undefined
  const flows = found.map(({ flow }) => flow)
  return either(open === undefined ? flows : [...flows, open])
}
