import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { Chain } from '../chain.ts'
import type { AgentId } from '../ids.ts'
import { compilePolicies, type CompiledPolicies } from './compile-policies.ts'
import type { Condition, ConditionEngine, Outcome } from './condition-engine.ts'
import { decidePolicies, type PolicyOutcome } from './decide.ts'
import type { Policy, Rule, RuleSubject } from './policy.ts'
import { selectRules } from './select-rules.ts'

/** Conditions are the answers themselves: `yes`, `no`, `unknown`; `now` is `yes` and reads the clock. */
const engine: ConditionEngine = {
  name: 'answers',
  compile(source) {
    const problem = { check: 'syntax', message: 'bad', start: 0, end: source.length }
    if (source === 'bad') return { kind: 'refused', problems: [problem] }
    const outcome: Outcome =
      source === 'unknown'
        ? { kind: 'unknown', fact: 'op.class' }
        : { kind: 'value', value: source !== 'no' }
    const reads = source === 'now' ? ['now'] : ['op.class']
    const condition: Condition = {
      reads,
      evaluate: () => outcome,
      clauses: () => ({ kind: 'clause', text: source, condition }),
    }
    return { kind: 'ok', condition }
  },
}

const agent = { id: 'ag_1' as AgentId, name: 'dana', depth: 0, layers: [], createdAtMs: 0 }
const chain: Chain = {
  root: { id: 'u1', kind: 'human', name: 'dana', groups: ['dba'] },
  agents: [{ ...agent, expiresAtMs: 1 }],
  level: 0,
}
const connection = { name: 'orders', labels: { env: 'prod' } }
const everywhere = { connections: [], labels: {}, to: [] }

function rule(name: string, effect: Rule['effect'], when: string, more: Partial<Rule> = {}): Rule {
  const mask = { columns: [[name, 'x']], detect: [], with: 'null', unresolved: 'mask' } as const
  const masks = effect === 'mask' ? [mask] : []
  const base = { name, effect, when, masks, message: `m-${name}`, on: ['sql'] as const }
  return { ...base, coversUnknown: false, observe: false, at: 'p.yaml:1', ...more }
}

function policy(rules: Rule[], more: Partial<Policy> = {}): Policy {
  const base = { name: 'p', owner: '', applies: everywhere, mode: 'enforce' as const }
  return { ...base, defaults: {}, rules, ...more }
}

function compiled(policies: readonly Policy[]): CompiledPolicies {
  const result = compilePolicies(policies, engine, () => ({ facts: {} }))
  if (result.kind === 'refused') assert.fail('refused')
  return result.compiled
}

function decide(
  policies: readonly Policy[],
  unknown = false,
  subject: RuleSubject = 'sql',
): PolicyOutcome {
  return decidePolicies(compiled(policies), { subject, connection, chain, facts: {}, unknown })
}

test('block beats approve beats allow, and the rules that decided are listed', () => {
  const rules = [
    rule('d', 'mask', 'yes'),
    rule('c', 'allow', 'yes'),
    rule('b', 'approve', 'yes'),
    rule('a2', 'block', 'yes'),
    rule('a', 'block', 'yes'),
  ]
  const outcome = decide([policy(rules)])
  assert.deepEqual(
    [outcome.effect, outcome.decidedBy, outcome.message, outcome.rules],
    ['block', 'a', 'm-a', ['p/a', 'p/a2']],
  )
  const held = decide([policy(rules.slice(0, 3))])
  assert.deepEqual([held.effect, held.rules], ['approve', ['p/b']])
  const allowed = decide([policy(rules.slice(0, 2))])
  assert.deepEqual([allowed.decidedBy, allowed.rules], ['c', ['p/c', 'p/d']])
})

