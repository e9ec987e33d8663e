import { codeReach } from './code-words.ts'
import type { Context } from './context.ts'
import { clean, derived, type Flow } from './flow.ts'
import type { LineageRelation, LineageTrigger } from './lineage-catalog.ts'
import { flowsOf } from './outputs.ts'

/** What a statement does to rows, as triggers wait for it. */
export type RowEvent = 'insert' | 'update' | 'delete'

/** Triggers and rules of the relations that are written: what they can read, they may put where no mask names it. */
export function codeBehindWrites(
  relations: readonly LineageRelation[],
  events: readonly RowEvent[],
  context: Context,
): void {
  if (!context.isOn('trigger')) return
  for (const relation of relations) {
    const name = `${relation.schema}.${relation.name}`
    if (relation.hasRules)
      context.facts.launder(context.masks.anything, `what rules on ${name} write`)
    const below = context.catalog
      .descendants(relation.oid)
      .flatMap((oid) => context.catalog.relation(oid) ?? [])
    for (const one of [relation, ...below]) {
      for (const trigger of one.triggers) {
        if (!events.some((event) => trigger.events.includes(event))) continue
        const what = `what the trigger ${trigger.name} on ${name} writes`
        context.facts.launder(triggerFlow(trigger, one, context), what)
      }
    }
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
