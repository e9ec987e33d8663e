import assert from 'node:assert/strict'
import test from 'node:test'
import {
  buildSqlFacts,
  compilePolicies,
  decidePolicies,
  effectsFactsJson,
  factSchema,
  sessionFactsJson,
  type AgentId,
  type Chain,
  type Command,
  type CommandEntry,
  type CommandId,
  type CompiledPolicies,
  type DecisionId,
  type Effects,
  type Entry,
  type SessionId,
} from '@sallyport/core'
import fc from 'fast-check'
import { celConditions } from '../../../conditions/cel-conditions.ts'
import { readPolicyFiles } from '../load-policy-folder.ts'
import { DecidingPolicies } from './decided.ts'
import { Simulator } from './simulator.ts'
import type { SimulationReport } from '../../contract/policies.ts'

const ruleTexts = [
  'when: op.class != "read", effect: block, message: no',
  'when: agent.depth > 0 && op.unbounded, effect: block, message: no',
  'when: "sql.writes.anyGlob(\\"public.*\\")", effect: approve, message: no, approve: {from: ["group:dba"]}',
  'when: op.text.contains("7"), effect: approve, message: no, approve: {from: ["group:dba"]}',
  'when: agent.recent.deletes10m > 20, effect: block, message: no',
  'when: now.within("Mon-Fri 08:00-19:00 Europe/Berlin"), effect: allow',
  'when: conn.env == "prod" && op.inTransaction, effect: block, message: no',
  'when: op.class == "unknown", effect: approve, coversUnknown: true, message: no, approve: {from: ["group:dba"]}',
  'when: op.class == "read", effect: allow',
  'when: op.bytes > 50, effect: block, observe: true, message: no',
  'when: "\'dba\' in root.groups", effect: mask, mask: [{columns: ["*.email"], with: partial}]',
]

function policyOf(rules: readonly number[], unmatched: string): CompiledPolicies {
  const lines = rules.map((at) => `    - {name: r${at}, on: sql, ${ruleTexts[at]}}\n`).join('')
  const approve = unmatched === 'approve' ? ', approve: {from: ["group:dba"]}' : ''
  const text = `apiVersion: sallyport.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  owner: o\n  defaults: {unmatched: ${unmatched}${approve}}\n  rules:\n${lines || '    []\n'}`
  const loaded = readPolicyFiles([{ file: 'p.yaml', text }])
  assert.ok(loaded.kind === 'ok', JSON.stringify(loaded))
  const result = compilePolicies(loaded.policies, celConditions, factSchema)
  assert.ok(result.kind === 'ok')
  return result.compiled
}

const policies = fc
  .tuple(
    fc.uniqueArray(fc.nat(ruleTexts.length - 1), { maxLength: 5 }),
    fc.constantFrom('allow', 'approve', 'block'),
  )
  .map(([rules, unmatched]) => policyOf(rules, unmatched))

const effects: readonly Effects[] = (['read', 'write', 'unknown', 'ddl'] as const).flatMap(
  (coarse) =>
    [true, false].map((unbounded) => ({
      class: coarse,
      classes: [coarse],
      verb: coarse,
      objects: [['public', 't']],
      accesses: [],
      unbounded,
      opaque: coarse === 'unknown' ? ['dynamic-sql'] : [],
      persists: false,
      sql: {
        dialect: 'postgres' as const,
        objectKind: '',
        actions: [],
        reads: [],
        writes: coarse === 'write' ? [['public', 't']] : [],
        columns: [],
        predicateColumns: [],
        functions: [],
        statements: 1,
        limit: 0,
        hasWhere: false,
        tempOnly: false,
        fileAccess: false,
      },
    })),
)

function chainOf(depth: number, groups: readonly string[]): Chain {
  const agents = Array.from({ length: depth + 1 }, (_, at) => ({
    id: `a_${at}` as AgentId,
    name: `n${at}`,
    depth: at,
    layers: [],
    createdAtMs: 0,
    expiresAtMs: 1e13,
  }))
  return { root: { id: 'u', kind: 'human', name: 'u', groups }, agents, level: 2 }
}

const commands = fc.array(
  fc.record({
    session: fc.nat(3),
    effects: fc.nat(effects.length - 1),
    text: fc.constantFrom(
      'select 1',
      'select 7',
      'a text that is longer than fifty bytes, whatever it may say',
    ),
    inTransaction: fc.boolean(),
    atMs: fc.constantFrom(1_763_625_600_000, 1_763_798_400_000),
    fate: fc.constantFrom(
      'facts',
      'facts',
      'facts',
      'facts',
      'no facts',
      'not asked',
      'lost version',
    ),
    unit: fc.constantFrom('query' as const, 'execute' as const, 'parse' as const),
  }),
  { maxLength: 60 },
)

