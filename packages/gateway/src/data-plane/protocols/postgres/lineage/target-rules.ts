import { at, list, tagged, text, words, type Tree } from '../classify/tree.ts'
import { callOutput } from './call-rules.ts'
import type { Context, Output, Place } from './context.ts'
import { kindOf } from './expression-kind.ts'
import { along, derived, either, type Flow } from './flow.ts'
import { outputName } from './output-name.ts'
import { flowsOf } from './outputs.ts'
import { reference, rowOf } from './reference-rules.ts'
import { eitherOpen, findItem, type ScopeColumn, type Visible } from './scope.ts'

/** The columns of a SELECT list or of RETURNING. `from` is what a bare `*` stands for. */
export function targetOutput(
  targets: readonly Tree[],
  from: Visible,
  place: Place,
  context: Context,
): Output {
  const columns: ScopeColumn[] = []
  let open: Flow | undefined
  for (const node of targets) {
    const target = tagged(node, 'ResTarget') ?? {}
    const output = context.isOn('target') ? targetColumns(target, from, place, context) : nothing
    columns.push(...output.columns)
    for (const flow of flowsOf(output)) context.facts.note(flow)
    open = eitherOpen(open, output.open)
  }
  return { columns, open }
}

const nothing: Output = { columns: [], open: undefined }

function targetColumns(target: Tree, from: Visible, place: Place, context: Context): Output {
  const value = at(target, 'val') ?? {}
  const star = starOutput(value, from, place, context)
  if (star !== undefined) return star
  const alias = text(target, 'name')
  const names = words(list(tagged(value, 'ColumnRef') ?? {}, 'fields'))
  const found = names.length > 0 ? reference(names, place, context) : undefined
  const flow = context.expression(value, place)
  const name = alias === '' ? outputName(value) : alias
  // A view's own columns have the names; those inside of it tell nothing.
  const isAlias = !place.isPrinted && alias !== '' && alias !== names.at(-1)
  const { origin, typeOid } = found?.column ?? {}
  const kind =
    found?.column?.kind ?? (typeOid === undefined ? kindOf(value, place, context) : undefined)
  return {
    columns: [
      {
        name: name ?? '',
        flow: isAlias ? along(flow, `alias ${alias}`) : flow,
        ...(origin === undefined ? {} : { origin }),
        ...(typeOid === undefined ? {} : { typeOid }),
        ...(kind === undefined ? {} : { kind }),
        ...(name === undefined ? { isNameless: true } : {}),
      },
    ],
    open: undefined,
  }
}

/** `*`, `t.*`, `(row).*`. */
function starOutput(
  value: Tree,
  from: Visible,
  place: Place,
  context: Context,
): Output | undefined {
  const fields = list(tagged(value, 'ColumnRef') ?? {}, 'fields')
  if (fields.some((field) => 'A_Star' in field)) {
    if (fields.length === 1) return { columns: from.columns, open: from.open }
    const item = findItem(place.scope, words(fields))
    if (item !== undefined) return { columns: item.columns, open: item.open }
    // `column.*`, the fields of a composite.
    const { flow } = reference(words(fields), place, context)
    return { columns: [], open: derived([flow]) }
  }
  const selection = tagged(value, 'A_Indirection')
  const steps = list(selection ?? {}, 'indirection')
  const last = steps.at(-1)
  if (selection === undefined || last === undefined || !('A_Star' in last)) return undefined
  const row = steps.length === 1 ? rowOf(at(selection, 'arg'), place) : undefined
  if (row !== undefined) return { columns: row.columns, open: row.open }
  const call = steps.length === 1 ? at(at(selection, 'arg') ?? {}, 'FuncCall') : undefined
  if (call !== undefined) {
    const output = callOutput(call, place, context)
    const isListed =
      output.open === undefined && !output.columns.some(({ isNameless }) => isNameless)
    if (isListed) return output
    const flows = output.columns.map(({ flow }) => flow)
    return {
      columns: [],
      open: either(output.open === undefined ? flows : [...flows, output.open]),
    }
  }
  return { columns: [], open: context.expression(value, place) }
}
