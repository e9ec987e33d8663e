import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import type { Tables } from '../ports/tables/tables.ts'
import { readiness, type Check, type ReadinessSources } from './readiness.ts'

/** A database of which only the way there matters. */
function database(connect: () => Promise<unknown>): ReadinessSources['store'] {
  const pool = Object.assign(Object.create(pg.Pool.prototype), { connect }) as pg.Pool
  return { db: new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) }) }
}

const answers = database(() =>
  Promise.resolve({
    query: () => Promise.resolve({ command: 'SELECT', rowCount: 1, rows: [] }),
    release: () => undefined,
  }),
)
const worker = { worker: 0, pid: 1, snapshotVersion: 1, restarts: 0 }
const well: ReadinessSources = {
  workers: [{ ...worker, state: 'ready' }],
  store: answers,
  shipping: {
    where: 'store',
    parts: 0,
    pendingBytes: 0,
    journalFiles: 1,
    anchoredAtMs: 0,
    problems: 0,
  },
  journals: { freeBytes: 1000, usedBytes: 10, largestBytes: 10 },
  failingJournals: [],
  limits: { minFreeBytes: 100, maxBytes: 1000 },
}

async function found(over: Partial<ReadinessSources>): Promise<[boolean, Record<string, Check>]> {
  const { ready, checks } = await readiness({ ...well, ...over })
  const bad = Object.entries(checks).filter(([, { state }]) => state !== 'ok')
  return [ready, Object.fromEntries(bad)]
}

test('a gateway that is well is ready', async () => {
  assert.deepEqual(await found({}), [true, {}])
})

test('no worker is a failure, fewer than all are told', async () => {
  const [first] = well.workers
  assert.ok(first !== undefined)
  const restarting = { ...worker, state: 'restarting' } as const
  const none = { state: 'failed', reason: '0 of 1 workers are ready' }
  assert.deepEqual(await found({ workers: [restarting] }), [false, { workers: none }])
  const some = { state: 'degraded', reason: '1 of 2 workers are ready' }
  assert.deepEqual(await found({ workers: [first, restarting] }), [true, { workers: some }])
})

test('a database that refuses or hangs is a failure, and its own words are not passed on', async () => {
  const refusing = database(() => Promise.reject(new Error('password of 10.0.0.7 is hunter2')))
  const [ready, { database: check }] = await found({ store: refusing })
  assert.equal(ready, false)
  assert.equal(check?.reason, 'the database of the control plane does not answer')
  const [, { database: hung }] = await found({
    store: database(() => new Promise(() => undefined)),
  })
  assert.deepEqual(hung, {
    state: 'failed',
    reason: 'the database of the control plane has not answered in 2000 ms',
  })
})

test('recordings that are not shipped are told, and callers are served on', async () => {
  const shipping = { ...well.shipping, problem: 'EACCES /secret/path', pendingBytes: 77 }
  const told = { state: 'degraded', reason: 'recordings are not shipped, 77 bytes wait' }
  assert.deepEqual(await found({ shipping }), [true, { shipping: told }])
})

test('a journal that refuses commands, or is about to, is a failure', async () => {
  const disk = async (over: Partial<ReadinessSources>): Promise<string> => {
    const [ready, checks] = await found(over)
    assert.equal(ready, false)
    return checks['disk']?.reason ?? ''
  }
  assert.match(await disk({ failingJournals: [1] }), /journal of worker 1 cannot be written/)
  assert.match(await disk({ journals: undefined }), /cannot be read/)
  const space = { freeBytes: 1000, usedBytes: 10, largestBytes: 10 }
  assert.match(await disk({ journals: { ...space, freeBytes: 109 } }), /109 bytes are free/)
  assert.match(await disk({ journals: { ...space, largestBytes: 910 } }), /maximum: 910 bytes/)
  const nearly = { ...space, freeBytes: 111, largestBytes: 909 }
  assert.deepEqual(await found({ journals: nearly }), [true, {}])
})
