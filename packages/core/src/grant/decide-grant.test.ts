import assert from 'node:assert/strict'
import test from 'node:test'
import type { Chain, GrantLayer, Permission } from '../chain.ts'
import type { Access, Effects } from '../command.ts'
import {
  decideGrant as decide,
  decideOpening,
  opensConnection,
  type GrantDecision,
  type GrantRequest,
} from './decide-grant.ts'
import { chainOfLayers, effectsOf } from './grant.fixture.ts'
import { parseAllow } from './parse-allow.ts'

function chainOf(...permits: (readonly Permission[])[]): Chain {
  return chainOfLayers(...permits.map((each) => [{ permits: each }]))
}

function decideGrant(
  chain: Chain,
  connection: string,
  effects: Effects,
  database: string,
): GrantDecision {
  return decide(chain, { connection, effects, database, nowMs: 0, source: '127.0.0.1', level: 0 })
}

function allow(text: string): Permission {
  const parsed = parseAllow(text)
  assert.equal(parsed.kind, 'ok', text)
  return parsed.kind === 'ok' ? parsed.permission : { connections: [], classes: [], dimensions: {} }
}

const orders: Access = { effect: 'read', object: ['public', 'orders'], resolved: true }
const rows: [grant: string, access: Access, expected: string][] = [
  ['db:read', orders, 'allowed'],
  ['db:ro', orders, 'allowed'],
  ['d*:read', orders, 'allowed'],
  ['other:read', orders, 'not-granted'],
  ['db:write', orders, 'not-granted'],
  ['db:*', orders, 'allowed'],
  ['db:*', { effect: 'unknown', resolved: false }, 'not-granted'],
  ['db:unknown', { effect: 'unknown', resolved: false }, 'allowed'],
  ['db:read db=main', orders, 'allowed'],
  ['db/main:read', orders, 'allowed'],
  ['db/other:read', orders, 'not-granted'],
  ['db:read schema=public,sales_*', orders, 'allowed'],
  ['db:read schema=sales_*', orders, 'not-granted'],
  ['db:read table=ord*s', orders, 'allowed'],
  ['db:read table=orders', { effect: 'read', resolved: false }, 'unresolved'],
  ['db:read table=orders', { ...orders, resolved: false }, 'unresolved'],
  ['db:read table=orders', { effect: 'read', resolved: true }, 'allowed'],
  ['db:read schema=public', { ...orders, object: ['orders'] }, 'unresolved'],
  ['db:read', { effect: 'read', resolved: false }, 'allowed'],
  // `drop owned by r`, `select pg_read_file('x')`, `drop schema tmp_a cascade`, `drop role tmp_b`.
  ['db:* table=orders', { effect: 'delete', resolved: true }, 'unresolved'],
  ['db:* schema=public', { effect: 'transfer', resolved: true }, 'unresolved'],
  ['db:* table=tmp_*', { effect: 'ddl', object: ['tmp_a'], resolved: true }, 'unresolved'],
  ['db:* db=main', { effect: 'delete', resolved: true }, 'allowed'],
  ['db:read db=none', orders, 'not-granted'],
]

for (const [grant, access, expected] of rows) {
  test(`${grant} answers ${expected} to ${access.effect} ${access.object?.join('.') ?? '-'}`, () => {
    const decision = decideGrant(chainOf([allow(grant)]), 'db', effectsOf(access), 'main')
    assert.equal(decision.allowed ? 'allowed' : decision.reason, expected)
  })
}

test('a class without an access of its own must be granted too', () => {
  const effects: Effects = { ...effectsOf(orders), classes: ['read', 'persist'] }
  assert.equal(decideGrant(chainOf([allow('db:read')]), 'db', effects, 'main').allowed, false)
  assert.equal(
    decideGrant(chainOf([allow('db:read,persist')]), 'db', effects, 'main').allowed,
    true,
  )
})

test('one permit may give the read and another the write', () => {
  const write: Access = { effect: 'write', object: ['public', 'a'], resolved: true }
  const chain = chainOf([allow('db:read table=orders'), allow('db:write table=a')])
  assert.equal(decideGrant(chain, 'db', effectsOf(orders, write), 'main').allowed, true)
  const other: Access = { ...write, object: ['public', 'orders'] }
  assert.equal(decideGrant(chain, 'db', effectsOf(orders, other), 'main').allowed, false)
})

