import { at, text, type Tree } from '../classify/tree.ts'
import type { Context, Place } from './context.ts'
import { clean, derived, type Flow } from './flow.ts'

/** A query inside an expression. What decides about its rows is a finding of its own. */
export function sublinkFlow(body: Tree, place: Place, context: Context): Flow {
  const query = at(body, 'subselect')
  if (query === undefined) return context.masks.anything
  const { columns, open } = context.query(query, place)
  const flows = columns.map(({ flow }) => flow)
  if (open !== undefined) flows.push(open)
  switch (text(body, 'subLinkType')) {
    case 'EXISTS_SUBLINK':
      return clean
    case 'EXPR_SUBLINK':
      return flows.length === 1 ? (flows[0] ?? clean) : derived(flows)
    case 'ARRAY_SUBLINK':
      return derived([...flows, ...flows])
    case 'ANY_SUBLINK':
    case 'ALL_SUBLINK':
    case 'ROWCOMPARE_SUBLINK':
      return derived([context.expression(at(body, 'testexpr'), place), ...flows, clean])
    default:
      return derived(flows)
  }
}
