import type { Effects } from '@sallyport/core'
import {
  heldTextMax,
  type AskedValue,
  type TargetQuestions,
} from '../../../../boundary/approvals.ts'
import type { CatalogView, Classified } from '../classify/classified.ts'
import { list, rangeVarName, at, type Tree } from '../classify/tree.ts'
import { countText, oneStatement, planText, sampleText, type Cut } from './cut-statement.ts'
import { isFree, planningRefusal } from './planning-calls.ts'
import { outlineOf } from './statement-outline.ts'
import { shapeOf } from './statement-shape.ts'

/** What is known of a held command when its questions are made. */
export interface HeldFacts {
  readonly text: string
  readonly effects: Effects
  readonly parameters: readonly (Buffer | null)[]
  readonly formats: readonly number[]
  /** As its Parse declares them; 0 or nothing where the target is to tell. */
  readonly parameterTypes: readonly number[]
  readonly catalog: CatalogView
  /** The tables and the code that its names stand for now. */
  readonly behind: readonly string[]
  /** Settings of the session's start, `name=value`. */
  readonly settings: readonly string[]
  /** Why another session may understand the text differently. */
  readonly strange: string | undefined
  readonly parse: (text: string) => readonly Tree[] | undefined
  readonly words: (text: string) => readonly string[] | undefined
  readonly classify: (text: string) => Classified
  /** Why the agent may not read, or not unmasked, what this statement reads. */
  readonly readRefusal: (text: string, classified: Classified) => string | undefined
}

const sampleRowsMax = 5
/** Values beyond this are not kept beside a request. */
const valueBytesMax = 64 * 1024

/**
 * What may be asked of the target about a command that waits, made from its tree. Nothing in it runs the command, nor
 * anything that is not known to be free of side effects; where that can't be said, the reason stands in its place.
 */
export function questionsOf(facts: HeldFacts): TargetQuestions {
  const outline = facts.text.length > heldTextMax ? undefined : outlineOf(facts.words(facts.text))
  return { ...questionsAbout(facts), ...(outline === undefined ? {} : { outline }) }
}

function questionsAbout(facts: HeldFacts): TargetQuestions {
  const none = (why: string, changes: TargetQuestions['changes'] = { why }): TargetQuestions => {
    const not = { why }
    const nothing = { values: [], types: [], settings: [] }
    return { plan: not, count: not, sample: not, shape: not, ...nothing, changes }
  }
  if (facts.strange !== undefined) return none(facts.strange)
  if (facts.text.length > heldTextMax) return none('the text is too long')
  const one = oneStatement(facts.text, facts.parse)
  if ('why' in one) return none(one.why, changedByName(facts))
  const changes = changedBy(one.body, facts.catalog)
  const values = valuesOf(facts)
  if ('why' in values) return none(values.why, changes)
  const { effects, catalog, classify, readRefusal } = facts
  const given = { ...values, types: facts.parameterTypes }
  const effectsOf = (text: string): Effects => classify(text).effects
  const refusal = planningRefusal(effects, catalog, effectsOf)
  const plan = refusal === undefined ? planText(one) : { why: refusal }
  const count = ifFree(countText(one), effectsOf)
  const shape =
    effects.opaque.length > 0
      ? { why: `what it does is not known: ${effects.opaque.join(', ')}` }
      : { text: shapeOf(one.tree, effects, given, facts.behind) }
  const asked = { plan, count, shape, changes, ...given, settings: facts.settings }
  const sample = ifFree(sampleText(one, sampleRowsMax), effectsOf)
  if ('why' in sample) return { ...asked, sample }
  const unread = readRefusal(sample.text, classify(sample.text))
  return { ...asked, sample: unread === undefined ? sample : { why: unread } }
}

/** Rule of previews: what calls functions that may do more than read is planned at most. */
function ifFree(cut: Cut, effectsOf: (text: string) => Effects): Cut {
  if ('why' in cut) return cut
  const effects = effectsOf(cut.text)
  if (isFree(effects)) return cut
  const functions = effects.sql?.functions.join(', ') ?? ''
  return {
    why: `its condition may do more than read${functions === '' ? '' : `: it calls ${functions}`}`,
  }
}

/** The relations that a statement itself names to be changed. */
function changedBy(body: Tree, catalog: CatalogView): TargetQuestions['changes'] {
  const relation = at(body, 'relation')
  const named = relation === undefined ? list(body, 'relations') : [{ RangeVar: relation }]
  if (named.length === 0) return { why: 'it names no table to change that could be told' }
  const names = named.map((each) => catalog.resolve(rangeVarName(at(each, 'RangeVar') ?? {})))
  return names.every((found) => found.length === 1)
    ? { names: names.flat() }
    : { why: 'what it names is not in the catalog, or more than one thing' }
}

/** Of statements that no planner plans: TRUNCATE and the like. */
function changedByName({ text, parse, catalog }: HeldFacts): TargetQuestions['changes'] {
  const statements = parse(text) ?? []
  if (statements.length !== 1) return { why: `the text has ${statements.length} statements` }
  const [node] = Object.values(at(statements[0] ?? {}, 'stmt') ?? {})
  return changedBy((node ?? {}) as Tree, catalog)
}

function valuesOf({
  parameters,
  formats,
  parameterTypes,
}: HeldFacts): { readonly values: readonly AskedValue[] } | { readonly why: string } {
  if (parameters.reduce((sum, value) => sum + (value?.length ?? 0), 0) > valueBytesMax)
    return { why: 'its values are too long' }
  const values: AskedValue[] = []
  for (const [n, value] of parameters.entries()) {
    const isBinary = (formats.length === 1 ? formats[0] : formats[n]) === 1
    // In binary a value means nothing without its type, and the target may take another one than the caller meant.
    if (isBinary && (parameterTypes[n] ?? 0) === 0)
      return { why: 'it has values in binary form whose types are not known' }
    if (value === null) values.push(null)
    else if (isBinary) values.push(new Uint8Array(value))
    else values.push(value.toString('utf8'))
  }
  return { values }
}
