import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { request } from 'node:http'
import { after, before, suite, test } from 'node:test'
import { Client } from 'pg'
import { skipReason, until } from '@sallyport/testkit'
import {
  parseExposition,
  valueOf,
  type ReadPage,
} from '../packages/gateway/src/control-plane/metrics/parse-exposition.fixture.ts'
import { AgentFamily } from './agent-family.ts'
import { connect, workerPids } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: test}
spec:
  owner: group:test
  rules:
    - name: mail
      on: sql
      when: "true"
      effect: mask
      mask: [{columns: ["*.email"], with: partial}]
    - name: keep-out
      on: sql
      when: op.objects.exists(o, o.endsWith("forbidden"))
      effect: block
      message: "Nobody touches it."
`
const seed = `create table person(email text); insert into person values ('a@example.com'), ('b@example.com');
  create table forbidden(n int)`
const promtool = spawnSync('promtool', ['--version']).status === 0

suite('metrics', { skip: skipReason() }, () => {
  let gateway: TestGateway
  before(async () => {
    gateway = await startTestGateway({ policy, seed, metrics: true, workers: 2 })
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })
  const ask = async (path: string, method = 'GET'): Promise<Response> =>
    await fetch(`http://127.0.0.1:${gateway.gateway.ports.metrics}${path}`, { method })
  const page = async (): Promise<ReadPage> => parseExposition(await (await ask('/metrics')).text())
  const commands = (found: ReadPage, labels: Record<string, string>): number =>
    valueOf(found, 'sallyport_commands_total', { connection: 'shop', ...labels })

  test('count commands by connection, verdict and class, masked values, refusals and time', async () => {
    const before = await page()
    const client = await connect(gateway)
    await client.query('select email from person')
    await client.query("insert into person values ('c@example.com')")
    for (let n = 0; n < 3; n += 1)
      await assert.rejects(client.query('select * from forbidden'), /keep-out/)
    const stranger = new Client({
      connectionString: (await gateway.url({ query: '' })).replace(/:[^:@]+@/u, ':wrong@'),
      ssl: { rejectUnauthorized: false },
    })
    await assert.rejects(stranger.connect())
    const found = await until('all is told', async () => {
      const now = await page()
      // Each worker tells for itself, and the stranger may have come to another.
      const refused = valueOf(now, 'sallyport_refusals_total', { code: 'SP_LOGIN_REFUSED' })
      return commands(now, { verdict: 'blocked' }) === 3 && refused === 1 ? now : false
    })
    assert.equal(commands(found, { verdict: 'allowed', class: 'read' }), 1)
    assert.equal(commands(found, { verdict: 'allowed', class: 'write' }), 1)
    assert.equal(commands(found, { verdict: 'blocked', class: 'read' }), 3)
    assert.equal(valueOf(found, 'sallyport_masked_values_total', { connection: 'shop' }), 2)
    assert.equal(valueOf(found, 'sallyport_refusals_total', { code: 'SP_POLICY_BLOCKED' }), 3)
    assert.equal(valueOf(found, 'sallyport_refusals_total', { code: 'SP_LOGIN_REFUSED' }), 1)
    assert.equal(valueOf(found, 'sallyport_decision_seconds_count'), 5)
    assert.equal(valueOf(found, 'sallyport_added_latency_seconds_count'), 2)
    assert.equal(valueOf(found, 'sallyport_sessions'), 1)
    assert.ok(
      valueOf(found, 'sallyport_journal_bytes') > valueOf(before, 'sallyport_journal_bytes'),
    )
    assert.equal(valueOf(found, 'sallyport_workers', { state: 'ready' }), 2)
    assert.equal(valueOf(found, 'sallyport_recording_problems'), 0)
    await client.end()
    await until(
      'the session is closed',
      async () => valueOf(await page(), 'sallyport_sessions') === 0,
    )
  })

  test('name no agent, no principal and no statement', async () => {
    const family = new AgentFamily(gateway)
    const root = await family.root()
    const child = await family.child(root, 'scout-4711')
    const client = await family.session(child)
    await client.query("select 'statement-4711'")
    await client.end()
    const text = await (await ask('/metrics')).text()
    assert.doesNotMatch(text, /4711|a_[0-9a-z]{13}|s_[0-9a-z]{13}/u)
  })

  test('tell how long it took to take an agent away', async () => {
    const family = new AgentFamily(gateway)
    const agent = await family.child(await family.root(), 'gone')
    const client = await family.session(agent)
    client.on('error', () => undefined)
    await family.revoke(agent, 'enough')
    const found = await page()
    assert.equal(valueOf(found, 'sallyport_revocation_seconds_count', { mode: 'revoke' }), 1)
    assert.ok(valueOf(found, 'sallyport_agents', { state: 'revoked' }) >= 1)
  })

  test('do not go back when workers are killed', async () => {
    const client = await connect(gateway)
    client.on('error', () => undefined)
    await client.query('select 1')
    const counted = await until('it is told', async () => {
      const now = await page()
      return commands(now, {}) > 5 ? now : false
    })
    for (const pid of await workerPids(gateway)) process.kill(pid, 'SIGKILL')
    const after = await until('both are back', async () => {
      const now = await page()
      return valueOf(now, 'sallyport_worker_restarts_total') === 2 &&
        valueOf(now, 'sallyport_workers', { state: 'ready' }) === 2
        ? now
        : false
    })
    for (const { name, labels, value } of counted.series) {
      if (!/_(?:total|count|bucket)$/u.test(name)) continue
      assert.ok(
        valueOf(after, name, labels) >= value,
        `${name} ${JSON.stringify(labels)} went back`,
      )
    }
    const again = await connect(gateway)
    await again.query('select 1')
    await again.end()
    await until('counting goes on', async () => commands(await page(), {}) > commands(counted, {}))
  })

  test(
    'are taken by the checker of Prometheus',
    { skip: promtool ? false : 'promtool is not installed' },
    async () => {
      const { status, stderr, stdout } = spawnSync('promtool', ['check', 'metrics'], {
        input: await (await ask('/metrics')).text(),
        encoding: 'utf8',
      })
      assert.equal(status, 0, stdout + stderr)
    },
  )

  test('healthz and readyz say how it is, and nothing that is secret', async () => {
    assert.deepEqual(await (await ask('/healthz')).json(), { ok: true })
    const ready = await ask('/readyz')
    const state = { state: 'ok' }
    assert.deepEqual(await ready.json(), {
      ready: true,
      checks: { workers: state, database: state, shipping: state, disk: state },
    })
    assert.equal(ready.status, 200)
  })

  test('are served to this machine by its own names only, and cannot be written to', async () => {
    const statusFor = async (host: string): Promise<number | undefined> =>
      await new Promise((resolve, reject) => {
        const { metrics: port } = gateway.gateway.ports
        const asked = request({ port, host: '127.0.0.1', path: '/metrics', headers: { host } })
        asked.on('response', (response) => {
          response.resume()
          resolve(response.statusCode)
        })
        asked.on('error', reject).end()
      })
    assert.equal(await statusFor('evil.example'), 421)
    assert.equal(await statusFor('localhost:1'), 200)
    assert.equal((await ask('/metrics', 'POST')).status, 405)
    assert.equal((await ask('/other')).status, 404)
    assert.equal(await (await ask('/metrics', 'HEAD')).text(), '')
  })
})
