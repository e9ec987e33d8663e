import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { pathToFileURL } from 'node:url'
import type { WorkerConfig } from '../boundary/messages.ts'
import type { ConnectionConfig, Snapshot } from '../boundary/snapshot.ts'
import type { AgentSource } from './agent-relay.ts'
import { WorkerPool, type WorkerPoolOptions } from './worker-pool.ts'

const dir = mkdtempSync(join(tmpdir(), 'sallyport-pool-'))
after(() => rmSync(dir, { recursive: true, force: true }))

/** Answers the messages as a worker does, and fails where `node` tells it to. */
const entry = join(dir, 'worker.mjs')
writeFileSync(
  entry,
  `let worker
process.on('disconnect', () => process.exit(0))
process.on('message', (m) => {
  if (m.kind === 'start') {
    worker = m.config.worker
    if (m.config.node === 'broken') {
      process.send({ kind: 'failed', worker, code: 'SP_CONFIG_INVALID', message: 'port taken' }, () => process.exit(1))
      return
    }
    process.send({ kind: 'ready', worker, port: m.config.listen.port || 40000 + worker })
    process.send({ kind: 'loaded', worker, snapshotVersion: m.snapshot.version })
  }
  if (m.kind === 'snapshot') {
    process.send({ kind: 'loaded', worker, snapshotVersion: m.snapshot.version })
    if (m.snapshot.maskKey === 'die' && worker === 0) process.exit(3)
    if (m.snapshot.maskKey === 'cancel' && worker === 0) process.send({ kind: 'cancel', worker, key: { processId: 7, secret: 's' } })
  }
  if (m.kind === 'cancel') process.send({ kind: 'session.closed', session: { id: 'cancelled', reason: String(worker) + m.key.processId } })
  if (m.kind === 'probe') process.send({ kind: 'probed', id: m.id, result: { reach: 'ok', tls: 'ok', login: 'ok', serverVersion: m.connection.name } })
  if (m.kind === 'stop') process.exit(0)
})`,
)

const snapshot: Snapshot = {
  version: 1,
  policyVersion: 1,
  connections: [],
  policies: [],
  maskKey: '',
}

const noAgents: AgentSource = {
  changesSince: (from) => ({
    from,
    version: 1,
    agents: [],
    credentials: [],
    goneAgents: [],
    goneCredentials: [],
  }),
  admit: () => Promise.resolve({ kind: 'admitted', version: 1 }),
  lease: ({ amounts }) => Promise.resolve({ granted: amounts }),
  returnLease: () => Promise.resolve(),
  workerLost: () => undefined,
}

function pool(over: Partial<WorkerPoolOptions> & { node?: string } = {}): WorkerPool {
  return new WorkerPool({
    count: 2,
    entry: pathToFileURL(entry),
    config: (worker, port) =>
      ({
        worker,
        node: over.node ?? 'n',
        listen: { host: '', port: port ?? 0 },
      }) as unknown as WorkerConfig,
    snapshot,
    agents: noAgents,
    onFault: () => undefined,
    onTarget: () => undefined,
    onOpened: () => undefined,
    onClosed: () => undefined,
    onHoldAsked: () => undefined,
    onHoldWithdrawn: () => undefined,
    onCounted: () => undefined,
    onLost: () => undefined,
    ...over,
  })
}

suite('the worker pool', () => {
  test('starts all workers on the port that the first one took, and stops them', async () => {
    const workers = pool()
    await workers.start()
    assert.equal(workers.port, 40000)
    assert.deepEqual(
      workers.states().map((each) => each.state),
      ['ready', 'ready'],
    )
    await workers.publish({ ...snapshot, version: 5 })
    assert.deepEqual(
      workers.states().map((each) => each.snapshotVersion),
      [5, 5],
    )
    await workers.stop(0)
    assert.deepEqual(
      workers.states().map((each) => each.state),
      ['stopped', 'stopped'],
    )
  })

  test('says why a worker cannot start', async () => {
    await assert.rejects(pool({ node: 'broken' }).start(), /port taken/)
  })

  test('restarts a worker that died, with the newest snapshot', async () => {
    const lost = Promise.withResolvers<number>()
    const workers = pool({ onLost: (worker) => lost.resolve(worker) })
    await workers.start()
    await workers.publish({ ...snapshot, version: 2, maskKey: 'die' })
    assert.equal(await lost.promise, 0)
    // The restart has no event of its own in the pool's interface, so the state is read until it shows.
    while (workers.states()[0]?.state !== 'ready' || workers.states()[0]?.snapshotVersion !== 2) {
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    assert.equal(workers.states()[0]?.restarts, 1)
    await workers.stop(0)
  })

  test('carries a cancel request to the other workers only', async () => {
    const reached = Promise.withResolvers<string>()
    const workers = pool({ onClosed: (session) => reached.resolve(session.reason) })
    await workers.start()
    await workers.publish({ ...snapshot, version: 2, maskKey: 'cancel' })
    assert.equal(await reached.promise, '17')
    await workers.stop(0)
  })

  test('lets a worker try a target', async () => {
    const workers = pool()
    await workers.start()
    const result = await workers.probe({ name: 'shop-db' } as unknown as ConnectionConfig)
    assert.equal(result.serverVersion, 'shop-db')
    await workers.stop(0)
  })
})
