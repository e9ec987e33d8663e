import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { type ControlPlane, startControlPlane } from './control-plane.ts'
import { openLedgerJournal } from '../data-plane/journal/ledger-journal.ts'
import type { ControlPlaneEvent, ControlPlaneOptions } from './control-plane-options.ts'

const dir = mkdtempSync(join(tmpdir(), 'sallyport-control-'))
after(() => rmSync(dir, { recursive: true, force: true }))

/** Reports a session for each snapshot, with what it saw in it. */
const entry = join(dir, 'worker.mjs')
writeFileSync(
  entry,
  `process.on('disconnect', () => process.exit(0))
const known = []
process.on('message', (m) => {
  if (m.kind === 'agents') setTimeout(() => {
    known.push(...m.changes.credentials.map((each) => each.id))
    process.send({ kind: 'agents.applied', worker: 0, version: m.changes.version, closed: [] })
  }, 20)
  if (m.kind === 'start') {
    process.send({ kind: 'ready', worker: m.config.worker, port: m.config.listen.port || 40001 })
    process.send({ kind: 'session.opened', session: { id: 's_' + process.pid, worker: 0, connection: 'c', database: 'd', credential: 'x', agent: 'a', path: ['a'], level: 0, chain: ['dana'], application: '', source: '', openedAtMs: Date.now() } })
  }
  if (m.kind === 'snapshot' || m.kind === 'start') process.send({ kind: 'loaded', worker: 0, snapshotVersion: m.snapshot.version })
  if (m.kind === 'probe') process.send({ kind: 'probed', id: m.id, result: { reach: 'ok', tls: 'off', login: 'ok', serverVersion: m.connection.login.password, ...(known.length === 0 ? {} : { known }) } })
  if (m.kind === 'stop') process.exit(0)
})`,
)

const connection = {
  name: 'orders',
  host: 'db',
  user: 'app',
  password: 'sesame',
  database: 'orders',
  tls: 'off',
}

suite('the control plane', () => {
  const dataDir = join(dir, 'data')
  const events: ControlPlaneEvent[] = []
  let gateway: ControlPlane
  before(async () => {
    gateway = await startControlPlane(options(dataDir, (event) => events.push(event)))
  })
  after(() => gateway.stop(0))

  const call = async (
    path: string,
    init: RequestInit = {},
    token = ownerToken(dataDir),
  ): Promise<Response> =>
    fetch(`http://127.0.0.1:${gateway.ports.api}${path}`, {
      ...init,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    })
  const post = (path: string, body: unknown): Promise<Response> =>
    call(path, { method: 'POST', body: JSON.stringify(body) })

  test('answers only the holder of the owner token', async () => {
    const refused = await call('/v1/status', {}, 'wrong')
    assert.equal(refused.status, 401)
    assert.equal(errorCode(await refused.json()), 'SP_LOGIN_REFUSED')
    assert.equal((await call('/healthz', {}, '')).status, 200)
    const status: unknown = await (await call('/v1/status')).json()
    assert.ok(typeof status === 'object' && status !== null && 'ports' in status)
    assert.deepEqual(status.ports, gateway.ports)
  })

  test('a connection is added, tried, listed without its password, and removed', async () => {
    assert.equal((await post('/v1/connections', connection)).status, 201)
    const probed: unknown = await (await post('/v1/connections/orders/test', {})).json()
    assert.deepEqual(probed, { reach: 'ok', tls: 'off', login: 'ok', serverVersion: 'sesame' })
    const listed = await (await call('/v1/connections')).text()
    assert.match(listed, /"orders"/)
    assert.doesNotMatch(listed, /sesame/)
    assert.equal((await call('/v1/connections/orders', { method: 'DELETE' })).status, 204)
    assert.equal((await call('/v1/connections/orders')).status, 404)
  })

  test('settings of a connection change one by one, and every wrong one is named', async () => {
    await post('/v1/connections', { ...connection, notices: 'never' })
    const patch = (body: unknown): Promise<Response> =>
      call('/v1/connections/orders', { method: 'PATCH', body: JSON.stringify(body) })
    const settings = async (): Promise<unknown[]> => {
      const { notices, responses, trustedFunctions } = (await (
        await call('/v1/connections/orders')
      ).json()) as Record<string, unknown>
      return [notices, responses, trustedFunctions]
    }
    assert.deepEqual(await settings(), ['never', 'masked', []])
    const before = (await gateway.status()).workers[0]?.snapshotVersion ?? 0
    assert.equal((await patch({ trustedFunctions: ['b.g', 'a.f', 'a.f'] })).status, 200)
    assert.ok(((await gateway.status()).workers[0]?.snapshotVersion ?? 0) > before)
    assert.equal((await patch({ responses: 'shape' })).status, 200)
    assert.deepEqual(await settings(), ['never', 'shape', ['a.f', 'b.g']])

    const wrong = {
      notices: 'loud',
      responses: 'none',
      trustedFunctions: ['f', 'a.f(int)'],
      host: 'x',
    }
    const refused = await patch(wrong)
    assert.equal(refused.status, 400)
    const text = await refused.text()
    for (const named of ['notices', 'responses', '\\"f\\"', 'a.f(int)', 'host cannot be set']) {
      assert.ok(text.includes(named), `${named}: ${text}`)
    }
    assert.equal((await patch({})).status, 400)
    const missing = await call('/v1/connections/none', {
      method: 'PATCH',
      body: '{"notices":"auto"}',
    })
    assert.equal(missing.status, 404)
    assert.deepEqual(await settings(), ['never', 'shape', ['a.f', 'b.g']])
    // Another target under the same name was not vouched for.
    await post('/v1/connections', connection)
    assert.deepEqual(await settings(), ['auto', 'masked', []])
  })

  test('workers know a credential before its caller does', async () => {
    await post('/v1/connections', connection)
    const response = await post('/v1/credentials', { connection: 'orders', allow: ['orders:read'] })
    assert.equal(response.status, 201)
    const { id } = (await response.json()) as { id: string }
    const probe = (await (await post('/v1/connections/orders/test', {})).json()) as {
      known: string[]
    }
    assert.deepEqual(probe.known, [id])
  })

  test('a body that is no JSON, of another type or too large is refused with a code', async () => {
    const wrong = await call('/v1/credentials', { method: 'POST', body: '{' })
    assert.deepEqual([wrong.status, errorCode(await wrong.json())], [400, 'SP_CONFIG_INVALID'])
    const large = await call('/v1/credentials', { method: 'POST', body: 'x'.repeat(300_000) })
    assert.deepEqual([large.status, errorCode(await large.json())], [413, 'SP_MESSAGE_TOO_LARGE'])
  })

  test('sessions that workers report are listed, and those of a dead gateway are closed', async () => {
    const listed = await (await call('/v1/sessions')).json()
    assert.ok(Array.isArray(listed) && listed.length === 1)
    await gateway.stop(0)
    assert.equal(existsSync(join(dataDir, 'gateway.json')), false)
    gateway = await startControlPlane(options(dataDir, (event) => events.push(event)))
    const again: unknown = await (await call('/v1/sessions')).json()
    assert.match(JSON.stringify(again), /"reason":"the gateway ended"/)
    assert.match(
      await (await call('/v1/connections')).text(),
      /"orders"/,
      'state outlives the restart',
    )
  })

  test('a session that nobody recorded is not found', async () => {
    const missing = await call('/v1/sessions/s_zzz?as=text')
    assert.deepEqual([missing.status, errorCode(await missing.json())], [404, 'SP_NOT_FOUND'])
  })

  test('a broken policy file keeps the old policies and is reported', async () => {
    const file = join(dataDir, 'policies', 'starter.yaml')
    const good = readFileSync(file, 'utf8')
    const { version } = (await gateway.status()).policies
    writeFileSync(file, good.replace('op.unbounded', 'op.unboundet'))
    await seen(events, 'policies.refused')
    assert.equal((await gateway.status()).policies.version, version)
    writeFileSync(file, good.replace('Nobody', 'No one').replace('no-drop-database', 'never-drop'))
    await seen(events, 'policies.loaded')
    assert.equal((await gateway.status()).policies.version, version + 1)
  })
})

