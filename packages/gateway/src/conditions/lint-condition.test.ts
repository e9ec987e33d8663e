import assert from 'node:assert/strict'
import test from 'node:test'
import { factSchema } from '@sallyport/core'
import fc from 'fast-check'
import { celConditions } from './cel-conditions.ts'
import { lintCondition } from './lint-condition.ts'

const found = factSchema(['sql'])
const schema = 'refused' in found ? { facts: {} } : found

const rows: [source: string, expected: string][] = [
  ['true', ''],
  ['op.class != "read"', ''],
  ['false', 'always-false'],
  ['op.class == "read" && op.class == "write"', 'always-false'],
  ['op.class == "read" && op.class != "read"', 'always-false'],
  [
    'op.class == "read" && (agent.depth > 0 || op.unbounded) && op.class in ["ddl"]',
    'always-false',
  ],
  ['op.verb == "drop" && op.verb == "select"', 'always-false'],
  ['agent.depth > 2 && agent.depth < 2', 'always-false'],
  ['agent.depth > 2 && 2 >= agent.depth', 'always-false'],
  ['agent.level > 4', 'always-false'],
  ['agent.depth < 0', 'always-false'],
  ['op.unbounded && !op.unbounded', 'always-false'],
  ['op.unbounded == true && op.unbounded == false', 'always-false'],
  ['!(op.class == "read" || op.class != "read")', 'always-false'],
  ['agent.depth >= 0', 'always-true'],
  ['op.class == "read" || op.class != "read"', 'always-true'],
  ['root.kind in ["human", "workload", "service"]', 'always-true'],
  ['op.unbounded || !op.unbounded', 'always-true'],
  ['agent.depth != 1 || agent.depth == 1', 'always-true'],
  ['"read" in op.classes && "delete" in op.classes', ''],
  ['agent.ttlSeconds < 0', ''],
  ['op.verb != "a" && op.verb != "b"', ''],
  ['conn.labels.tier == "x"', 'map-index'],
  ['conn.labels["tier"] == "x"', 'map-index'],
  ['conn.labels.get("tier") == "x"', ''],
  ['!op.text.matches("^select [a-z]+$")', 'regex-as-allow-list'],
  ['op.text.matches("drop")', ''],
]
for (const [source, expected] of rows) {
  test(`${source} is ${expected === '' ? 'in order' : expected}`, () => {
    const checks = lintCondition(source, schema, 'block').map(({ check }) => check)
    assert.equal(checks.join(), expected)
  })
}

test('a pattern that allows is one where it matches, and no other way round', () => {
  const of = (source: string) => lintCondition(source, schema, 'allow').map(({ check }) => check)
  assert.deepEqual(of('op.text.matches("^select") && agent.depth == 0'), ['regex-as-allow-list'])
  assert.deepEqual(of('!op.text.matches("drop")'), [])
})

const atoms = fc.oneof(
  fc.constantFrom('op.class == "read"', 'op.class in ["write", "ddl"]', 'op.class != "ddl"'),
  fc.constantFrom('agent.level > 1', 'agent.level == 2', 'agent.level != 0', 'agent.level <= 3'),
  fc.constantFrom('op.unbounded', '!op.unbounded', 'op.unbounded == true'),
)
const conditions = fc.letrec<{ all: string }>((tie) => ({
  all: fc.oneof(
    { depthSize: 'small' },
    atoms,
    fc
      .tuple(tie('all'), fc.constantFrom('&&', '||'), tie('all'))
      .map((parts) => `(${parts.join(' ')})`),
    tie('all').map((one) => `!(${one})`),
  ),
})).all

const worlds = ['read', 'write', 'ddl', 'unknown'].flatMap((effect) =>
  [0n, 1n, 2n, 3n, 4n].flatMap((level) =>
    [true, false].map((unbounded) => ({ op: { class: effect, unbounded }, agent: { level } })),
  ),
)

test('a condition that is called constant is so in every world, and what is constant in none is not', () => {
  fc.assert(
    fc.property(conditions, (source) => {
      const result = celConditions.compile(source, schema)
      if (result.kind === 'refused') return
      const values = worlds.map((facts) => result.condition.evaluate(facts))
      const is = (wanted: boolean) =>
        values.every((outcome) => outcome.kind === 'value' && outcome.value === wanted)
      const checks = lintCondition(source, schema, 'block').map(({ check }) => check)
      // Classes that no atom names behave as one another, so these worlds stand for all.
      assert.equal(checks.includes('always-false'), is(false), source)
      assert.equal(checks.includes('always-true'), is(true), source)
    }),
    { numRuns: 500 },
  )
})
