import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { storeKeys, verifyRecordings, type Verification } from '@sallyport/core'
import { openPgliteStore } from '../adapters/pglite-store.ts'
import type { Store } from '../ports/store.ts'
import { sessionKeyOf } from './recordings.ts'
import { JournalWriter, recordingKey, ShippingRig } from './shipping/shipping.fixture.ts'

/** Objects by their keys: what a store holds, to be changed at will. */
type Objects = Map<string, Buffer>

suite('verification', () => {
  let store: Store
  let dir: string
  let whole: Objects
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-verify-'))
    store = await openPgliteStore(dir)
    whole = await recorded()
  })
  after(async () => {
    await store.close()
    await rm(dir, { recursive: true, force: true })
  })

  /** Two sessions that ended, one of two segments, and one that is open. */
  async function recorded(): Promise<Objects> {
    await using rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    for (const session of ['s_one', 's_two', 's_open']) {
      await writer.open(session)
      await writer.note(session, 'first')
      await writer.note(session, 'second')
    }
    rig.nowMs += 61_000
    await rig.round()
    await writer.note('s_one', 'third')
    for (const session of ['s_one', 's_two']) {
      await writer.close(session)
      await rig.round()
    }
    await writer.note('s_open', 'third')
    rig.nowMs += 61_000
    await rig.round()
    assert.deepEqual(rig.faults, [])
    const objects: Objects = new Map()
    for await (const key of rig.recordings.list('')) {
      const bytes = await rig.recordings.get(key)
      if (bytes !== undefined) objects.set(key, bytes)
    }
    return objects
  }

  const verify = async (
    objects: Objects,
    options: { key?: Buffer; only?: ReadonlySet<string> } = {},
  ): Promise<Verification> => {
    const source = {
      get: async (key: string) => await Promise.resolve(objects.get(key)),
      async *list(prefix: string) {
        for (const key of [...objects.keys()].toSorted()) if (key.startsWith(prefix)) yield key
      },
    }
    const recordings = {
      ...source,
      where: '',
      put: async () => {},
      remove: async () => {},
      close: () => {},
    }
    return await verifyRecordings({
      source,
      keyOf: async (session) =>
        await sessionKeyOf(recordings, options.key ?? recordingKey, session),
      ...(options.only === undefined ? {} : { only: options.only }),
    })
  }
  const changed = (change: (objects: Objects) => void): Objects => {
    const objects = new Map(whole)
    change(objects)
    return objects
  }
  const said = ({ findings }: Verification): string[] =>
    findings.map(({ where, what }) => `${where}: ${what}`)
  const first = storeKeys.segment('s_one', '0-1-1', 0)
  const second = storeKeys.segment('s_one', '0-1-1', 1)
  const anchors = (objects: Objects): string[] =>
    [...objects.keys()].filter((key) => key.startsWith(storeKeys.anchors)).toSorted()

  test('what the shipper wrote is whole', async () => {
    const { findings, notes, sessions, entries, segments, anchors, signedBy, unopened } =
      await verify(whole)
    assert.deepEqual(findings, [])
    assert.deepEqual(notes, [])
    assert.deepEqual([sessions, entries, segments, unopened], [3, 5 + 4 + 4, 6, 0])
    assert.deepEqual(anchors, { from: 0, to: 2, count: 3 })
    assert.equal(signedBy.length, 1)
  })

  test('every single byte that is changed anywhere is found', async () => {
    let tried = 0
    for (const [key, bytes] of whole) {
      for (let at = 0; at < bytes.length; at += 1) {
        const flipped = Buffer.from(bytes)
        flipped.writeUInt8(flipped.readUInt8(at) ^ (1 << (at % 8)), at)
        const result = await verify(changed((objects) => objects.set(key, flipped)))
        const isFound = result.findings.length > 0 || result.unopened > 0
        assert.ok(isFound, `byte ${at} of ${key}`)
        tried += 1
      }
    }
    assert.ok(tried > 4000, `${tried} changes were tried`)
  })

  test('an object that is cut or removed is found, whichever it is', async () => {
    for (const [key, bytes] of whole) {
      const cut = await verify(changed((objects) => objects.set(key, bytes.subarray(0, -2))))
      assert.ok(cut.findings.length + cut.unopened > 0, `${key} cut`)
      const gone = await verify(changed((objects) => objects.delete(key)))
      // Whether an anchor was taken from the end, only one who has seen it can tell.
      if (key === anchors(whole).at(-1)) continue
      assert.ok(gone.findings.length + gone.unopened > 0, `${key} removed`)
    }
  })

  test('the message says what was done, and where', async () => {
    const swap = changed((objects) => {
      objects.set(first, whole.get(second) ?? Buffer.alloc(0))
      objects.set(second, whole.get(first) ?? Buffer.alloc(0))
    })
    assert.match(
      said(await verify(swap))[0] ?? '',
      /00000000\.segment: the segment is number 1, not 0/,
    )
    const tail = changed((objects) => objects.delete(second))
    assert.deepEqual(said(await verify(tail)), [
      'sessions/s_one/seal.jws: the seal says entries 5; here it is 3',
      'sessions/s_one/0-1-1: it ends after 3 entries; 5 were there',
    ])
    const session = changed((objects) => {
      for (const key of objects.keys()) if (key.includes('s_two')) objects.delete(key)
    })
    assert.match(said(await verify(session))[0] ?? '', /it names s_two, whose recording is missing/)
    const [zero = '', one = ''] = anchors(whole)
    const anchor = changed((objects) => objects.delete(one))
    assert.ok(
      said(await verify(anchor)).includes(`${anchors(whole)[2]}: the anchors 1 to 1 are missing`),
    )
    const head = changed((objects) => objects.delete(zero))
    assert.ok(said(await verify(head)).includes(`${one}: the anchors 0 to 0 are missing`))
  })

  test('a session that another node made up is found', async () => {
    await using rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    await writer.open('s_forged')
    await writer.close('s_forged')
    await rig.round()
    const forged = new Map(whole)
    for await (const key of rig.recordings.list('')) {
      if (!key.startsWith(storeKeys.anchors))
        forged.set(key, (await rig.recordings.get(key)) ?? Buffer.alloc(0))
    }
    const result = await verify(forged)
    const [seal = '', recording] = said(result)
    assert.match(seal, /^sessions\/s_forged\/seal.jws: .* signed it, and nothing leads there from/)
    assert.equal(recording, 'sessions/s_forged/0-1-1: no anchor names this recording')
    assert.equal(result.signedBy.length, 2, 'the reader sees that another key has signed')
  })

  test('without the recording key, what stands in clear is still checked', async () => {
    const other = Buffer.alloc(32, 9)
    const result = await verify(whole, { key: other })
    assert.deepEqual(result.findings, [])
    assert.equal(result.unopened, 3)
    const tail = changed((objects) => objects.delete(second))
    assert.ok(said(await verify(tail, { key: other })).length > 0)
  })

  test('of an export, what is not part of it is not missed', async () => {
    const one = changed((objects) => {
      for (const key of objects.keys()) if (/s_two|s_open/.test(key)) objects.delete(key)
    })
    assert.ok((await verify(one)).findings.length > 0)
    const result = await verify(one, { only: new Set(['s_one']) })
    assert.deepEqual(result.findings, [])
    assert.deepEqual(result.notes, ['The anchors name 2 other sessions, not part of this.'])
    const lacking = await verify(one, { only: new Set(['s_one', 's_two']) })
    assert.ok(said(lacking).some((line) => line.includes('s_two')))
  })
})
