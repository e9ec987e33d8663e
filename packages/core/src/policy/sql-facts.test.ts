import assert from 'node:assert/strict'
import test from 'node:test'
import type { Chain } from '../chain.ts'
import type { Command, Effects, ObjectName } from '../command.ts'
import type { AgentId, CommandId } from '../ids.ts'
import { buildSessionFacts, buildSqlFacts, printObjectName } from './sql-facts.ts'

const agent = { id: 'ag_1' as AgentId, name: 'scout', depth: 1, layers: [] }
const chain: Chain = {
  root: { id: 'u', kind: 'human', name: 'dana', groups: ['dba'] },
  agents: [{ ...agent, createdAtMs: 1000, expiresAtMs: 61_000 }],
  level: 2,
}
const source = {
  chain,
  connection: { name: 'orders', type: 'postgres', labels: { env: 'prod' } },
  client: { ip: '127.0.0.1', app: 'psql' },
  now: new Date(31_000),
}

function command(objects: readonly ObjectName[], text = 'select 1'): Command {
  const effects: Effects = {
    class: 'read',
    classes: ['read'],
    verb: 'select',
    objects,
    accesses: [],
    unbounded: false,
    opaque: [],
    persists: false,
  }
  return { id: 'c' as CommandId, effects, text, bytes: 14, inTransaction: false }
}

test('facts of a command hold what conditions read, with integers as BigInt', () => {
  const facts = buildSqlFacts({ ...source, command: command([['public', 'odd.name']]) })
  const op = facts['op']
  assert.deepEqual(op, {
    class: 'read',
    classes: ['read'],
    verb: 'select',
    objects: ['public."odd.name"'],
    unbounded: false,
    opaque: [],
    persists: false,
    inTransaction: false,
    bytes: 14n,
    text: 'select 1',
  })
  assert.deepEqual(facts['agent'], {
    id: 'ag_1',
    name: 'scout',
    depth: 1n,
    level: 2n,
    chain: ['scout'],
    ageSeconds: 30n,
    ttlSeconds: 30n,
  })
  assert.deepEqual(facts['conn'], {
    name: 'orders',
    type: 'postgres',
    env: 'prod',
    labels: { env: 'prod' },
  })
})

test('lists over 256 entries and strings over 64 KiB are unknown', () => {
  const names = Array.from({ length: 257 }, (_, index) => [`t${index}`])
  const long = buildSqlFacts({ ...source, command: command(names, 'é'.repeat(32_769)) })
  assert.equal(Object.hasOwn(Object(long['op']), 'objects'), false)
  assert.equal(Object.hasOwn(Object(long['op']), 'text'), false)
  const short = buildSqlFacts({
    ...source,
    command: command(names.slice(1), 'é'.repeat(32_768)),
  })
  assert.equal(Object.hasOwn(Object(short['op']), 'objects'), true)
  assert.equal(Object.hasOwn(Object(short['op']), 'text'), true)
})

test('a name prints so that no part can pose as two', () => {
  assert.equal(printObjectName(['a.b']), '"a.b"')
  assert.equal(printObjectName(['a', 'b']), 'a.b')
  assert.equal(printObjectName(['a"*']), '"a""*"')
  assert.equal(printObjectName(['']), '""')
})

test('facts of a session have no op', () => {
  const session = { protocol: 'postgres', login: 'app', database: 'main' }
  const facts = buildSessionFacts({ ...source, session })
  assert.deepEqual([facts['op'], facts['session']], [undefined, session])
})
