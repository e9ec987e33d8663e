import {
  buildSqlFacts,
  decideSelected,
  selectRules,
  type CompiledPolicies,
  type Effects,
  type MaskRule,
  type PolicyOutcome,
  type RecordedSource,
  type SelectedRules,
} from '@sallyport/core'

/** An outcome, and all rules that matched, also those that something stronger outweighed. */
export interface Decided {
  readonly outcome: PolicyOutcome
  readonly matched: readonly string[]
  /** The masks of the answer, without the names of their rules. */
  readonly masks: ReadonlySet<string>
}

/** Few sessions are read at a time, and the effects of one are shared by its commands. */
const keptMax = 50_000

/** One set of policies that is asked about many commands. What it said of the same effects for the same caller holds again. */
export class DecidingPolicies {
  readonly #compiled: CompiledPolicies
  readonly #selected = new WeakMap<RecordedSource['chain'], SelectedRules>()
  #known = new Map<SelectedRules, Map<Effects, Decided>>()
  #kept = 0

  constructor(compiled: CompiledPolicies) {
    this.#compiled = compiled
  }

  get ruleIds(): readonly string[] {
    return this.#compiled.policies.flatMap(({ rules }) => rules.map(({ id }) => id))
  }

  /** The masks that a rule of this set puts on answers, without the rule's name. */
  masksOf(rule: string): readonly string[] {
    const found = this.#compiled.policies
      .flatMap(({ rules }) => rules)
      .find(({ id }) => id === rule)
    return found?.masks.map(maskKey) ?? []
  }

  decide(source: RecordedSource): Decided {
    const selected = this.#select(source)
    // As a worker does: what differs between two executions of one text must not be kept.
    if (selected.readsVolatileFacts || selected.readsText) return decided(selected, source)
    const { effects } = source.command
    const known = this.#known.get(selected)?.get(effects)
    if (known !== undefined) return known
    const made = decided(selected, source)
    if (this.#kept >= keptMax) {
      this.#known = new Map()
      this.#kept = 0
    }
    const ofSelected = this.#known.get(selected) ?? new Map<Effects, Decided>()
    this.#known.set(selected, ofSelected)
    ofSelected.set(effects, made)
    this.#kept += 1
    return made
  }

  /** The chain of a session's facts is an object of its own, and stands for its connection too. */
  #select({ connection, chain }: RecordedSource): SelectedRules {
    const known = this.#selected.get(chain)
    if (known !== undefined) return known
    const selected = selectRules(this.#compiled, 'sql', connection, chain)
    this.#selected.set(chain, selected)
    return selected
  }
}

function decided(selected: SelectedRules, source: RecordedSource): Decided {
  const facts = buildSqlFacts(source)
  const outcome = decideSelected(selected, facts, source.command.effects.class === 'unknown')
  const matched = selected.rules.filter((rule) => {
    const came = rule.condition.evaluate(facts)
    return came.kind === 'value' ? came.value : rule.rule.effect !== 'allow'
  })
  return {
    outcome,
    matched: matched.map(({ id }) => id),
    masks: new Set(outcome.masks.map(maskKey)),
  }
}

function maskKey({ rule: _rule, ...mask }: MaskRule): string {
  return JSON.stringify(mask)
}