const chains = [chainOf(0, []), chainOf(1, ['dba']), chainOf(2, []), chainOf(0, ['dba'])]
const connection = { name: 'c', labels: { env: 'prod' }, type: 'postgres' }
const client = { ip: '10.0.0.1', app: 'psql' }

type Spec = typeof commands extends fc.Arbitrary<infer T> ? T : never

function decide(compiled: CompiledPolicies, chain: Chain, command: Command, atMs: number) {
  const facts = buildSqlFacts({ chain, connection, client, now: new Date(atMs), command })
  const unknown = command.effects.class === 'unknown'
  return decidePolicies(compiled, { subject: 'sql', connection, chain, facts, unknown })
}

function commandOf(spec: Spec[number]): Command {
  const of = effects[spec.effects]
  assert.ok(of !== undefined)
  const { text, inTransaction } = spec
  return { id: 'c' as CommandId, effects: of, text, bytes: text.length, inTransaction }
}

const words = { allow: 'allowed', approve: 'held', block: 'blocked' } as const

/** What the simulation has to say, decided command by command without anything kept in between. */
function brute(specs: Spec, before: CompiledPolicies, after: CompiledPolicies) {
  const counts = new Map<string, number>()
  const add = (key: string) => counts.set(key, (counts.get(key) ?? 0) + 1)
  for (const spec of specs) {
    const chain = chains[spec.session]
    assert.ok(chain !== undefined)
    const command = commandOf(spec)
    const was = decide(before, chain, command, spec.atMs).effect
    const is = decide(after, chain, command, spec.atMs).effect
    if (spec.unit === 'parse' && was === 'allow' && spec.fate !== 'not asked') continue
    add('commands')
    if (spec.fate === 'not asked') add('not asked')
    else if (spec.fate !== 'facts') add('cannot')
    else add(was === is ? 'unchanged' : `${words[was]} → ${words[is]}`)
  }
  return Object.fromEntries(counts)
}

function counted({ commands: all, unchanged, notAsked, cannotJudge, changes }: SimulationReport) {
  const counts = new Map<string, number>([
    ['commands', all],
    ['unchanged', unchanged],
    ['not asked', notAsked],
    ['cannot', cannotJudge.reduce((sum, each) => sum + each.commands, 0)],
    ...changes.map((change) => [change.kind, change.commands] as const),
  ])
  return Object.fromEntries([...counts].filter(([, count]) => count > 0))
}

/** The entries that a worker would have recorded. */
function* entriesOf(
  specs: Spec,
  before: CompiledPolicies,
): Generator<[session: string, entry: Entry]> {
  const last = new Map<number, { seq: number; facts: Map<string, number> }>()
  for (const spec of specs) {
    const session = `s_${spec.session}`
    const chain = chains[spec.session]
    assert.ok(chain !== undefined)
    let open = last.get(spec.session)
    if (open === undefined) {
      open = { seq: 0, facts: new Map() }
      last.set(spec.session, open)
      yield [session, openedOf(session, chain)]
    }
    const command = commandOf(spec)
    const numbers: number[] = []
    for (const [about, json] of [
      ['session', sessionFactsJson({ connection, chain, client })],
      ['effects', effectsFactsJson(command.effects)],
    ] as const) {
      const key = `${about} ${command.effects.class} ${json}`
      let number = open.facts.get(key)
      if (number === undefined) {
        number = open.facts.size + 1
        open.facts.set(key, number)
        yield [session, { kind: 'facts', number, about, json }]
      }
      numbers.push(number)
    }
    open.seq += 1
    const { effect, rules, observed } = decide(before, chain, command, spec.atMs)
    const refused = spec.fate === 'not asked' || effect !== 'allow'
    const [facts = 0, of = 0] = numbers
    const place = {
      session: facts,
      effects: of,
      inTransaction: spec.inTransaction,
      bytes: command.bytes,
    }
    const asked = spec.fate === 'not asked' ? place : { ...place, askedAtMs: spec.atMs }
    const entry: CommandEntry = {
      kind: 'command',
      id: command.id,
      seq: open.seq,
      decision: `d_${open.seq}` as DecisionId,
      effect: spec.fate === 'not asked' ? 'block' : effect,
      rules: spec.fate === 'not asked' ? [] : [...rules, ...observed],
      class: command.effects.class,
      verb: command.effects.verb,
      objects: command.effects.objects,
      text: Buffer.from(command.text),
      parameters: [],
      formats: [],
      policyVersion: spec.fate === 'lost version' ? 2 : 1,
      unit: spec.unit,
      ...(spec.fate === 'no facts' ? {} : { facts: asked }),
    }
    yield [session, entry]
    const { seq } = open
    if (refused) yield [session, { kind: 'refused', seq, code: 'SP_POLICY_BLOCKED', message: '' }]
    // The newest answers may still be under way when a recording is read.
    else if (spec.text !== 'select 1')
      yield [session, { kind: 'response.end', seq, status: 'complete', tag: '', rows: 0, bytes: 0 }]
  }
}

