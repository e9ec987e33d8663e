import { at, list, text, unwrap, words, type Tree } from '../classify/tree.ts'
import type { Context, Place } from './context.ts'
import { derived, inexact, type Flow } from './flow.ts'
import { columnOf, findItem, findName, rowFlow, type ScopeColumn, type ScopeItem } from './scope.ts'

/** `column`, `table.column`, `schema.table.column`, `table` as a whole row, or `table.function`. */
export function referenceFlow(body: Tree, place: Place, context: Context): Flow {
  const fields = list(body, 'fields')
  if (fields.some((field) => 'A_Star' in field)) {
    const item = findItem(place.scope, words(fields))
    return item === undefined ? unresolved(words(fields), context) : rowFlow(item)
  }
  return reference(words(fields), place, context).flow
}

/** The column that a reference names, for what has to know more than its flow. */
export function reference(
  names: readonly string[],
  place: Place,
  context: Context,
): { readonly flow: Flow; readonly column?: ScopeColumn; readonly row?: ScopeItem } {
  const name = names.at(-1) ?? ''
  if (names.length === 1) {
    const found = findName(place.scope, name)
    if (found.kind === 'column') return { flow: found.column.flow, column: found.column }
    if (found.kind === 'row') return { flow: rowFlow(found.item), row: found.item }
    return { flow: unresolved(names, context) }
  }
  const item = findItem(place.scope, names.slice(0, -1))
  if (item === undefined) {
    // A field of an argument of a function.
    const whole = findName(place.scope, names[0] ?? '')
    if (whole.kind === 'column') return { flow: inexact(whole.column.flow) }
    return { flow: unresolved(names, context) }
  }
  const column = columnOf(item, name)
  if (column !== undefined) return { flow: column.flow, column }
  // `t.f` calls f(t) where t has no column f.
  const called = context.ownCall(context.catalog.functionsNamed(name), [rowFlow(item)], place)
  return { flow: derived([rowFlow(item), ...called.columns.map(({ flow }) => flow)]) }
}

function unresolved(names: readonly string[], context: Context): Flow {
  context.facts.unresolved.add(`name ${names.join('.')}`)
  return context.masks.anything
}

/** `(row).field`, `(row).*`, `array[1]`. A field of a relation's whole row is that column; of anything else, a part of it. */
export function selectionFlow(body: Tree, place: Place, context: Context): Flow {
  const steps = list(body, 'indirection')
  const row = rowOf(at(body, 'arg'), place)
  const [first, ...rest] = steps
  if (row !== undefined && first !== undefined && 'String' in first) {
    const column = columnOf(row, text(at(first, 'String') ?? {}, 'sval'))
    if (column !== undefined) {
      return rest.length === 0
        ? column.flow
        : derived([column.flow, ...parts(rest, place, context)])
    }
  }
  const whole = context.expression(at(body, 'arg'), place)
  return inexact(derived([whole, ...parts(steps, place, context)]))
}

function parts(steps: readonly Tree[], place: Place, context: Context): readonly Flow[] {
  return steps.flatMap((step) => {
    const inner = unwrap(step)
    if (inner?.tag === 'A_Indices') return [context.expression(step, place)]
    // `(row).f` calls f(row) where the row has no field f.
    if (inner?.tag !== 'String') return []
    const functions = context.catalog.functionsNamed(text(inner.body, 'sval'))
    return context.ownCall(functions, [], place).columns.map(({ flow }) => flow)
  })
}

/** The relation whose whole row an expression is. */
export function rowOf(node: Tree | undefined, place: Place): ScopeItem | undefined {
  const fields = list(at(node ?? {}, 'ColumnRef') ?? {}, 'fields')
  const names = words(fields)
  if (names.length === 0 || names.length !== fields.length) return undefined
  if (names.length === 1) {
    const found = findName(place.scope, names[0] ?? '')
    return found.kind === 'row' ? found.item : undefined
  }
  return undefined
}