test('an error matches what restricts and not what allows', () => {
  for (const effect of ['block', 'approve'] as const) {
    const outcome = decide([policy([rule('a', effect, 'unknown')])])
    assert.equal(outcome.effect, effect)
    assert.match(outcome.message, /"a" could not be evaluated/)
    assert.deepEqual(outcome.errors, [{ rule: 'p/a', cause: 'unknown fact op.class' }])
  }
  assert.equal(decide([policy([rule('a', 'mask', 'unknown')])]).masks.length, 1)
  const closed = { defaults: { unmatched: 'block' } } as const
  assert.equal(decide([policy([rule('a', 'allow', 'unknown')], closed)]).effect, 'block')
  assert.equal(decide([policy([rule('a', 'approve', 'unknown')], closed)]).effect, 'block')
})

test('rules in observe mode are reported and do not count', () => {
  const watched = [rule('a', 'block', 'yes'), rule('b', 'approve', 'yes'), rule('c', 'mask', 'yes')]
  const outcome = decide([policy(watched, { mode: 'observe' })])
  assert.deepEqual([outcome.effect, outcome.rules, outcome.masks], ['allow', [], []])
  assert.deepEqual(outcome.observed, ['would-block p/a', 'would-hold p/b', 'would-mask p/c'])
  assert.equal(decide([policy([rule('a', 'block', 'yes', { observe: true })])]).effect, 'allow')
})

test('the defaults of a policy that only observes do not count', () => {
  const defaults = { unmatched: 'block', unknown: 'block' } as const
  const lax = policy([], { name: 'lax', defaults: { unknown: 'allow' } })
  const watching = policy([], { name: 'watching', mode: 'observe', defaults })
  assert.equal(decide([lax, watching], true).effect, 'allow')
  assert.equal(decide([lax, { ...watching, mode: 'enforce' }], true).effect, 'block')
})

test('unknown commands are blocked unless a rule that covers them truly matches', () => {
  assert.deepEqual([decide([], true).effect, decide([], true).unknownBlocked], ['block', true])
  assert.equal(decide([policy([rule('a', 'allow', 'yes')])], true).effect, 'block')
  const covers = { coversUnknown: true }
  assert.equal(decide([policy([rule('a', 'allow', 'yes', covers)])], true).effect, 'allow')
  assert.equal(decide([policy([rule('a', 'approve', 'unknown', covers)])], true).effect, 'block')
  const lax = { defaults: { unknown: 'allow', unmatched: 'block' } } as const
  const outcome = decide([policy([], lax)], true)
  assert.deepEqual([outcome.effect, outcome.unknownBlocked], ['block', false])
  assert.equal(decide([policy([], { defaults: { unknown: 'approve' } })], true).effect, 'approve')
})

test('defaults combine to the strictest that is stated, and do not apply to sessions', () => {
  const a = policy([], { defaults: { unmatched: 'approve', unknown: 'allow' } })
  const b = policy([], { name: 'q', defaults: { unmatched: 'block' } })
  assert.equal(decide([a]).effect, 'approve')
  assert.equal(decide([a, b]).effect, 'block')
  assert.equal(decide([a, b], false, 'session').effect, 'allow')
})

test('`any` stands for protocols only', () => {
  const policies = [policy([rule('a', 'block', 'yes', { on: ['any'] })])]
  assert.equal(decide(policies).effect, 'block')
  assert.equal(decide(policies, false, 'session').effect, 'allow')
})

test('every part of applies must match', () => {
  const cases: [Partial<Policy['applies']>, string][] = [
    [{ connections: ['ord*'] }, 'block'],
    [{ connections: ['x'] }, 'allow'],
    [{ labels: { env: 'prod' } }, 'block'],
    [{ labels: { env: 'dev' } }, 'allow'],
    [{ labels: { constructor: '*' } }, 'allow'],
    [{ to: ['group:x', 'group:dba'] }, 'block'],
    [{ to: ['user:dana'] }, 'block'],
    [{ to: ['user:erik'] }, 'allow'],
    [{ connections: ['orders'], to: ['group:x'] }, 'allow'],
  ]
  for (const [applies, expected] of cases) {
    const one = policy([rule('a', 'block', 'yes')], { applies: { ...everywhere, ...applies } })
    assert.equal(decide([one]).effect, expected, JSON.stringify(applies))
  }
})

