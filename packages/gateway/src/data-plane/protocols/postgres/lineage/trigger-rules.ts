import type { Context } from './context.ts'
import { failingArguments, isActing, readsAnything } from './builtin-totals.ts'
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
  const words = wordsOf(trigger.source)
  if (words === undefined || words.some((word) => isUnfollowed(word, context))) {
    return context.masks.anything
  }
  const named = words.flatMap((word) => context.catalog.bearing(word))
  const flows = named.map((one) => rowOf(one, context))
  // A function that writes no table keeps the row where it is, under the names that it has.
  const writes = words.some((word) => writing.has(word))
  return derived(writes ? [...flows, rowOf(relation, context)] : flows)
}

function rowOf(relation: LineageRelation, context: Context): Flow {
  return derived(flowsOf(context.relation(relation)))
}

const writing = new Set([
  'insert',
  'update',
  'delete',
  'merge',
  'copy',
  'notify',
  'perform',
  'call',
])

/** Text that is put together, and code that can't be read here. */
function isUnfollowed(word: string, context: Context): boolean {
  if (word === 'execute' || readsAnything(word)) return true
  if (context.catalog.functionsNamed(word).some((fn) => !fn.isTrusted)) return true
  const builtin = context.catalog.builtin(word)
  return (
    builtin !== undefined &&
    failingArguments(word) === undefined &&
    isActing(word, builtin.isVolatile)
  )
}

/** All words of a body, quoted names too, in comments and texts as well; undefined where names are spelled by codes. */
function wordsOf(source: string): readonly string[] | undefined {
  if (/u&['"]/i.test(source)) return undefined
  const plain = source.match(/[\p{L}_][\p{L}\p{N}_$]*/gu) ?? []
  const quoted = [...source.matchAll(/"((?:[^"]|"")+)"/g)].map(([, name = '']) =>
    name.replaceAll('""', '"'),
  )
  return [...new Set([...plain.map((word) => word.toLowerCase()), ...quoted])]
}
