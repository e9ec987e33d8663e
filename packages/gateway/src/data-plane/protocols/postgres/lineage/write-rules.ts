import { strongest } from '@sallyport/core'
import { constantText, tagged, type Tree } from '../classify/tree.ts'
import { assignedFlow } from './cast-rules.ts'
import type { Context } from './context.ts'
import { columnFlow, derived, isTainted, type Flow, type MaskedColumn } from './flow.ts'
import type { LineageRelation } from './lineage-catalog.ts'
import type { ScopeColumn } from './scope.ts'
import { assigns } from './trigger-rules.ts'
import { behindView, isView } from './view-writes.ts'

/** A column that a statement assigns. */
export interface Assignment {
  readonly column: ScopeColumn
  readonly flow: Flow
  /** The expression, where there is one for this column alone. */
  readonly value: Tree | undefined
}

/** Functions that show nothing of a value, whatever it is made of. */
const opaqueFunctions = new Set(['block', 'null', 'redact'])

/** A masked value may only go where the same mask awaits it. */
export function assign(assignment: Assignment, where: string, context: Context): void {
  const { column, value } = assignment
  const flow = assignedFlow(assignment.flow, value, context)
  for (const masked of column.flow.sources.keys()) {
    const parameter = tagged(value, 'ParamRef')?.['number']
    context.facts.maskedWrite(
      masked,
      value !== undefined && 'A_Const' in value ? constantText(value) : undefined,
      typeof parameter === 'number' ? parameter : undefined,
    )
  }
  if (!isTainted(flow) || !context.isOn('write')) return
  if (isTainted(column.flow) && isCovered(flow, [...column.flow.sources.keys()])) return
  context.facts.launder(flow, `${where}.${column.name}`)
}

function isCovered(flow: Flow, targets: readonly MaskedColumn[]): boolean {
  return targets.every((target) => {
    if (opaqueFunctions.has(strongest(target.rules.map((rule) => rule.with)))) return true
    // Partly shown: only a value that is whole shows the part that its own mask would.
    return (
      flow.isExact &&
      [...flow.sources.keys()].every((source) =>
        source.rules.every((rule) => target.rules.includes(rule)),
      )
    )
  })
}

/** What the server compares or checks when these columns are written: that it fails tells of stored values. */
export function constraintsOn(
  relations: readonly LineageRelation[],
  assigned: ReadonlySet<string> | 'all',
  isUpdate: boolean,
  context: Context,
): void {
  if (!context.isOn('constraint')) return
  for (const relation of relations) {
    if (isView(relation)) constraintsBehind(relation, assigned, isUpdate, context)
    for (const one of withParts(relation, context)) {
      for (const constraint of one.constraints) {
        // A row that is inserted is the caller's own: a check of it tells nothing else.
        if (constraint.kind === 'check' && !isUpdate) continue
        const seen =
          constraint.attributes.length > 0
            ? constraint.attributes
            : one.columns.map(({ attribute }) => attribute)
        if (!assigns(one, seen, assigned)) continue
        const flows = maskedFlows(one.oid, seen, context)
        const { references } = constraint
        if (references !== undefined)
          flows.push(...maskedFlows(references.oid, references.attributes, context))
        context.facts.influence('constraint', derived(flows), `the constraint ${constraint.name}`)
      }
      if (isUpdate) referrersOn(one, assigned, context)
    }
  }
}

/** Rows that are deleted may be in the way of a foreign key, or take the rows along that refer to them. */
export function referrersOf(relations: readonly LineageRelation[], context: Context): void {
  if (!context.isOn('constraint')) return
  for (const relation of relations) {
    const behind = isView(relation) ? behindView(relation, context) : undefined
    if (behind !== undefined) referrersOf(behind.relations, context)
    for (const one of withParts(relation, context)) referrersOn(one, 'all', context)
  }
}

/** What foreign keys of others look at when these columns change. */
function referrersOn(
  relation: LineageRelation,
  assigned: ReadonlySet<string> | 'all',
  context: Context,
): void {
  for (const { relation: oid, attributes, keys } of context.catalog.referrers(relation.oid)) {
    if (!assigns(relation, keys, assigned)) continue
    const what = `foreign keys to ${relation.schema}.${relation.name}`
    context.facts.influence('constraint', derived(maskedFlows(oid, attributes, context)), what)
  }
}

/** The relation with its partitions and children, in which its rows may stand. */
function withParts(relation: LineageRelation, context: Context): readonly LineageRelation[] {
  const parts = context.catalog
    .descendants(relation.oid)
    .flatMap((oid) => context.catalog.relation(oid) ?? [])
  return [relation, ...parts]
}

/** A view is checked by what stands behind it. */
function constraintsBehind(
  view: LineageRelation,
  assigned: ReadonlySet<string> | 'all',
  isUpdate: boolean,
  context: Context,
): void {
  const behind = behindView(view, context)
  if (behind === undefined) return
  const { relations, columns } = behind
  const isTold = assigned !== 'all' && [...assigned].every((name) => columns.has(name))
  const names = isTold ? new Set([...assigned].map((name) => columns.get(name) ?? '')) : 'all'
  constraintsOn(relations, names, isUpdate, context)
}

function maskedFlows(oid: number, attributes: readonly number[], context: Context): Flow[] {
  return attributes.flatMap((attribute) => {
    const masked = context.masks.column(oid, attribute)
    return masked === undefined ? [] : [columnFlow(masked)]
  })
}
