import type { InferenceMode } from '@sallyport/core'
import { outcomeOf } from './column-outcome.ts'
import { isTainted, type Flow } from './flow.ts'
import { modeOf, printFlow } from './lineage-refusal.ts'
import type { Lineage } from './lineage.ts'
import type { MaskSet } from './mask-set.ts'

/** Statements with more are rare, and nobody reads on. */
const linesMax = 64

/** Why columns of an answer are masked, and what masked columns decide: a line for each; empty where there is none. */
export function explainLineage(
  lineage: Lineage,
  masks: MaskSet,
  inference: InferenceMode,
): readonly string[] {
  const lines: string[] = []
  for (const [index, { name, flow }] of (lineage.columns ?? []).entries()) {
    if (!isTainted(flow)) continue
    const label = name === undefined || name === '' ? '' : ` ${name}`
    lines.push(`column ${index + 1}${label}: ${explainFlow(flow, lineage, masks)}`)
  }
  if (lineage.others !== undefined && isTainted(lineage.others))
    lines.push(`any column: ${explainFlow(lineage.others, lineage, masks)}`)
  for (const { flow, what } of lineage.influences)
    lines.push(`${what} depends on ${printFlow(flow)} (inference: ${modeOf(flow, inference)})`)
  for (const { flow, what } of lineage.partials)
    lines.push(
      `whether ${what} fails depends on ${printFlow(flow)} (inference: ${modeOf(flow, inference)})`,
    )
  for (const { flow, what } of lineage.launders) lines.push(`to ${what}: ${printFlow(flow)}`)
  for (const reason of lineage.unresolved) lines.push(`not followed: ${reason}`)
  for (const door of lineage.sideDoors) lines.push(`around every mask: ${door}`)
  return lines.slice(0, linesMax)
}

function explainFlow(flow: Flow, lineage: Lineage, masks: MaskSet): string {
  const outcome = outcomeOf(flow, lineage.unresolved.length === 0, masks)
  if (outcome.kind === 'clean') return 'clean'
  if (outcome.kind === 'direct')
    return `${printFlow(flow)}, masked with ${outcome.with} by ${outcome.rule}`
  return `computed from ${printFlow(flow)}, so NULL by ${outcome.rule}`
}
