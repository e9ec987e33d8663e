import type { CompiledRule } from './compile-policies.ts'
import type { FactPath, Facts } from './condition-engine.ts'
import { decideSelected, type PolicyOutcome } from './decide.ts'
import { clausesIn, explainClauses, type ExplainedTree } from './explain-clauses.ts'
import type { Rule } from './policy.ts'
import type { SelectedRules } from './select-rules.ts'

/**
 * What came of a rule: `decided` the verdict or masks the answer; `outweighed`, since a stronger effect won; `observed` only;
 * `no match`.
 */
export type RuleStanding = 'decided' | 'outweighed' | 'observed' | 'no match'

/** One rule that was asked, and how its condition came out. */
export interface ExplainedRule {
  readonly id: string
  readonly name: string
  readonly effect: Rule['effect']
  readonly at: string
  /** Who can change it; empty where nobody is named. */
  readonly owner: string
  readonly message: string
  readonly standing: RuleStanding
  /** Facts that the condition may read. */
  readonly reads: readonly FactPath[]
  readonly condition: ExplainedTree
}

/** A decision, rule by rule. */
export interface ExplainedDecision {
  readonly outcome: PolicyOutcome
  /** Strongest effect first, those that did not match last. */
  readonly rules: readonly ExplainedRule[]
  /** What would have to be otherwise about the caller, the connection or the time; empty where only the command could be. */
  readonly wayOut: readonly string[]
}

/** Decides once more and says why. `ownerOf` names who can change the rules of a policy. */
export function explainDecision(
  selected: SelectedRules,
  facts: Facts,
  unknown: boolean,
  ownerOf: (rule: CompiledRule) => string,
): ExplainedDecision {
  const outcome = decideSelected(selected, facts, unknown)
  const rules = selected.rules.map((rule) => ({
    id: rule.id,
    name: rule.name,
    effect: rule.rule.effect,
    at: rule.rule.at,
    owner: rule.rule.owner ?? ownerOf(rule),
    message: rule.rule.message,
    reads: rule.condition.reads,
    standing: standingOf(rule, outcome, facts),
    condition: explainClauses(rule.condition.clauses(), facts),
  }))
  const inOrder = rules.toSorted((a, b) => weightOf(a) - weightOf(b))
  return { outcome, rules: inOrder, wayOut: wayOut(outcome, inOrder) }
}

function standingOf(rule: CompiledRule, outcome: PolicyOutcome, facts: Facts): RuleStanding {
  if (outcome.rules.includes(rule.id)) return 'decided'
  if (outcome.observed.some((words) => words.endsWith(` ${rule.id}`))) return 'observed'
  const came = rule.condition.evaluate(facts)
  const matched = came.kind === 'value' ? came.value : rule.rule.effect !== 'allow'
  return matched && !rule.observe ? 'outweighed' : 'no match'
}

const strengths = ['block', 'approve', 'mask', 'allow']
const standings: readonly RuleStanding[] = ['decided', 'outweighed', 'observed', 'no match']

function weightOf({ standing, effect }: ExplainedRule): number {
  return standings.indexOf(standing) * strengths.length + strengths.indexOf(effect)
}

/** Facts that are about who asks, where and when. How to word a command around a rule is nothing that is told. */
const aboutCaller = /^(?:now|conn\.|agent\.|root\.|client\.|tree\.)/u
/** A rule with more ways out than this is not searched. */
const clausesMax = 16

/** For each rule that refuses or holds: the smallest set of clauses about the caller that would have to come out otherwise. */
function wayOut(outcome: PolicyOutcome, rules: readonly ExplainedRule[]): readonly string[] {
  if (outcome.effect === 'allow') return []
  const deciding = rules.filter(
    ({ standing, effect }) => standing === 'decided' && effect === outcome.effect,
  )
  const ways = deciding.map((rule) => wayOutOf(rule.condition))
  if (ways.some((way) => way === undefined)) return []
  return [...new Set(ways.flatMap((way) => way ?? []))]
}

function wayOutOf(condition: ExplainedTree): readonly string[] | undefined {
  const clauses = clausesIn(condition).filter(
    ({ state, facts }) =>
      state !== 'unknown' && facts.length > 0 && facts.every(({ path }) => aboutCaller.test(path)),
  )
  if (clauses.length === 0 || clauses.length > clausesMax) return undefined
  const sets = Array.from({ length: 2 ** clauses.length - 1 }, (_, index) => index + 1)
  const bySize = sets.toSorted((a, b) => bitsOf(a) - bitsOf(b) || a - b)
  for (const set of bySize) {
    const turned = new Set(clauses.filter((_, index) => (set & (1 << index)) !== 0))
    if (stateWith(condition, turned) === 'false') {
      return [...turned].map(({ text, state }) =>
        state === 'true' ? `${text} would have to be false` : `${text} would have to be true`,
      )
    }
  }
  return undefined
}

function bitsOf(set: number): number {
  return set.toString(2).replaceAll('0', '').length
}

/** What a condition would come to, were these clauses the other way round. */
function stateWith(tree: ExplainedTree, turned: ReadonlySet<ExplainedTree>): string {
  switch (tree.kind) {
    case 'clause':
      if (!turned.has(tree)) return tree.state
      return tree.state === 'true' ? 'false' : 'true'
    case 'not': {
      const state = stateWith(tree.part, turned)
      return state === 'unknown' ? state : state === 'true' ? 'false' : 'true'
    }
    case 'all':
    case 'any': {
      const decisive = tree.kind === 'all' ? 'false' : 'true'
      const states = tree.parts.map((part) => stateWith(part, turned))
      if (states.includes(decisive)) return decisive
      if (states.includes('unknown')) return 'unknown'
      return decisive === 'false' ? 'true' : 'false'
    }
  }
}
