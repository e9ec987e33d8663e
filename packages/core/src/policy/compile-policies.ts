import type { MaskRule } from '../verdict.ts'
import type { Condition, ConditionEngine, FactSchema, Problem } from './condition-engine.ts'
import type { Policy, Rule, RuleSubject } from './policy.ts'

/** Policies whose conditions are compiled, with their rules in name order. */
export interface CompiledPolicies {
  readonly policies: readonly CompiledPolicy[]
}

export interface CompiledPolicy {
  readonly policy: Policy
  readonly rules: readonly CompiledRule[]
}

export interface CompiledRule {
  /** `policy/rule`. */
  readonly id: string
  /** The rule alone where that is unique, else `policy/rule`. */
  readonly name: string
  readonly rule: Rule
  readonly observe: boolean
  readonly condition: Condition
  readonly masks: readonly MaskRule[]
}

/** One thing that is wrong with the condition of a rule. */
export interface PolicyProblem {
  readonly policy: string
  readonly rule: string
  readonly at: string
  readonly problem: Problem
}

export type CompiledPoliciesResult =
  | { readonly kind: 'ok'; readonly compiled: CompiledPolicies }
  | { readonly kind: 'refused'; readonly problems: readonly PolicyProblem[] }

/** Gives the facts that a rule on these subjects may read, or says why there are none. */
export type SchemaOf = (
  subjects: readonly RuleSubject[],
) => FactSchema | { readonly refused: string }

/** Compiles every condition once. Never throws; a problem of one rule refuses the whole set, so that no rule is silently missing. */
export function compilePolicies(
  policies: readonly Policy[],
  engine: ConditionEngine,
  schemaOf: SchemaOf,
): CompiledPoliciesResult {
  const problems: PolicyProblem[] = []
  const uses = countNames(policies)
  const compiled: CompiledPolicy[] = []
  for (const policy of policies) {
    const rules: CompiledRule[] = []
    for (const rule of policy.rules) {
      const result = compileCondition(rule.when, rule.on, engine, schemaOf)
      if (result.kind === 'ok') {
        rules.push(compiledRule(policy, rule, result.condition, uses.get(rule.name) === 1))
      } else {
        for (const problem of result.problems) {
          problems.push({ policy: policy.name, rule: rule.name, at: rule.at, problem })
        }
      }
    }
    compiled.push({ policy, rules })
  }
  if (problems.length > 0) return { kind: 'refused', problems }
  return { kind: 'ok', compiled: { policies: compiled } }
}

/** Compiles one condition against the facts of the rule's subjects. */
export function compileCondition(
  source: string,
  subjects: readonly RuleSubject[],
  engine: ConditionEngine,
  schemaOf: SchemaOf,
): ReturnType<ConditionEngine['compile']> {
  const schema = schemaOf(subjects)
  if (!('refused' in schema)) return engine.compile(source, schema)
  const problem = { check: 'wrong-protocol', message: schema.refused, start: 0, end: source.length }
  return { kind: 'refused', problems: [problem] }
}

/** Orders ids by code unit, the same on every machine. */
export function compareIds(a: { readonly id: string }, b: { readonly id: string }): number {
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

function countNames(policies: readonly Policy[]): Map<string, number> {
  const uses = new Map<string, number>()
  for (const policy of policies) {
    for (const rule of policy.rules) uses.set(rule.name, (uses.get(rule.name) ?? 0) + 1)
  }
  return uses
}

function compiledRule(
  policy: Policy,
  rule: Rule,
  condition: Condition,
  unique: boolean,
): CompiledRule {
  const id = `${policy.name}/${rule.name}`
  return {
    id,
    name: unique ? rule.name : id,
    rule,
    observe: rule.observe || policy.mode === 'observe',
    condition,
    masks: rule.effect === 'mask' ? rule.masks.map((mask) => ({ ...mask, rule: id })) : [],
  }
}
