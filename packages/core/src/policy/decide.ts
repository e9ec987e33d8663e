import type { RuleDemand } from '../approval/demand.ts'
import type { Chain } from '../chain.ts'
import type { MaskRule } from '../verdict.ts'
import type { CompiledPolicies, CompiledRule } from './compile-policies.ts'
import type { CostMeter, Facts, Outcome } from './condition-engine.ts'
import type { RuleSubject } from './policy.ts'
import { selectRules, type RuleConnection, type SelectedRules } from './select-rules.ts'

/** What the rules say about one command. It only restricts: grants were asked before. */
export interface PolicyOutcome {
  readonly effect: 'allow' | 'approve' | 'block'
  /** The rule whose message the caller reads; undefined where a default decided. */
  readonly decidedBy: string | undefined
  readonly message: string
  /** The rules that decided, as `policy/rule`, in name order: of a command that is blocked or held those that do so, else those that allow it and those that mask its answer. */
  readonly rules: readonly string[]
  /** The masks for the answer; empty for a blocked command. */
  readonly masks: readonly MaskRule[]
  /** Of a command that is held, whose approval it needs: all of these. */
  readonly demands: readonly RuleDemand[]
  /** What rules in observe mode would have done: `would-block policy/rule`. */
  readonly observed: readonly string[]
  readonly errors: readonly RuleError[]
  /** True when the command is blocked only because nobody can tell what it does. */
  readonly unknownBlocked: boolean
}

/** A condition that could not be evaluated, and why: the unknown fact, or a code. For operators, not for callers. */
export interface RuleError {
  readonly rule: string
  readonly cause: string
}

/** Nodes that all conditions of one decision may visit together. */
const DECISION_NODES_MAX = 100_000
/** Text that the regular expressions of one decision may read together: RE2 in JavaScript takes about 1 ms for 4 KiB. */
const DECISION_MATCHED_MAX = 65_536

/** Selects the rules for a command and decides. Hot paths select once per session and call `decideSelected`. */
export function decidePolicies(
  compiled: CompiledPolicies,
  input: {
    readonly subject: RuleSubject
    readonly connection: RuleConnection
    readonly chain: Chain
    readonly facts: Facts
    readonly unknown: boolean
  },
): PolicyOutcome {
  const selected = selectRules(compiled, input.subject, input.connection, input.chain)
  return decideSelected(selected, input.facts, input.unknown)
}

interface Hit {
  readonly rule: CompiledRule
  readonly failed: boolean
}

/** A pure, total function of the facts and the selected rules. `unknown` says that the command's class is `unknown`. */
export function decideSelected(
  selected: SelectedRules,
  facts: Facts,
  unknown: boolean,
): PolicyOutcome {
  const meter: CostMeter = { nodes: DECISION_NODES_MAX, matched: DECISION_MATCHED_MAX }
  const hits: Hit[] = []
  const observed: string[] = []
  const errors: RuleError[] = []
  // No early exit: a decision lists every rule that brought it about.
  for (const rule of selected.rules) {
    const outcome = rule.condition.evaluate(facts, meter)
    if (outcome.kind !== 'value') errors.push({ rule: rule.id, cause: causeOf(outcome) })
    if (!counts(outcome, rule)) continue
    if (rule.observe) observed.push(`${wouldWords[rule.rule.effect]} ${rule.id}`)
    else hits.push({ rule, failed: outcome.kind !== 'value' })
  }
  return combine(selected, hits, unknown, { observed, errors })
}

const wouldWords = {
  block: 'would-block',
  approve: 'would-hold',
  mask: 'would-mask',
  allow: 'would-allow',
} as const

/** An error counts as a match of a rule that restricts, and as none of a rule that allows. */
function counts(outcome: Outcome, rule: CompiledRule): boolean {
  return outcome.kind === 'value' ? outcome.value : rule.rule.effect !== 'allow'
}