test('the connection of the demo is there while the demo is; one that an operator added stays', async () => {
  const dataDir = join(dir, 'demo')
  let port = 5001
  const target = { host: '127.0.0.1', user: 'demo', password: 'p', database: 'shop' }
  const started = async (demo: boolean): Promise<ControlPlane> => {
    const plain = options(dataDir, () => undefined)
    const startDemo = async () => ({ ...target, port: port++, close: async () => undefined })
    return startControlPlane({ ...plain, demo, parts: { ...plain.parts, startDemo } })
  }
  const listed = async (gateway: ControlPlane): Promise<string[]> =>
    (await gateway.connections()).map((each) => `${each.name}:${each.port}`)
  for (const [demo, expected] of [
    [true, ['shop-db:5001']],
    [true, ['shop-db:5002']],
    [false, []],
  ] as const) {
    const gateway = await started(demo)
    assert.deepEqual(await listed(gateway), expected)
    await gateway.stop(0)
  }
  const own = await started(false)
  const response = await fetch(`http://127.0.0.1:${own.ports.api}/v1/connections`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${ownerToken(dataDir)}`,
      'content-type': 'application/json',
    },
    body: JSON.stringify({ ...connection, name: 'shop-db', port: 5999 }),
  })
  assert.equal(response.status, 201)
  await own.stop(0)
  await assert.rejects(started(true), /a connection of yours. Start with --no-demo/)
  const again = await started(false)
  assert.deepEqual(await listed(again), ['shop-db:5999'])
  await again.stop(0)
})

test('a port that something else holds is refused before anything starts', async () => {
  const other = createServer().listen(0, '127.0.0.1')
  await once(other, 'listening')
  const address = other.address()
  assert.ok(typeof address === 'object' && address !== null)
  const blocked = options(join(dir, 'blocked'), () => undefined)
  await assert.rejects(
    startControlPlane({ ...blocked, ports: { api: 0, postgres: address.port } }),
    /Choose another: --port-postgres/,
  )
  other.close()
})

function options(dataDir: string, onEvent: ControlPlaneOptions['onEvent']): ControlPlaneOptions {
  return {
    dataDir,
    ports: { api: 0, postgres: 0 },
    host: '127.0.0.1',
    workers: 1,
    durability: 'process',
    demo: false,
    onEvent,
    parts: {
      workerEntry: pathToFileURL(entry),
      openLedgerJournal,
      startDemo: () => Promise.reject(new Error('no demo here')),
    },
  }
}

function ownerToken(dataDir: string): string {
  return readFileSync(join(dataDir, 'owner.token'), 'utf8').trim()
}

function errorCode(body: unknown): unknown {
  assert.ok(typeof body === 'object' && body !== null && 'error' in body)
  assert.ok(typeof body.error === 'object' && body.error !== null && 'code' in body.error)
  return body.error.code
}

async function seen(events: readonly ControlPlaneEvent[], kind: string): Promise<void> {
  while (!events.some((event) => event.kind === kind)) {
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
