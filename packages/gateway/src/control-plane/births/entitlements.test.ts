import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { GrantLayer, Principal } from '@sallyport/core'
import { readIdentityFiles } from './config/load-identity-folder.ts'
import type { IdentityConfig } from './config/identity-config.ts'
import { Entitlements, tightest } from './entitlements.ts'
import { FakeAgents } from './fake-agents.fixture.ts'
import { openGate } from './open-gate.fixture.ts'

const provider = `kind: OidcProvider
metadata: {name: idp}
spec: {issuer: https://idp.example.com, clientId: x}
`
const grant = (name: string, spec: string): string =>
  `kind: Grant\nmetadata: {name: ${name}}\nspec: ${spec}\n`

function configOf(...objects: readonly string[]): IdentityConfig {
  const text = objects.map((each) => `apiVersion: sallyport.dev/v1\n${each}`).join('---\n')
  const loaded = readIdentityFiles([{ file: 'a.yaml', text }])
  return loaded.kind === 'ok'
    ? loaded.config
    : assert.fail(loaded.problems.map(({ message }) => message).join())
}

const dana: Principal = {
  id: 'oidc:https://idp.example.com|1',
  kind: 'human',
  name: 'dana',
  groups: ['dev'],
}

class Bench implements AsyncDisposable {
  readonly agents = new FakeAgents()
  connections = [
    { name: 'orders-db', labels: { env: 'prod', team: 'shop' } },
    { name: 'stage-db', labels: { env: 'stage' } },
  ]
  config: IdentityConfig
  nowMs = Date.parse('2026-11-20T12:00Z')
  readonly entitlements: Entitlements
  readonly faults: unknown[] = []

  constructor(...objects: readonly string[]) {
    this.config = configOf(provider, ...objects)
    this.entitlements = new Entitlements({
      gate: openGate,
      config: () => this.config,
      connections: async () => this.connections,
      agents: this.agents,
      now: () => this.nowMs,
      onFault: (error) => this.faults.push(error),
    })
  }

  async root(
    principal: Principal,
    granted?: readonly GrantLayer[],
  ): Promise<() => readonly GrantLayer[]> {
    const layers = granted ?? (await this.entitlements.of(principal)).layers
    const { agent } = await this.agents.createRoot({
      principal,
      name: 'r',
      born: 'login',
      owner: 'user:dana',
      layers: [],
      entitlement: layers,
      budget: {},
      delegate: {},
      ttlMs: 1000,
      handle: true,
    })
    return () => this.agents.all.get(agent.id)?.entitlement ?? []
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.entitlements.close()
    assert.deepEqual(this.faults, [])
  }
}

const names = (layers: readonly GrantLayer[]): string[] =>
  (layers[0]?.permits ?? []).map(
    ({ connections, classes }) => `${connections.join(',')}:${classes.join(',')}`,
  )

test('what a person holds is the union of the grants of name and groups, and nothing where none names them', async () => {
  await using bench = new Bench(
    grant('a', '{to: ["group:dev"], on: [{connections: [stage-db]}], allow: [read]}'),
    grant(
      'b',
      '{to: ["user:dana"], on: [{connections: [orders-db], table: [t], maxRows: 7}], allow: [write]}',
    ),
    grant('c', '{to: ["group:ops", "user:dev"], on: [{connections: ["*"]}], allow: ["*"]}'),
  )
  const { layers } = await bench.entitlements.of(dana)
  assert.deepEqual(layers, [
    {
      permits: [
        { connections: ['stage-db'], classes: ['read'], dimensions: {} },
        {
          connections: ['orders-db'],
          classes: ['write'],
          dimensions: { table: ['t'] },
          rowsMax: 7,
        },
      ],
    },
  ])
  assert.deepEqual((await bench.entitlements.of({ ...dana, name: 'eve', groups: [] })).layers, [
    { permits: [] },
  ])
})

test('a workload that is called like a person or a group is neither', async () => {
  await using bench = new Bench(
    grant('a', '{to: ["user:shop", "group:shop"], on: [{connections: ["*"]}], allow: [read]}'),
  )
  const workload: Principal = { id: 'trust:shop', kind: 'workload', name: 'shop', groups: ['shop'] }
  assert.deepEqual((await bench.entitlements.of(workload)).layers, [{ permits: [] }])
})

test('living roots follow files, groups, labels, and the removal of their provider', async () => {
  const whole = [grant('a', '{to: ["group:dev"], on: [{labels: {env: stage}}], allow: [read]}')]
  await using bench = new Bench(...whole)
  const held = await bench.root(dana)
  assert.deepEqual(names(held()), ['stage-db:read'])
  bench.connections = [
    { name: 'stage-db', labels: { env: 'prod', team: 'x' } },
    { name: 'new-db', labels: { env: 'stage' } },
  ]
  await bench.entitlements.refresh()
  assert.deepEqual(names(held()), ['new-db:read'])
  await bench.entitlements.setGroups(dana, [])
  assert.deepEqual(names(held()), [])
  await bench.entitlements.setGroups(dana, ['dev'])
  bench.config = configOf(provider, whole[0]?.replace('[read]', '[explain]') ?? '')
  await bench.entitlements.refresh()
  assert.deepEqual(names(held()), ['new-db:explain'])
  bench.config = configOf(...whole)
  await bench.entitlements.refresh()
  assert.deepEqual(names(held()), [])
})

