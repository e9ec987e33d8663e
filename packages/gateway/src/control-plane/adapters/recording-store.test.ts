import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { SallyportError } from '@sallyport/core'
import { bucketSkipReason } from '@sallyport/testkit'
import fc from 'fast-check'
import type { RecordingStore } from '../ports/recording-store.ts'
import { DirectoryRecordingStore } from './directory-recording-store.ts'
import { TestBuckets } from './test-buckets.fixture.ts'

suite('recordings in a folder', () => {
  let dir = ''
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-folder-'))
  })
  after(async () => await rm(dir, { recursive: true, force: true }))
  contract(async () => {
    const made = await mkdtemp(join(dir, 'store-'))
    return await Promise.resolve(new DirectoryRecordingStore(made))
  })
})

suite('recordings in a bucket', { skip: bucketSkipReason() }, () => {
  let buckets: TestBuckets
  before(async () => {
    buckets = await TestBuckets.start()
  })
  after(async () => await buckets[Symbol.asyncDispose]())
  contract(async () => await buckets.store())
})

/** What every recording store does. */
function contract(make: () => Promise<RecordingStore>): void {
  const keysOf = async (store: RecordingStore, prefix = ''): Promise<string[]> => {
    const keys: string[] = []
    for await (const key of store.list(prefix)) keys.push(key)
    return keys
  }

  test('what was put is read, listed in order, and gone when it is removed', async () => {
    const store = await make()
    const keys = ['keys/s_1.key', 'sessions/s_1/0-1-1/00000000.segment', 'sessions/s_1/seal.jws']
    for (const key of keys) await store.put(key, Buffer.from(`of ${key}`))
    assert.deepEqual(await keysOf(store), keys)
    assert.deepEqual(await keysOf(store, 'sessions/s_1/0'), [keys[1]])
    for (const key of keys) assert.equal((await store.get(key))?.toString(), `of ${key}`)
    await store.remove('keys/s_1.key')
    assert.equal(await store.get('keys/s_1.key'), undefined)
    assert.deepEqual(await keysOf(store), keys.slice(1))
    store.close()
  })

  test('what is not there is undefined, lists nothing, and can be removed', async () => {
    const store = await make()
    assert.equal(await store.get('anchors/0000000000.jws'), undefined)
    assert.deepEqual(await keysOf(store, 'sessions/'), [])
    await store.remove('keys/s_1.key')
    store.close()
  })

  test('an object may be put again, and is then the newer one', async () => {
    const store = await make()
    await store.put('anchors/1.jws', Buffer.from('one'))
    await store.put('anchors/1.jws', Buffer.from('one'))
    assert.equal((await store.get('anchors/1.jws'))?.toString(), 'one')
    await store.put('anchors/1.jws', Buffer.from('two'))
    assert.equal((await store.get('anchors/1.jws'))?.toString(), 'two')
    assert.deepEqual(await keysOf(store), ['anchors/1.jws'])
    await store.remove('anchors/1.jws')
    assert.equal(await store.get('anchors/1.jws'), undefined)
    store.close()
  })

  test('bytes come back as they were, of no length and of a whole segment', async () => {
    const store = await make()
    for (const size of [0, 1, 8 * 1024 * 1024 + 17]) {
      const bytes = randomBytes(size)
      await store.put(`sessions/s_1/0-1-1/${size}.segment`, bytes)
      const read = await store.get(`sessions/s_1/0-1-1/${size}.segment`)
      assert.ok(read?.equals(bytes) === true, `${size} bytes`)
    }
    store.close()
  })

  test('a key that leads elsewhere is refused', async () => {
    const store = await make()
    for (const key of ['../out', 'a/../b', '/etc/x', 'a//b', '', 'a/', 'a b', 'x.draft', './a']) {
      const isRefused = (error: unknown): boolean =>
        error instanceof SallyportError && error.code === 'SP_INTERNAL'
      await assert.rejects(async () => await store.put(key, Buffer.alloc(1)), isRefused, key)
      await assert.rejects(async () => await store.get(key), isRefused, key)
      await assert.rejects(async () => await store.remove(key), isRefused, key)
    }
    assert.deepEqual(await keysOf(store), [])
    store.close()
  })

  test('any set of keys is listed in the order of the keys, by any prefix', async () => {
    const name = fc.stringMatching(/^[a-c][a-c0._-]{0,3}$/)
    const key = fc.array(name, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'))
    await fc.assert(
      fc.asyncProperty(fc.uniqueArray(key, { maxLength: 6 }), async (all) => {
        // A folder can't have a file of the same name.
        const keys = all.filter((one) => !all.some((other) => other.startsWith(`${one}/`)))
        const store = await make()
        for (const one of keys) await store.put(one, Buffer.from(one))
        const inOrder = keys.toSorted((a, b) => (a < b ? -1 : 1))
        assert.deepEqual(await keysOf(store), inOrder)
        for (const prefix of ['a', 'a/', inOrder[0] ?? 'b'])
          assert.deepEqual(
            await keysOf(store, prefix),
            inOrder.filter((one) => one.startsWith(prefix)),
          )
        store.close()
      }),
      { numRuns: 25 },
    )
  })

  test('two writers of the same objects, many at once, are no trouble', async () => {
    const store = await make()
    const keys = Array.from({ length: 40 }, (_, at) => `anchors/${String(at).padStart(4, '0')}.jws`)
    await Promise.all([...keys, ...keys].map(async (key) => await store.put(key, Buffer.from(key))))
    assert.deepEqual(await keysOf(store, 'anchors/'), keys)
    store.close()
  })
}
