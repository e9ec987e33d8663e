import {
  buildSqlFacts,
  compilePolicies,
  explainDecision,
  factSchema,
  selectRules,
  type CompiledPolicies,
  type Policy,
  type RecordedSource,
} from '@sallyport/core'
import { celConditions } from '../../../conditions/cel-conditions.ts'
import type { ExplainedRules } from '../../contract/policies.ts'

/** Compiles policies that were in force once. Throws where they do not compile any more. */
export function compiledAgain(policies: readonly Policy[]): CompiledPolicies {
  const result = compilePolicies(policies, celConditions, factSchema)
  if (result.kind === 'ok') return result.compiled
  const [first] = result.problems
  throw new Error(`${first?.policy}/${first?.rule}: ${first?.problem.message}`)
}

/** Asks the rules once more about what was recorded. */
export function explainRules(compiled: CompiledPolicies, source: RecordedSource): ExplainedRules {
  const { connection, chain, command } = source
  const selected = selectRules(compiled, 'sql', connection, chain)
  const owners = new Map(compiled.policies.map(({ policy }) => [policy.name, policy.owner]))
  const explained = explainDecision(
    selected,
    buildSqlFacts(source),
    command.effects.class === 'unknown',
    ({ id }) => owners.get(id.slice(0, id.indexOf('/'))) ?? '',
  )
  const { effect, rules, observed, message } = explained.outcome
  return {
    effect,
    rules: [...rules, ...observed],
    message,
    each: explained.rules,
    wayOut: explained.wayOut,
  }
}