test('roots of the local owner are left alone', async () => {
  await using bench = new Bench()
  const held = await bench.root({ id: 'owner', kind: 'human', name: 'dana', groups: [] })
  bench.agents.setEntitlement = async () => assert.fail('a root of the owner was touched')
  await bench.entitlements.refresh()
  assert.equal(held().length, 1)
})

test('what has not changed is not written', async () => {
  await using bench = new Bench(
    grant('a', '{to: ["group:dev"], on: [{connections: [a]}], allow: [read]}'),
  )
  await bench.root(dana)
  await bench.entitlements.refresh()
  bench.agents.setEntitlement = async () => assert.fail('written twice')
  await bench.entitlements.refresh()
})

test('a grant counts while its window is open, beside grants without one', async () => {
  await using bench = new Bench(
    grant(
      'a',
      '{to: ["group:dev"], on: [{connections: [a]}], allow: [read], window: {hours: "Mon-Fri 08:00-19:00 Europe/Berlin"}}',
    ),
    grant('b', '{to: ["group:dev"], on: [{connections: [b]}], allow: [read]}'),
    grant(
      'c',
      '{to: ["group:dev"], on: [{connections: [c]}], allow: [read], window: {after: "2026-11-20T12:00Z", before: "2026-11-20T13:00Z"}}',
    ),
  )
  const at = async (time: string): Promise<string[]> => {
    bench.nowMs = Date.parse(time)
    return names((await bench.entitlements.of(dana)).layers)
  }
  assert.deepEqual(await at('2026-11-20T11:59:59Z'), ['a:read', 'b:read'])
  assert.deepEqual(await at('2026-11-20T12:00Z'), ['a:read', 'b:read', 'c:read'])
  assert.deepEqual(await at('2026-11-20T13:00Z'), ['a:read', 'b:read'])
  assert.deepEqual(await at('2026-11-20T18:00Z'), ['b:read'])
})

test('conditions on the client, caps and limits of all grants of a person hold together', async () => {
  await using bench = new Bench(
    grant(
      'a',
      '{to: ["group:dev"], on: [{connections: [a]}], allow: [read], client: {minLevel: L2}, budget: {writes: 9, rows: 5}, delegate: {depth: 3, detach: true}}',
    ),
    grant(
      'b',
      '{to: ["group:dev"], on: [{connections: [b]}], allow: [read], client: {cidr: [10.0.0.0/8]}, budget: {writes: 4}, delegate: {depth: 1, detach: false}}',
    ),
  )
  const { layers, budget, delegate } = await bench.entitlements.of(dana)
  assert.deepEqual(
    layers.map(({ client }) => client),
    [{ minLevel: 2 }, { cidr: ['10.0.0.0/8'] }],
  )
  assert.deepEqual(
    layers.map(({ permits }) => permits.length),
    [2, 2],
  )
  assert.deepEqual(budget, { writes: 4, rows: 5 })
  assert.deepEqual(delegate, { depth: 1, detach: false })
  assert.deepEqual(tightest([{}, { ttlMs: 5 }]), { ttlMs: 5 })
})

test('a window that closes narrows living roots in the same minute', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: Date.parse('2026-11-20T12:59:10Z') })
  await using bench = new Bench(
    grant(
      'a',
      '{to: ["group:dev"], on: [{connections: [a]}], allow: [read], window: {before: "2026-11-20T13:00Z"}}',
    ),
  )
  bench.nowMs = Date.parse('2026-11-20T12:59:10Z')
  const held = await bench.root(dana)
  assert.deepEqual(names(held()), ['a:read'])
  const changed = Promise.withResolvers<void>()
  const set = bench.agents.setEntitlement.bind(bench.agents)
  bench.agents.setEntitlement = async (root, layers) => {
    await set(root, layers)
    changed.resolve()
  }
  bench.nowMs = Date.parse('2026-11-20T13:00Z')
  t.mock.timers.tick(50_000)
  await changed.promise
  assert.deepEqual(names(held()), [])
})

test('a root that cannot be changed does not keep others from being narrowed, and is tried again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 0 })
  await using bench = new Bench(
    grant('a', '{to: ["group:dev"], on: [{connections: [a]}], allow: [read]}'),
  )
  const first = await bench.root(dana)
  const second = await bench.root({ ...dana, id: `${dana.id}2` })
  bench.config = configOf(provider)
  const set = bench.agents.setEntitlement.bind(bench.agents)
  bench.agents.setEntitlement = async (root, layers) => {
    bench.agents.setEntitlement = set
    return Promise.reject(new Error(`the store is away for ${root} ${layers.length}`))
  }
  await bench.entitlements.refresh()
  assert.deepEqual([names(first()), names(second())], [['a:read'], []])
  assert.equal(bench.faults.splice(0).length, 1)
  const changed = Promise.withResolvers<void>()
  bench.agents.setEntitlement = async (root, layers) => {
    await set(root, layers)
    changed.resolve()
  }
  t.mock.timers.tick(60_000)
  await changed.promise
  assert.deepEqual(names(first()), [])
})

test('what changes while a root is born reaches it', async () => {
  await using bench = new Bench(
    grant('a', '{to: ["group:dev"], on: [{connections: [a]}], allow: [read]}'),
  )
  const granted = await bench.entitlements.of(dana)
  bench.config = configOf(provider)
  await bench.entitlements.refresh()
  const held = await bench.root(dana, granted.layers)
  assert.deepEqual(names(held()), ['a:read'])
  const [root] = bench.agents.all.keys()
  if (root !== undefined) await bench.entitlements.settle(root, dana, granted)
  assert.deepEqual(names(held()), [])
})