test('a rule name that two policies share is printed with its policy', () => {
  const q = policy([rule('a', 'allow', 'yes')], { name: 'q' })
  assert.equal(decide([policy([rule('a', 'block', 'yes')]), q]).decidedBy, 'p/a')
})

test('a verdict that reads the clock is volatile', () => {
  for (const [when, expected] of [
    ['now', true],
    ['yes', false],
  ] as const) {
    const rules = compiled([policy([rule('a', 'block', when)])])
    assert.equal(selectRules(rules, 'sql', connection, chain).readsVolatileFacts, expected)
  }
})

test('a condition that does not compile refuses the set and says where', () => {
  const bad = [policy([rule('a', 'block', 'bad'), rule('b', 'block', 'yes')])]
  const result = compilePolicies(bad, engine, () => ({ facts: {} }))
  assert.deepEqual(result.kind === 'refused' && result.problems.map((p) => [p.rule, p.at]), [
    ['a', 'p.yaml:1'],
  ])
  const none = compilePolicies(bad, engine, () => ({ refused: 'not available yet' }))
  assert.equal(none.kind === 'refused' && none.problems.length, 2)
})

const strength = { allow: 0, approve: 1, block: 2 }
const effect = fc.constantFrom('block', 'approve', 'mask', 'allow' as const)
const when = fc.constantFrom('yes', 'no', 'unknown')
const stated = fc.option(fc.constantFrom('allow', 'approve', 'block' as const), { nil: null })
const rules = fc
  .array(fc.tuple(effect, when, fc.boolean(), fc.boolean()), { maxLength: 6 })
  .map((rows) =>
    rows.map(([e, w, coversUnknown, observe], i) =>
      rule(`r${i}`, e, w, { coversUnknown, observe }),
    ),
  )
const policies = fc.array(fc.tuple(rules, stated, stated), { maxLength: 3 }).map((rows) =>
  rows.map(([each, unmatched, unknown], index) =>
    policy(each, {
      name: `p${index}`,
      defaults: { ...(unmatched && { unmatched }), ...(unknown && { unknown }) },
    }),
  ),
)

test('order of rules and policies does not matter', () => {
  fc.assert(
    fc.property(policies, fc.boolean(), (set, unknown) => {
      const turned = set.map((each) => ({ ...each, rules: each.rules.toReversed() })).toReversed()
      assert.deepEqual(decide(turned, unknown), decide(set, unknown))
    }),
  )
})

test('making a condition unknown never weakens the verdict or drops a mask', () => {
  fc.assert(
    fc.property(policies, fc.boolean(), fc.nat(5), (set, unknown, at) => {
      const less = set.map((each) => ({
        ...each,
        rules: each.rules.map((r, i) => (i === at ? { ...r, when: 'unknown' } : r)),
      }))
      const [before, after] = [decide(set, unknown), decide(less, unknown)]
      assert.ok(strength[after.effect] >= strength[before.effect])
      if (after.effect !== 'block') assert.ok(after.masks.length >= before.masks.length)
    }),
    { numRuns: 500 },
  )
})

test('adding a block or mask rule never loosens; an approve or allow rule loosens only what a default decided', () => {
  fc.assert(
    fc.property(policies, fc.boolean(), effect, when, (set, unknown, e, w) => {
      const added = policy([rule('new', e, w, { coversUnknown: true })], { name: 'zz' })
      const [before, after] = [decide(set, unknown), decide([...set, added], unknown)]
      const restricts = e === 'block' || e === 'mask'
      if (restricts || before.decidedBy !== undefined) {
        assert.ok(strength[after.effect] >= strength[before.effect])
      }
    }),
    { numRuns: 500 },
  )
})
