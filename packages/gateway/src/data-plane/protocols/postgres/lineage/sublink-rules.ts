import { at, list, text, words, type Tree } from '../classify/tree.ts'
import type { Context, Output, Place } from './context.ts'
import { confined } from './confined.ts'
import { kindOfColumn } from './expression-kind.ts'
import { clean, derived, either, isTainted, marked, type Flow } from './flow.ts'
import { operatorOf } from './operator-rules.ts'
import { flowsOf } from './outputs.ts'

/** A query inside an expression. What decides about its rows decides about its value. */
export function sublinkFlow(body: Tree, place: Place, context: Context): Flow {
  const query = at(body, 'subselect')
  if (query === undefined) return context.masks.anything
  const inner = context.apart()
  const output = inner.query(query, place)
  const [only] = output.columns
  if (output.columns.length === 1) context.kinds.set(query, kindOfColumn(only))
  // A second row is an error.
  if (oneRowKinds.has(text(body, 'subLinkType')) && output.rows === undefined)
    inner.facts.note({ fails: true, acts: false })
  const decided = confined(inner.facts, context)
  const value = valueOf(body, output, place, context)
  const flow = isTainted(decided) ? derived([value, decided]) : value
  return marked(flow, inner.facts)
}

const oneRowKinds = new Set(['EXPR_SUBLINK', 'ROWCOMPARE_SUBLINK'])

function valueOf(body: Tree, output: Output, place: Place, context: Context): Flow {
  const flows = flowsOf(output)
  switch (text(body, 'subLinkType')) {
    case 'EXISTS_SUBLINK':
      return clean
    case 'EXPR_SUBLINK':
      return flows.length === 1 ? either(flows) : derived(flows)
    case 'ANY_SUBLINK':
    case 'ALL_SUBLINK':
    case 'ROWCOMPARE_SUBLINK': {
      const left = context.expression(at(body, 'testexpr'), place)
      const names = words(list(body, 'operName'))
      // IN has no operator of its own.
      const name = names.length === 0 ? ['='] : names
      const right = derived(flows)
      const isUnary = false
      return operatorOf(
        { name, kind: 'AEXPR_OP', left, right, nodes: [undefined, undefined], isUnary },
        place,
        context,
      )
    }
    default:
      return derived([...flows, clean])
  }
}
