import { codeReach } from './code-words.ts'
import type { Context } from './context.ts'
import { clean, derived, type Flow } from './flow.ts'
import type { LineageRelation, LineageTrigger, RowEvent } from './lineage-catalog.ts'
import { flowsOf } from './outputs.ts'
import { behindView, isView } from './view-writes.ts'

/** What a statement does to the rows of one relation. */
interface RowWrite {
  readonly relation: LineageRelation
  readonly event: RowEvent
  /** Columns that an UPDATE assigns, by name. */
  readonly assigned: ReadonlySet<string> | 'all'
  /** Written because it is a partition or child of what is: its triggers fire, and its rules don't. */
  readonly isPart: boolean
}

/** Triggers and rules of the relations that are written: what they can read, they may put where no mask names it. */
export function codeBehindWrites(
  relations: readonly LineageRelation[],
  events: readonly RowEvent[],
  assigned: RowWrite['assigned'],
  context: Context,
): void {
  if (!context.isOn('trigger')) return
  const seen = new Set<string>()
  const write = (one: RowWrite): void => {
    const key = `${one.relation.oid} ${one.relation.name} ${one.event} ${one.isPart}`
    if (seen.has(key)) return
    seen.add(key)
    for (const next of writtenWith(one, context)) write(next)
    codeOn(one, context)
  }
  for (const relation of relations)
    for (const event of events) write({ relation, event, assigned, isPart: false })
}

/** What the server writes beside: the relation behind a view, the parts of a table, and rows that refer by foreign keys. */
function writtenWith(
  { relation, event, assigned }: RowWrite,
  context: Context,
): readonly RowWrite[] {
  const { catalog } = context
  const others = { assigned: 'all', isPart: false } as const
  const written: RowWrite[] = []
  if (isView(relation)) {
    const behind = behindView(relation, context)
    if (behind === undefined) {
      const what = `what the view ${relation.schema}.${relation.name} writes to`
      context.facts.launder(context.masks.anything, what)
    }
    for (const one of behind?.relations ?? []) written.push({ ...others, relation: one, event })
  }
  for (const oid of catalog.descendants(relation.oid)) {
    const part = catalog.relation(oid)
    if (part === undefined) continue
    // A row whose key is changed leaves one partition for another.
    const moves = relation.kind === 'p' && event === 'update'
    const events: readonly RowEvent[] = moves ? ['update', 'delete', 'insert'] : [event]
    written.push(
      ...events.map((each) => ({ ...others, relation: part, event: each, isPart: true })),
    )
  }
  for (const { relation: oid, keys, actions } of catalog.referrers(relation.oid)) {
    const referring = catalog.relation(oid)
    const next = event === 'insert' ? undefined : actions[event]
    if (referring === undefined || next === undefined) continue
    if (event === 'update' && !assigns(relation, keys, assigned)) continue
    written.push({ ...others, relation: referring, event: next })
  }
  return written
}

/** Whether some of these attributes are among the columns that are assigned. */
export function assigns(
  { columns }: LineageRelation,
  attributes: readonly number[],
  assigned: ReadonlySet<string> | 'all',
): boolean {
  if (assigned === 'all') return true
  return columns.some(({ attribute, name }) => attributes.includes(attribute) && assigned.has(name))
}

function codeOn({ relation, event, isPart }: RowWrite, context: Context): void {
  const name = `${relation.schema}.${relation.name}`
  if (!isPart && relation.rules.includes(event))
    context.facts.launder(context.masks.anything, `what rules on ${name} write`)
  for (const trigger of relation.triggers) {
    if (!trigger.events.includes(event)) continue
    const what = `what the trigger ${trigger.name} on ${name} writes`
    context.facts.launder(triggerFlow(trigger, relation, context), what)
  }
}

/** What a trigger's function can move: the row, and what its text names. */
function triggerFlow(trigger: LineageTrigger, relation: LineageRelation, context: Context): Flow {
  if (trigger.function === 'pg_catalog.suppress_redundant_updates_trigger') return clean
  const bare = trigger.function.slice(trigger.function.indexOf('.') + 1)
  const known = context.catalog.functionsNamed(bare)
  if (known.some((fn) => fn.isTrusted && `${fn.schema}.${fn.name}` === trigger.function))
    return clean
  if (trigger.language !== 'plpgsql') return context.masks.anything
  const reach = codeReach(trigger.source, context)
  if (reach === undefined) return context.masks.anything
  // A function that writes nothing keeps the row where it is, under the names that it has.
  return reach.acts ? derived([reach.flow, ...flowsOf(context.relation(relation))]) : reach.flow
}
