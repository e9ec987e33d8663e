import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { Chain } from '../chain.ts'
import { COARSE_CLASSES, EFFECT_CLASSES, type Effects } from '../command.ts'
import type { CommandEntry } from '../entry/entry.ts'
import type { AgentId, CommandId, DecisionId } from '../ids.ts'
import { effectsFactsJson, FactsReader, sessionFactsJson } from './recorded-facts.ts'
import { buildSqlFacts } from './sql-facts.ts'

const names = fc.array(fc.array(fc.string(), { minLength: 1, maxLength: 3 }), { maxLength: 4 })
const strings = fc.oneof(
  fc.array(fc.string(), { maxLength: 4 }),
  // Longer than a fact may be: unknown then, and unknown when it is read again.
  fc.constant(Array.from({ length: 300 }, (_, index) => `n${index}`)),
)
const effects: fc.Arbitrary<Effects> = fc.record({
  class: fc.constantFrom(...COARSE_CLASSES),
  classes: fc.uniqueArray(fc.constantFrom(...EFFECT_CLASSES)),
  verb: fc.string(),
  objects: names,
  accesses: fc.constant([]),
  unbounded: fc.boolean(),
  opaque: strings,
  persists: fc.boolean(),
  sql: fc.record({
    dialect: fc.constant('postgres' as const),
    objectKind: fc.string(),
    actions: strings,
    reads: names,
    writes: names,
    columns: names,
    predicateColumns: names,
    functions: strings,
    statements: fc.nat(),
    limit: fc.oneof(fc.nat(), fc.constant(2 ** 60)),
    hasWhere: fc.boolean(),
    tempOnly: fc.boolean(),
    fileAccess: fc.boolean(),
  }),
})
const chain: Chain = {
  root: { id: 'u', kind: 'human', name: 'dana', groups: ['dba', 'ops'] },
  agents: [0, 1].map((depth) => ({
    id: `a_${depth}` as AgentId,
    name: `n${depth}`,
    depth,
    layers: [],
    createdAtMs: 1_000,
    expiresAtMs: 900_000,
  })),
  level: 3,
}
const connection = { name: 'orders', labels: { env: 'prod', tier: 'x' }, type: 'postgres' }

function entry(of: Effects, text: string, facts?: CommandEntry['facts']): CommandEntry {
  return {
    kind: 'command',
    id: 'c_1' as CommandId,
    seq: 1,
    decision: 'd_1' as DecisionId,
    effect: 'allow',
    rules: [],
    class: of.class,
    verb: of.verb,
    objects: of.objects,
    text: Buffer.from(text),
    parameters: [],
    formats: [],
    policyVersion: 1,
    unit: 'query',
    ...(facts === undefined ? {} : { facts }),
  }
}

test('the facts that are read from a recording are those that were decided by', () => {
  fc.assert(
    fc.property(
      effects,
      fc.string({ unit: 'grapheme' }),
      fc.boolean(),
      fc.nat(),
      (of, text, inTransaction, bytes) => {
        const client = { ip: '10.0.0.1', app: 'psql' }
        const now = new Date(123_456)
        const command = { id: 'c_1' as CommandId, effects: of, text, bytes, inTransaction }
        const then = buildSqlFacts({ chain, connection, client, now, command })
        const reader = new FactsReader()
        const session = sessionFactsJson({ connection, chain, client })
        reader.take({ kind: 'facts', number: 1, about: 'session', json: session })
        reader.take({ kind: 'facts', number: 2, about: 'effects', json: effectsFactsJson(of) })
        const place = { session: 1, effects: 2, inTransaction, bytes }
        const source = reader.source(entry(of, text, { ...place, askedAtMs: 123_456 }))
        assert.ok(source !== undefined)
        assert.deepEqual(buildSqlFacts(source), then)
        // The rules were not asked: there is nothing to be told.
        assert.equal(reader.source(entry(of, text, place)), undefined)
      },
    ),
  )
})

test('what was not recorded, is missing or is damaged gives no facts', () => {
  const [of] = fc.sample(effects, 1)
  assert.ok(of !== undefined)
  const reader = new FactsReader()
  const facts = { session: 1, effects: 2, inTransaction: false, bytes: 1, askedAtMs: 1 }
  assert.equal(reader.source(entry(of, 'x')), undefined)
  assert.equal(reader.source(entry(of, 'x', facts)), undefined)
  reader.take({ kind: 'facts', number: 1, about: 'session', json: '{' })
  reader.take({ kind: 'facts', number: 2, about: 'effects', json: effectsFactsJson(of) })
  assert.equal(reader.source(entry(of, 'x', facts)), undefined)
})