function openedOf(session: string, chain: Chain): Entry {
  return {
    kind: 'session.opened',
    session: session as SessionId,
    worker: 0,
    connection: connection.name,
    database: 'd',
    credential: 'c',
    chain: chain.agents.map(({ id, name }) => ({ id, name })),
    level: 2,
    application: '',
    source: '',
    tls: true,
    wrappedKey: new Uint8Array(),
  }
}

function replay(specs: Spec, before: CompiledPolicies, after: CompiledPolicies, sinceMs = 0) {
  const then = new DecidingPolicies(before)
  const simulator = new Simulator({
    after: new DecidingPolicies(after),
    before: (version) => (version === 1 ? then : undefined),
    sinceMs,
  })
  for (const [session, entry] of entriesOf(specs, before))
    simulator.take({ session: session as SessionId, entry, timeMs: 1 })
  return simulator.report()
}

test('a simulation says what deciding every command once more says', () => {
  fc.assert(
    fc.property(commands, policies, policies, (specs, before, after) => {
      const report = replay(specs, before, after)
      assert.deepEqual(counted(report), brute(specs, before, after))
      assert.equal(report.faultCount, 0)
      for (const { kind, loosens } of report.changes) {
        const [was = '', is = ''] = kind.split(' → ')
        const order = ['allowed', 'held', 'blocked']
        assert.equal(loosens, order.indexOf(is) < order.indexOf(was))
      }
    }),
    { numRuns: 200 },
  )
})

test('what came before the time is passed over, and examples name who did what', () => {
  const spec = (effectsAt: number) => ({
    session: 1,
    effects: effectsAt,
    ...({
      text: 'select 7',
      inTransaction: false,
      atMs: 1_763_625_600_000,
      fate: 'facts',
      unit: 'query',
    } as const),
  })
  const write = effects.findIndex(({ class: coarse }) => coarse === 'write')
  const specs = [spec(write), spec(write), spec(0)]
  const open = policyOf([], 'allow')
  const strict = policyOf([0], 'allow')
  const [change] = replay(specs, open, strict).changes
  assert.deepEqual(
    [change?.kind, change?.commands, change?.loosens],
    ['allowed → blocked', 2, false],
  )
  assert.deepEqual(change?.mostly, { agent: 'n1', what: 'write public.t', commands: 2 })
  assert.deepEqual(change?.examples[0]?.rulesAfter, ['p/r0'])
  const back = replay(specs, strict, open).changes[0]
  assert.deepEqual([back?.kind, back?.loosens], ['blocked → allowed', true])
  assert.equal(replay(specs, open, strict, 2).commands, 0)
  const hits = replay(specs, open, policyOf([0, 8], 'allow')).rules
  assert.deepEqual(hits, [
    { id: 'p/r0', matched: 2, decided: 2 },
    { id: 'p/r8', matched: 1, decided: 1 },
  ])
  const unknown = replay(specs, open, policyOf([4], 'allow'))
  assert.deepEqual(unknown.unknownFacts, [
    { cause: 'unknown fact agent.recent.deletes10m', commands: 3 },
  ])
  const faulty = new Simulator({
    after: new DecidingPolicies(open),
    before: () => new DecidingPolicies(open),
    sinceMs: 0,
  })
  for (const [session, entry] of entriesOf(specs, strict))
    faulty.take({ session: session as SessionId, entry, timeMs: 1 })
  const { faultCount, faults } = faulty.report()
  assert.deepEqual([faultCount, faults], [2, ['s_1#1', 's_1#2']])
})