test('a connection opens only when every agent holds a permit for it', () => {
  assert.equal(opensConnection(chainOf([allow('db:read')], [allow('d*:read')]), 'db'), true)
  assert.equal(opensConnection(chainOf([allow('db:read')], [allow('x:read')]), 'db'), false)
})

for (const [text, message] of [
  ['orders-db', /needs a colon/],
  ['orders-db:raed', /"raed" is not one of/],
  ['orders-db:read tabel=x', /"tabel" is not one of db, schema, table/],
  ['orders-db:read db=a db=b', /given twice/],
  ['orders-db:read db=a,', /pattern is empty/],
  [':read', /not the name/],
  ['orders-db:constructor', /not one of/],
  ['orders-db:read rows<=0', /at least 1/],
  ['orders-db:read rows<=5.5', /not of the form/],
  ['orders-db:read rows<=5 rows<=6', /given twice/],
  ['orders-db:read rows=5', /not of the form rows<=500/],
  ['orders-db/a:read db=b', /db is given twice/],
  ['orders-db/a/b:read', /more than one scope/],
  ['orders-db:raed', /did you mean "read"/],
  ['orders-db:read shcema=x', /did you mean "schema"/],
  ['prod-k8s:read ns=orders', /Kubernetes, which this version does not serve yet/],
  ['orders-db:read table="a', /quote is not closed/],
  ['orders-db:read table=a"b"', /surround a whole name/],
  ['orders-db:read table=""', /empty/],
  ['orders-db:read table=a\u200bb', /cannot be seen/],
  ['orders-db,:read', /not the name/],
] as const) {
  test(`parseAllow refuses ${text}`, () => {
    const parsed = parseAllow(text)
    assert.match(parsed.kind === 'refused' ? parsed.message : '', message)
  })
}

const request: GrantRequest = {
  connection: 'db',
  effects: effectsOf(orders),
  database: 'main',
  nowMs: 1_000,
  source: '10.0.0.1',
  level: 1,
}
const free: GrantLayer = { permits: [allow('db:read')] }

const circumstances: readonly [layer: Partial<GrantLayer>, expected: string][] = [
  [{ window: { afterMs: 1_000 } }, 'allowed'],
  [{ window: { afterMs: 1_001 } }, 'outside-window'],
  [{ window: { beforeMs: 1_001 } }, 'allowed'],
  [{ window: { beforeMs: 1_000 } }, 'outside-window'],
  [{ window: { hours: 'Thu 00:00-01:00 UTC' } }, 'allowed'],
  [{ window: { hours: 'Fri 00:00-01:00 UTC' } }, 'outside-window'],
  [{ window: { hours: 'what is this' } }, 'outside-window'],
  [{ client: { cidr: ['10.0.0.0/8'] } }, 'allowed'],
  [{ client: { cidr: ['11.0.0.0/8'] } }, 'wrong-client'],
  [{ client: { cidr: ['11.0.0.0/8', '::ffff:10.0.0.0/120'] } }, 'allowed'],
  [{ client: { cidr: ['what is this'] } }, 'wrong-client'],
  [{ client: { cidr: [] } }, 'wrong-client'],
  [{ client: { minLevel: 1 } }, 'allowed'],
  [{ client: { minLevel: 2 } }, 'level-too-low'],
]

for (const [part, expected] of circumstances) {
  test(`${JSON.stringify(part)} answers ${expected}, to a session as to a command`, () => {
    const chain = chainOfLayers([free], [free, { ...free, ...part }], [free])
    for (const decision of [decide(chain, request), decideOpening(chain, request)]) {
      assert.equal(decision.allowed ? 'allowed' : decision.reason, expected)
      if (decision.allowed) continue
      assert.equal(decision.agent, 'a1')
      assert.equal(decision.nearestHolder, 'a0')
    }
  })
}

