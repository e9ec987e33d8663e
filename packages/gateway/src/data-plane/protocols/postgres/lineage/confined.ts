import type { Context } from './context.ts'
import type { Facts } from './facts.ts'
import { along, clean, derived, type Flow } from './flow.ts'
import type { Influence } from './lineage.ts'

/** What decides which rows a query has, and in which order: nobody sees more of it than the value that is made of the rows. */
const aboutRows: ReadonlySet<Influence> = new Set([
  'filter',
  'join',
  'order',
  'group',
  'distinct',
  'window',
  'rows',
])

/**
 * Takes over what was found in a query that stands in an expression. Where a rule blocks inference, columns that decide about
 * its rows become part of its value, which is what they are given, and so comes back as NULL or is refused where a value is
 * used to decide or is moved. That is all that they tell, as long as nothing in the query can fail or is noticed elsewhere: a
 * row that is not computed, or is, would show by that.
 */
export function confined(found: Facts, context: Context): Flow {
  const { facts } = context
  facts.includeRest(found)
  if (!context.isOn('confined') || found.fails || found.acts || found.partials.length > 0) {
    facts.includeInfluences(found)
    return clean
  }
  const taken: Flow[] = []
  for (const { influence, flow, what, isLookup } of found.influences) {
    const isTaken = aboutRows.has(influence)
    facts.influence(
      influence,
      part(flow, (isBlocked) => !isTaken || !isBlocked),
      what,
      isLookup,
    )
    if (isTaken)
      taken.push(
        along(
          part(flow, (isBlocked) => isBlocked),
          what,
        ),
      )
  }
  const decided = derived(taken)
  facts.plan(decided)
  return decided
}

/** What of a flow comes from columns that may not decide, or from the others. */
function part(flow: Flow, isWanted: (isBlocked: boolean) => boolean): Flow {
  const sources = new Map([...flow.sources].filter(([column]) => isWanted(column.isBlocked)))
  return sources.size === 0 ? clean : { ...flow, sources, isExact: false }
}
