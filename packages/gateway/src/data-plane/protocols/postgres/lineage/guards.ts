import { at, list, text, type Tree } from '../classify/tree.ts'
import type { Context, Place } from './context.ts'
import { clean, derived, isTainted, type Flow } from './flow.ts'
import { isSafeLimit } from './one-row.ts'

export function values(nodes: readonly Tree[], place: Place, context: Context): readonly Flow[] {
  return nodes.map((node) => context.expression(node, place))
}

/** Operands of which one may decide whether another is computed. */
export function guarded(flows: readonly Flow[], context: Context): Flow {
  if (flows.length > 1 && flows.some(isTainted) && flows.some(({ fails, acts }) => fails || acts)) {
    const guards = flows.filter(
      (flow) =>
        isTainted(flow) && flows.some((other) => other !== flow && (other.fails || other.acts)),
    )
    context.facts.influence('branch', derived(guards), 'whether another expression is computed')
  }
  return derived(flows)
}

/** The masks show already which of these values are NULL. */
export function isNullVisible(flow: Flow): boolean {
  return flow.isExact && [...flow.sources.keys()].every(({ hidesNull }) => !hidesNull)
}

/** What the partition and the order of a window depend on. Rows come out sorted by it. */
export function windowFlow(over: Tree | undefined, place: Place, context: Context): Flow {
  if (over === undefined) return clean
  for (const offset of [at(over, 'startOffset'), at(over, 'endOffset')])
    if (offset !== undefined && !isSafeLimit(offset))
      context.facts.note({ fails: true, acts: false })
  const name = text(over, 'name') || text(over, 'refname')
  const base = name === '' ? clean : (place.windows.get(name) ?? clean)
  const flow = derived([
    base,
    ...values(list(over, 'partitionClause'), place, context),
    ...values(list(over, 'orderClause'), place, context),
    context.expression(at(over, 'startOffset'), place),
    context.expression(at(over, 'endOffset'), place),
  ])
  if (context.isOn('clause.window')) context.facts.influence('window', flow, 'a window')
  return flow
}
