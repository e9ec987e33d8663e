import { at, isTree, list, unwrap, type Tree } from '../classify/tree.ts'
import type { Context, Place } from './context.ts'
import { derived, failing, type Flow } from './flow.ts'

/** XMLTABLE and JSON_TABLE: each column can carry anything of the document, of the paths and of the defaults. */
export function tableFunctionFlow(tag: string, body: Tree, place: Place, context: Context): Flow {
  const flows: Flow[] = []
  if (tag === 'JsonTable') {
    flows.push(context.expression({ JsonValueExpr: at(body, 'context_item') ?? {} }, place))
    for (const node of list(body, 'passing')) flows.push(context.expression(node, place))
    behaviors(body, place, context, flows)
  } else {
    for (const field of ['docexpr', 'rowexpr'])
      flows.push(context.expression(at(body, field), place))
    for (const node of list(body, 'namespaces')) flows.push(context.expression(node, place))
  }
  columnFlows(list(body, 'columns'), place, context, flows)
  const flow = failing(derived(flows))
  context.facts.note(flow)
  context.facts.partial(flow, tag === 'JsonTable' ? 'JSON_TABLE' : 'XMLTABLE')
  context.facts.influence('rows', flow, tag === 'JsonTable' ? 'JSON_TABLE' : 'XMLTABLE')
  return flow
}

function columnFlows(
  columns: readonly Tree[],
  place: Place,
  context: Context,
  flows: Flow[],
): void {
  for (const node of columns) {
    const body = unwrap(node)?.body ?? {}
    for (const field of ['colexpr', 'coldefexpr']) {
      const value = body[field]
      if (isTree(value)) flows.push(context.expression(value, place))
    }
    behaviors(body, place, context, flows)
    columnFlows(list(body, 'columns'), place, context, flows)
  }
}

function behaviors(body: Tree, place: Place, context: Context, flows: Flow[]): void {
  for (const field of ['on_empty', 'on_error']) {
    const behavior = at(body, field)
    if (behavior !== undefined) flows.push(context.expression({ JsonBehavior: behavior }, place))
  }
}
