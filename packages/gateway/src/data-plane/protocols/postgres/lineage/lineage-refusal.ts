import {
  SENTINEL,
  type DecisionId,
  type ErrorCode,
  type InferenceMode,
  type Refusal,
} from '@sallyport/core'
import { blockingRule } from './column-outcome.ts'
import { isTainted, printPath, type Flow, type MaskedColumn } from './flow.ts'
import type { Finding, Lineage, MaskedWrite } from './lineage.ts'
import type { MaskSet } from './mask-set.ts'

/** What the refusal of a statement depends on beside its lineage. */
export interface RefusalContext {
  readonly masks: MaskSet
  readonly connection: string
  readonly decision: DecisionId
  /** For rules that do not say. */
  readonly inference: InferenceMode
  readonly parameters: readonly (Buffer | null)[]
  /** Counts a look-up; false where there were too many. */
  mayLookUp(): boolean
}

/** Why a statement may not run under its masks; undefined where it may. */
export function lineageRefusal(lineage: Lineage, context: RefusalContext): Refusal | undefined {
  const [door] = lineage.sideDoors
  if (door !== undefined && !context.masks.isEmpty) {
    return refusal('SP_MASK_SIDE_DOOR', `${door} leads around every mask`, '', context)
  }
  const [launder] = lineage.launders
  if (launder !== undefined) {
    const message = `masked values would go to ${launder.what}, where no mask covers them`
    return refusal('SP_MASKED_WRITE', message, `It takes ${printFlow(launder.flow)}.`, context)
  }
  const written = lineage.maskedWrites.find((write) => isMaskWrittenBack(write, context))
  if (written !== undefined) {
    const message = `this would write a mask in the place of ${written.column.name.join('.')}`
    return refusal('SP_MASKED_WRITE', message, 'The value that it writes is a masked one.', context)
  }
  const rule = blockingRule(lineage, context.masks)
  if (rule !== undefined) {
    const detail =
      'What it returns is computed from columns that the rule blocks, or can not be told.'
    return {
      ...refusal('SP_POLICY_BLOCKED', `blocked by Sallyport rule "${rule}"`, detail, context),
      rule,
    }
  }
  return inferenceRefusal(lineage, context)
}

/** What could not be read may do anything with masked values. */
export function unreadRefusal(context: RefusalContext): Refusal {
  const message = 'masked columns can not be followed through this statement'
  return refusal('SP_MASK_IMPOSSIBLE', message, 'It is too large, or was not read.', context)
}

/** The answer to a call by number says nothing of its type, so it can't be masked. */
export function functionRefusal(context: RefusalContext): Refusal {
  const message = 'a function that may show masked values can not be called by its number'
  return refusal('SP_MASK_IMPOSSIBLE', message, 'Call it in a SELECT.', context)
}

function inferenceRefusal(lineage: Lineage, context: RefusalContext): Refusal | undefined {
  for (const { flow, what, isLookup } of lineage.influences) {
    const mode = modeOf(flow, context.inference)
    if (mode === 'block' || (mode === 'lookup' && !isLookup))
      return inferred({ flow, what }, context)
    if (mode === 'lookup' && !context.mayLookUp()) {
      const message = 'too many look-ups by masked columns within a minute'
      return refusal('SP_MASKED_INFERENCE', message, `The last was by ${printFlow(flow)}.`, context)
    }
  }
  for (const { flow, what } of lineage.partials) {
    const mode = modeOf(flow, context.inference)
    if (mode !== 'block' && mode !== 'lookup') continue
    return inferred({ flow, what: `whether ${what} fails` }, context)
  }
  return undefined
}

function inferred({ flow, what }: Finding, context: RefusalContext): Refusal {
  const message = `masked columns may not decide here: ${what}`
  const detail = `It depends on ${printFlow(flow)}.`
  return refusal('SP_MASKED_INFERENCE', message, detail, context)
}

const strictness: readonly InferenceMode[] = ['allow', 'observe', 'lookup', 'block']

/** The strictest of the rules on the columns that a value comes from. */
export function modeOf(flow: Flow, otherwise: InferenceMode): InferenceMode {
  let mode: InferenceMode = 'allow'
  for (const { rules } of flow.sources.keys()) {
    for (const { inference = otherwise } of rules)
      if (strictness.indexOf(inference) > strictness.indexOf(mode)) mode = inference
  }
  return mode
}

/** Columns beyond these are counted only. */
const shownMax = 3

/** `public.users.email → view public.v, and 2 more` */
export function printFlow(flow: Flow): string {
  const paths = [...flow.sources.values()].map(printPath)
  const shown = paths.slice(0, shownMax).join(', ')
  const rest = paths.length - shownMax
  return rest > 0 ? `${shown}, and ${rest} more` : shown
}

function refusal(
  code: ErrorCode,
  message: string,
  detail: string,
  { connection, decision }: RefusalContext,
): Refusal {
  return {
    code,
    message: `Sallyport: ${message}`,
    detail: `${detail} Nothing was sent to ${connection}.`.trim(),
    hint: `Explain: sallyport policy explain ${decision} (${code})`,
  }
}

/** Reading a masked row and writing it back must not put the mask in the place of the value. */
function isMaskWrittenBack(write: MaskedWrite, { parameters }: RefusalContext): boolean {
  const parameter = write.parameter === undefined ? undefined : parameters[write.parameter - 1]
  const value = write.constant ?? parameter?.toString('utf8')
  return value !== undefined && isMaskOutput(value, write.column)
}

function isMaskOutput(value: string, { rules }: MaskedColumn): boolean {
  if (value.includes(SENTINEL)) return true
  return rules.some((rule) => {
    if (rule.with === 'partial') return /^.\*\*@\*\*\*\.[A-Za-z]{2,10}$/u.test(value)
    return rule.with === 'token' && /^tok_[0-9a-z]{10}$/.test(value)
  })
}

/** True where nothing masked is met at all. */
export function isUntouched(lineage: Lineage): boolean {
  const { columns, others, influences, launders, partials, maskedWrites } = lineage
  const found = [
    influences,
    launders,
    partials,
    maskedWrites,
    lineage.unresolved,
    lineage.sideDoors,
  ]
  if (found.some((list) => list.length > 0)) return false
  if (others !== undefined && isTainted(others)) return false
  return columns?.every(({ flow }) => !isTainted(flow)) !== false
}
