import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type { ExportFact, FactCommand, FactSession } from '../facts/export-fact.ts'
import { anyFact } from '../facts/fact.fixture.ts'
import { checkOcsf } from './check-ocsf.fixture.ts'
import { testEvent, toOcsf } from './to-ocsf.ts'

const session: FactSession = {
  id: 's_1',
  openedAtMs: 1000,
  connection: 'orders-db',
  database: 'orders',
  credential: 'cr_1',
  chain: [
    { id: 'a_root', name: 'dana' },
    { id: 'a_mid', name: 'planner' },
    { id: 'a_leaf', name: 'scout' },
  ],
  level: 3,
  application: 'psql',
  source: '10.0.0.7',
}
const about = { uid: 's_1/0-1-1/4', position: 4, atMs: 2000, session }
const command: FactCommand = {
  id: 'c_1',
  seq: 1,
  effect: 'allow',
  rules: [],
  class: 'read',
  verb: 'select',
  objects: [['public', 'orders']],
  unit: 'query',
  policyVersion: 7,
  startedAtMs: 1500,
  status: 'complete',
  rows: 3,
  bytes: 99,
  masked: [],
}
const told = (of: Partial<FactCommand>): Record<string, unknown> =>
  toOcsf({ ...about, kind: 'command', command: { ...command, ...of } }, '0.1.0')

suite('events of the open schema', () => {
  test('fit it, whatever happened', () => {
    fc.assert(
      fc.property(anyFact, (fact) => {
        assert.deepEqual(checkOcsf(toOcsf(fact, '0.1.0')), [])
      }),
      { numRuns: 1000 },
    )
    assert.deepEqual(checkOcsf(testEvent('siem', '0.1.0', 1)), [])
  })

  test('are refused by the check where they do not fit', () => {
    const event = told({})
    const broken: [object, RegExp][] = [
      [{ ...event, time: undefined }, /time is no/],
      [{ ...event, metadata: { product: { name: 'x' } } }, /metadata.version is missing/],
      [{ ...event, action_id: 17 }, /action_id has no value 17/],
      [{ ...event, made_up: 1 }, /made_up is not in the schema/],
      [{ ...event, category_uid: 3 }, /category_uid/],
      [{ ...event, type_uid: 1 }, /type_uid/],
      [{ ...event, database: undefined, table: undefined }, /database/],
      [{ ...event, class_uid: 9999 }, /class 9999/],
    ]
    for (const [each, problem] of broken)
      assert.match(checkOcsf(each as Record<string, unknown>).join('\n'), problem)
    const { src_endpoint: _gone, ...without } = event
    assert.match(checkOcsf(without).join('\n'), /src_endpoint is missing/)
  })

  test('name who asks, for whom, and everybody between', () => {
    const {
      ai_agent: agent,
      actor,
      unmapped,
      metadata,
    } = told({}) as Record<'ai_agent' | 'actor' | 'unmapped' | 'metadata', Record<string, unknown>>
    assert.deepEqual(agent, { name: 'scout', uid: 'a_leaf', instance_uid: 'a_leaf' })
    assert.deepEqual(actor['user'], { name: 'dana', uid: 'a_root' })
    assert.equal(metadata['correlation_uid'], 'a_root')
    assert.deepEqual((unmapped['sallyport'] as { chain: unknown }).chain, [
      { uid: 'a_root', name: 'dana' },
      { uid: 'a_mid', name: 'planner', parent_uid: 'a_root' },
      { uid: 'a_leaf', name: 'scout', parent_uid: 'a_mid' },
    ])
  })

  test('say what the gateway did about a command', () => {
    const facts: [Partial<FactCommand>, number, number, number][] = [
      [{}, 1, 1, 4],
      [{ masked: [{ rule: 'p/mail', values: 2 }] }, 4, 1, 4],
      [{ effect: 'block', status: 'refused', code: 'SP_POLICY_BLOCKED' }, 2, 2, 4],
      [{ status: 'error', code: '42P01' }, 1, 2, 4],
      [{ class: 'write', verb: 'delete' }, 1, 1, 7],
      [{ class: 'ddl', verb: 'create_table' }, 1, 1, 6],
      [{ class: 'unknown', verb: '', status: 'unknown' }, 1, 0, 0],
      [{ class: 'admin', verb: 'vacuum' }, 1, 1, 99],
    ]
    for (const [of, action, status, activity] of facts) {
      const event = told(of)
      assert.deepEqual(
        [event['action_id'], event['status_id'], event['activity_id']],
        [action, status, activity],
        JSON.stringify(of),
      )
    }
    assert.equal(told({ status: 'error', code: '42P01' })['status_code'], '42P01')
  })

  test('have the text of a command only where there is one', () => {
    assert.equal(told({})['query_info'], undefined)
    assert.deepEqual(told({ text: 'select 1' })['query_info'], {
      uid: 'c_1',
      query_string: 'select 1',
    })
  })

  test('of a session are its beginning and its end', () => {
    const opened: ExportFact = { ...about, kind: 'session.opened' }
    assert.equal(toOcsf(opened, '0.1.0')['class_uid'], 3003)
    const counts = { commands: 4, blocked: 1, maskedValues: 2 }
    const closed = toOcsf(
      { ...about, kind: 'session.closed', reason: 'caller left', ...counts },
      '0.1.0',
    )
    assert.equal(closed['type_uid'], 300202)
  })
})