function causeOf(outcome: Exclude<Outcome, { kind: 'value' }>): string {
  return outcome.kind === 'unknown' ? `unknown fact ${outcome.fact}` : outcome.code
}

function combine(
  selected: SelectedRules,
  hits: readonly Hit[],
  unknown: boolean,
  notes: Pick<PolicyOutcome, 'observed' | 'errors'>,
): PolicyOutcome {
  const added = defaultsThatJoin(selected, hits, unknown)
  const block = hits.find((hit) => hit.rule.rule.effect === 'block')
  const approve = hits.find((hit) => hit.rule.rule.effect === 'approve')
  const blocked = block !== undefined || added.includes('block')
  const held = approve !== undefined || added.includes('approve')
  const effect = blocked ? 'block' : held ? 'approve' : 'allow'
  const decider = blocked ? block : held ? approve : undefined
  const allow = hits.find((hit) => hit.rule.rule.effect === 'allow')
  const unknownBlocked =
    effect === 'block' && block === undefined && unknownDefault(selected, hits, unknown) === 'block'
  return {
    ...notes,
    effect,
    decidedBy: (decider ?? (effect === 'allow' ? allow : undefined))?.rule.name,
    message: messageOf(effect, decider, unknownBlocked),
    // A mask rule that matched has no part in a refusal: there is no answer to mask.
    rules: hits
      .filter((hit) => effect === 'allow' || hit.rule.rule.effect === effect)
      .map((hit) => hit.rule.id),
    demands: effect === 'approve' ? demandsOf(selected, hits, added) : [],
    masks: effect === 'block' ? [] : hits.flatMap((hit) => hit.rule.masks),
    unknownBlocked,
  }
}

/**
 * Defaults join the set as if a rule had matched. Only a true match answers in their place: a condition that failed
 * must not stand for an answer, or an unknown fact could turn the default `block` into `approve`.
 */
function defaultsThatJoin(
  selected: SelectedRules,
  hits: readonly Hit[],
  unknown: boolean,
): string[] {
  if (!selected.defaultsApply) return []
  const answered = hits.some((hit) => !hit.failed && answers(hit.rule))
  const joined = [unknownDefault(selected, hits, unknown)]
  if (!answered) joined.push(selected.unmatched)
  return joined
}

/** They add up: what each rule asks for, and what the defaults do where one of them holds the command. */
function demandsOf(
  selected: SelectedRules,
  hits: readonly Hit[],
  added: readonly string[],
): RuleDemand[] {
  const ofRules = hits.flatMap(({ rule: { id, rule } }) =>
    rule.effect === 'approve' && rule.approve !== undefined
      ? [{ rule: id, message: rule.message, demand: rule.approve }]
      : [],
  )
  return added.includes('approve') ? [...ofRules, ...selected.defaultDemands] : ofRules
}

/** `allow` adds nothing: the default for unknown commands can only add strength. */
function unknownDefault(
  selected: SelectedRules,
  hits: readonly Hit[],
  unknown: boolean,
): 'allow' | 'approve' | 'block' {
  if (!selected.defaultsApply || !unknown) return 'allow'
  const covered = hits.some(
    (hit) => !hit.failed && answers(hit.rule) && hit.rule.rule.coversUnknown,
  )
  return covered ? 'allow' : selected.unknown
}

function answers(rule: CompiledRule): boolean {
  return rule.rule.effect === 'allow' || rule.rule.effect === 'approve'
}

function messageOf(
  effect: PolicyOutcome['effect'],
  decider: Hit | undefined,
  unknownBlocked: boolean,
): string {
  if (effect === 'allow') return ''
  if (decider?.failed === true) return `The rule "${decider.rule.name}" could not be evaluated.`
  if (decider !== undefined) return decider.rule.rule.message
  if (unknownBlocked) return 'Cannot tell what this command does.'
  return effect === 'block' ? 'No rule allows this.' : 'No rule allows this without an approval.'
}
