import type { Policy, RuleDemand } from '@sallyport/core'

/** A text for the rules behind these demands as they are now: another one as soon as a rule, or where it applies, changes. */
export function ruleKeyOf(policies: readonly Policy[], demands: readonly RuleDemand[]): string {
  const keys = demands.map(({ rule, demand }) =>
    JSON.stringify([rule, demand, sourceOf(policies, rule)]),
  )
  return keys.toSorted().join('\n')
}

/** The rule and its policy without its other rules; for what a default asks, all policies. Where a rule stands in its file is no part of it. */
function sourceOf(policies: readonly Policy[], name: string): unknown {
  const slash = name.lastIndexOf('/')
  const policy = policies.find((each) => each.name === name.slice(0, slash))
  const rule = policy?.rules.find((each) => each.name === name.slice(slash + 1))
  if (policy === undefined || rule === undefined) return policies
  const { at: _at, ...own } = rule
  const { rules: _rules, ...around } = policy
  return [around, own]
}
