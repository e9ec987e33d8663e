import { strongest, type MaskRule } from '@sallyport/core'
import type { ColumnOutcome } from '../../../masking/column-plan.ts'
import type { Flow } from './flow.ts'
import type { Lineage } from './lineage.ts'
import type { MaskSet } from './mask-set.ts'

const clean: ColumnOutcome = { kind: 'clean' }

/** What happens to a column that carries this. `isResolved` is false where something of its statement could not be told. */
export function outcomeOf(flow: Flow, isResolved: boolean, masks: MaskSet): ColumnOutcome {
  if (flow.sources.size === 0) return clean
  const rules = rulesOf(flow)
  const fn = strongest(rules.map((rule) => rule.with))
  const rule = (rules.find((one) => one.with === fn) ?? rules[0])?.rule ?? ''
  if (flow.isExact) return { kind: 'direct', with: fn, rule }
  const isAnything = !isResolved && flow.sources.size >= masks.all.length
  const blocking = rules.find(
    (one) => one.with === 'block' || (isAnything && one.unresolved === 'block'),
  )
  return { kind: 'derived', rule, blockedBy: blocking?.rule }
}

/** The rules of all columns that a value can come from. */
function rulesOf(flow: Flow): readonly MaskRule[] {
  const rules = new Set<MaskRule>()
  for (const { rules: ofColumn } of flow.sources.keys())
    for (const rule of ofColumn) rules.add(rule)
  return [...rules]
}

/** The rule that refuses a statement for what it returns: one that blocks what can't be told, or values that were computed. */
export function blockingRule(lineage: Lineage, masks: MaskSet): string | undefined {
  const isResolved = lineage.unresolved.length === 0
  const flows = lineage.columns?.map(({ flow }) => flow) ?? []
  if (lineage.others !== undefined) flows.push(lineage.others)
  for (const flow of flows) {
    const outcome = outcomeOf(flow, isResolved, masks)
    if (outcome.kind === 'derived' && outcome.blockedBy !== undefined) return outcome.blockedBy
  }
  return undefined
}