test('no clock, no address and no level are outside of every limit', () => {
  const limits: readonly [GrantLayer, Partial<GrantRequest>][] = [
    [{ ...free, window: { afterMs: 0 } }, { nowMs: NaN }],
    [{ ...free, window: { beforeMs: 9 } }, { nowMs: NaN }],
    [{ ...free, client: { cidr: ['0.0.0.0/0', '::/0'] } }, { source: '' }],
    [{ ...free, client: { minLevel: 0 } }, { level: NaN }],
  ]
  for (const [layer, part] of limits) {
    assert.equal(decide(chainOfLayers([layer]), { ...request, ...part }).allowed, false)
  }
})

test('a chain without agents, or whose root has no layers, holds nothing', () => {
  for (const chain of [chainOfLayers(), chainOfLayers([]), chainOfLayers([], [free])]) {
    assert.equal(decide(chain, request).allowed, false)
    assert.equal(decideOpening(chain, request).allowed, false)
    assert.equal(opensConnection(chain, 'db'), false)
  }
})

test('a permit with a limit that cannot be read permits nothing, not even what touches no object', () => {
  const permit: Permission = { ...allow('db:read'), dimensions: { ns: ['*'] } }
  const begin = effectsOf({ effect: 'read', resolved: true })
  for (const wrong of [permit, { ...allow('db:read'), rowsMax: NaN }]) {
    const decision = decide(chainOfLayers([{ permits: [wrong] }]), { ...request, effects: begin })
    assert.equal(decision.allowed, false)
  }
})

const rowLimits: readonly [layers: readonly (readonly string[])[], expected: number | undefined][] =
  [
    [[['db:read']], undefined],
    [[['db:read rows<=5']], 5],
    [[['db:read rows<=5', 'db:read table=orders rows<=9']], 9],
    [[['db:read rows<=5', 'db:read']], undefined],
    [[['db:read rows<=5', 'db:read table=other']], 5],
    [[['db:read rows<=5', 'db:write']], 5],
    [[['db:read rows<=5', 'other:read']], 5],
    [[['db:read rows<=5'], ['db:read rows<=3']], 3],
    [[['db:read rows<=5'], ['db:read']], 5],
  ]

for (const [texts, expected] of rowLimits) {
  test(`${texts.map((each) => each.join('; ')).join(' below ')} gives ${expected ?? 'all'} rows`, () => {
    const chain = chainOfLayers(...texts.map((each) => [{ permits: each.map(allow) }]))
    const decision = decide(chain, request)
    assert.equal(decision.allowed ? decision.rowsMax : 'refused', expected)
  })
}

test('of several accesses the one with the fewest rows counts', () => {
  const chain = chainOf([allow('db:read table=orders rows<=7'), allow('db:write rows<=4')])
  const write: Access = { effect: 'write', object: ['public', 'a'], resolved: true }
  const decision = decide(chain, { ...request, effects: effectsOf(orders, write) })
  assert.equal(decision.allowed ? decision.rowsMax : 'refused', 4)
})

test('an allowed command says until when its windows let it hold', () => {
  const hours: GrantLayer = { ...free, window: { hours: '00:00-24:00 UTC' } }
  const before: GrantLayer = { ...free, window: { beforeMs: 5_000 } }
  const untilOf = (...layers: GrantLayer[]) => {
    const decision = decide(chainOfLayers(layers), request)
    return decision.allowed ? decision.holdsUntilMs : 'refused'
  }
  assert.equal(untilOf(free), undefined)
  assert.equal(untilOf(free, hours), 60_000)
  assert.equal(untilOf(hours, before), 5_000)
})

test('the nearest holder is the agent above the first that refuses', () => {
  const chain = chainOf([allow('db:*')], [allow('db:*')], [allow('db:read')], [allow('db:*')])
  const write = effectsOf({ effect: 'write', object: ['public', 'a'], resolved: true })
  const decision = decide(chain, { ...request, effects: write })
  assert.ok(!decision.allowed)
  assert.deepEqual([decision.agent, decision.nearestHolder], ['a2', 'a1'])
  const none = decide(chainOf([allow('db:read')], [allow('db:*')]), { ...request, effects: write })
  assert.ok(!none.allowed)
  assert.deepEqual([none.agent, none.nearestHolder], ['a0', undefined])
})
