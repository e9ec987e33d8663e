import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import fc from 'fast-check'
import { storeKeys } from '@sallyport/core'
import { openPgliteStore } from '../../adapters/pglite-store.ts'
import type { Store } from '../../ports/store.ts'
import { JournalWriter, ShippingRig } from './shipping.fixture.ts'

suite('shipping', () => {
  let store: Store
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-shipping-store-'))
    store = await openPgliteStore(dir)
  })
  after(async () => {
    await store.close()
    await rm(dir, { recursive: true, force: true })
  })

  const journals = async (rig: ShippingRig): Promise<string[]> =>
    (await readdir(rig.journalDir)).filter((name) => name.includes('.journal')).toSorted()
  const keys = async (rig: ShippingRig): Promise<string[]> => {
    const found: string[] = []
    for await (const key of rig.recordings.list('')) found.push(key)
    return found
  }

  test('a session that ended is sealed, its journal goes, and it reads as before', async () => {
    await using rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    await writer.open('s_one')
    await writer.note('s_one', 'first')
    await writer.rotate()
    await writer.note('s_one', 'second')
    await writer.close('s_one')
    await writer.rotate()
    const expected = writer.written()
    assert.deepEqual(await rig.read(), expected)
    await rig.round()
    assert.deepEqual(await journals(rig), [writer.file])
    assert.deepEqual(rig.faults, [])
    assert.deepEqual(await rig.read(), expected)
    const [anchor, key, segment, seal, signing] = await keys(rig)
    assert.deepEqual(
      [anchor, key, segment, seal],
      [
        'anchors/0000000000.jws',
        'keys/s_one.key',
        'sessions/s_one/0-1-1/00000000.segment',
        'sessions/s_one/seal.jws',
      ],
    )
    assert.match(signing ?? '', /^signing-keys\/[\w-]+\.pem$/)
    const [, payload] = (await readFile(join(rig.recordings.where, seal ?? ''), 'utf8')).split('.')
    const said: unknown = JSON.parse(Buffer.from(payload ?? '', 'base64url').toString())
    assert.equal(Object(said).session, 's_one')
    assert.deepEqual([Object(said).parts[0].entries, Object(said).parts[0].segments], [4, 1])
  })

  test('nothing of a session stands in clear in the store', async () => {
    await using rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    await writer.open('s_one')
    await writer.note('s_one', 'marker-4711')
    await writer.close('s_one')
    await rig.round()
    for (const key of await keys(rig)) {
      const bytes = await rig.recordings.get(key)
      assert.ok(bytes !== undefined && !bytes.includes('marker-4711'), key)
      assert.ok(!bytes.includes(Buffer.alloc(32, 's_one')), `${key} holds the session's key`)
    }
  })

  test('of an open session, the files of its first and its newest entry stay', async () => {
    await using rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    await writer.open('s_one')
    const first = writer.file
    for (const text of ['a', 'b', 'c']) {
      await writer.rotate()
      await writer.note('s_one', text)
    }
    const newest = writer.file
    await writer.rotate()
    await writer.open('s_two')
    await rig.round()
    assert.deepEqual(await journals(rig), [first, newest, writer.file])
    assert.deepEqual(await rig.read(), writer.written())
    await writer.close('s_one')
    await rig.round()
    assert.deepEqual(await journals(rig), [writer.file])
    assert.deepEqual(await rig.read(), writer.written())
  })

  test('a minute after they were written, entries of an open session are in the store', async () => {
    await using rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    await writer.open('s_one')
    await rig.round()
    assert.deepEqual(await keys(rig), [])
    rig.nowMs += 61_000
    await rig.round()
    assert.ok((await keys(rig)).includes('sessions/s_one/0-1-1/00000000.segment'))
  })

  test('the files of a run that died stay until a recovery has seen to them', async () => {
    await using rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    await writer.open('s_one')
    const dead = writer.file
    await writer.newRun()
    await rig.round()
    assert.deepEqual(await journals(rig), [dead, writer.file])
    await writer.recovered([dead])
    await rig.round()
    assert.deepEqual(await journals(rig), [dead, writer.file], 'its session has no end')
  })

  test('while the store is away nothing is removed, it is told once, and goes on by itself', async () => {
    for (const prefix of ['keys/', 'sessions/s_one/0', 'signing-keys/', 'sessions/s_one/seal']) {
      await using rig = await ShippingRig.make(store)
      const writer = new JournalWriter(rig.journalDir)
      await writer.newRun()
      await writer.open('s_one')
      await writer.close('s_one')
      await writer.rotate()
      rig.failingPuts = prefix
      for (let round = 0; round < 3; round += 1) {
        const shipper = await rig.round()
        assert.equal(shipper.status().problem, 'the store is away')
      }
      assert.equal((await journals(rig)).length, 2)
      assert.deepEqual(await rig.read(), writer.written())
      assert.equal(rig.faults.length, 1)
      rig.failingPuts = undefined
      const shipper = await rig.round()
      assert.equal(shipper.status().problem, undefined)
      assert.deepEqual(await journals(rig), [writer.file])
      assert.deepEqual(await rig.read(), writer.written())
    }
  })

  test('a database that is away for a while costs nothing', async () => {
    await using rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    await writer.open('s_one')
    await writer.close('s_one')
    await writer.rotate()
    rig.failsToSave = true
    await rig.round()
    assert.equal((await journals(rig)).length, 2)
    rig.failsToSave = false
    rig.restart()
    await rig.round()
    assert.deepEqual(await journals(rig), [writer.file])
    assert.deepEqual(await rig.read(), writer.written())
  })

  test('an index that has no room is given one window at a time, and every entry once', async () => {
    await using rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    await writer.open('s_one')
    // Three windows of 256 KiB.
    for (let each = 0; each < 7; each += 1) await writer.note('s_one', 'x'.repeat(100_000))
    await writer.close('s_one')
    await writer.rotate()
    const flushed: number[] = []
    const taken: number[] = []
    let hasRoom = true
    rig.index = {
      get hasRoom() {
        return hasRoom
      },
      open: async () => await Promise.resolve(),
      take: (record) => {
        taken.push(record.position)
        hasRoom = false
      },
      flush: async () => {
        flushed.push(taken.length)
        // Journals go only behind it.
        assert.ok((await journals(rig)).includes('00000-00000001.journal'))
        hasRoom = true
      },
    }
    await rig.round()
    assert.deepEqual(taken, [0, 1, 2, 3, 4, 5, 6, 7, 8])
    assert.ok(flushed.length >= 4 && (flushed[0] ?? 9) < 9, String(flushed))
    assert.deepEqual(await journals(rig), [writer.file])
  })

  test('an index that fails keeps the journal, is told, and is tried again', async () => {
    await using rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    await writer.open('s_one')
    await writer.close('s_one')
    await writer.rotate()
    let isAway = true
    rig.index = {
      hasRoom: true,
      open: async () => await Promise.resolve(),
      take: () => undefined,
      flush: async () => {
        await Promise.resolve()
        if (isAway) throw new Error('the index is away')
      },
    }
    const shipper = await rig.round()
    assert.equal(shipper.status().problem, 'the index is away')
    await assert.rejects(shipper.settle(['s_one']), /the index is away/)
    assert.equal((await journals(rig)).length, 2)
    isAway = false
    await rig.round()
    assert.equal(shipper.status().problem, undefined)
    assert.deepEqual(await journals(rig), [writer.file])
  })

  test('a damaged journal and a foreign key keep no other session from being shipped', async () => {
    await using rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir, 0)
    await writer.newRun()
    await writer.open('s_bad')
    await writer.note('s_bad', 'lost')
    const damaged = join(rig.journalDir, writer.file)
    const bytes = await readFile(damaged)
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 40) ^ 1, bytes.length - 40)
    await writeFile(damaged, bytes)
    await writer.rotate()
    await writer.close('s_bad')
    await writer.rotate()
    const other = new JournalWriter(rig.journalDir, 1)
    await other.newRun()
    await other.open('s_good')
    await other.close('s_good')
    await rig.round()
    assert.deepEqual((await rig.read()).get('s_good'), other.written().get('s_good'))
    assert.ok((await keys(rig)).includes(storeKeys.seal('s_good')))
    assert.deepEqual(rig.faults.toSorted(), [
      '00000-00000001.journal: the checksum of an entry is wrong; it is kept',
      'the recording of s_bad: entries 1 to 1 are missing',
    ])
    assert.ok((await journals(rig)).includes('00000-00000001.journal'))
    const read = (await rig.read()).get('s_bad') ?? []
    assert.ok(read.some((line) => line.startsWith('!!')))
  })

  test('sessions that the store does not take keep no others back, and go on when it does', async () => {
    await using rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    const bad = Array.from({ length: 20 }, (_, index) => `s_bad${index}`)
    for (const session of bad) {
      await writer.open(session)
      await writer.close(session)
    }
    await writer.rotate()
    rig.failingPuts = 'sessions/s_bad'
    await rig.round()
    for (let index = 0; index < 30; index += 1) {
      await writer.open(`s_good${index}`)
      await writer.close(`s_good${index}`)
      await writer.rotate()
    }
    // Which of them are known to fail is learned in the first rounds.
    for (let round = 0; round < 3; round += 1) {
      const shipper = await rig.round()
      assert.equal(shipper.status().problem, 'the store is away')
    }
    for (let index = 0; index < 30; index += 1)
      assert.ok((await keys(rig)).includes(storeKeys.seal(`s_good${index}`)), `s_good${index}`)
    assert.deepEqual((await journals(rig)).length, 2, 'only what did not get there stays')
    rig.failingPuts = undefined
    await rig.round()
    assert.deepEqual(await journals(rig), [writer.file])
    assert.deepEqual((await rig.verify()).findings, [])
  })

  test('a segment that is changed, missing, swapped or of another session is told', async () => {
    await using rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    for (const session of ['s_one', 's_two']) {
      await writer.open(session)
      rig.nowMs += 61_000
      await rig.round()
      await writer.note(session, 'more')
      await writer.close(session)
      await writer.rotate()
      await rig.round()
    }
    const expected = writer.written()
    assert.deepEqual(await rig.read(), expected)
    const path = (session: string, index: number): string =>
      join(
        rig.recordings.where,
        storeKeys.segment(session, `0-1-${session === 's_one' ? 1 : 2}`, index),
      )
    const [zero, one, two] = [path('s_one', 0), path('s_one', 1), path('s_two', 0)]
    const [zeroBytes, oneBytes, twoBytes] = await Promise.all(
      [zero, one, two].map(async (file) => await readFile(file)),
    )
    assert.ok(zeroBytes && oneBytes && twoBytes)
    const expectProblem = async (reason: RegExp): Promise<void> => {
      const lines = (await rig.read()).get('s_one') ?? []
      assert.match(lines.find((line) => line.startsWith('!!')) ?? 'no problem', reason)
      await writeFile(zero, zeroBytes)
      await writeFile(one, oneBytes)
      assert.deepEqual(await rig.read(), expected)
    }
    const flipped = Buffer.from(zeroBytes)
    flipped.writeUInt8(flipped.readUInt8(flipped.length - 1) ^ 1, flipped.length - 1)
    await writeFile(zero, flipped)
    await expectProblem(/the seal of the segment is broken/)
    await rm(zero)
    await expectProblem(/the segment is missing/)
    await writeFile(zero, oneBytes)
    await writeFile(one, zeroBytes)
    await expectProblem(/the segment is number 1, not 0/)
    await writeFile(zero, twoBytes)
    await expectProblem(/the segment belongs to another session/)
  })

  test('whatever happens in whatever order, every entry reads once and in order', async () => {
    const step = fc.constantFrom(
      ...(['open', 'note', 'note', 'note', 'close', 'rotate', 'round', 'round'] as const),
      ...(['restart', 'a minute', 'store away', 'save away', 'back'] as const),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(step, fc.nat(9)), { maxLength: 40 }), async (steps) => {
        await using rig = await ShippingRig.make(store)
        const writer = new JournalWriter(rig.journalDir)
        await writer.newRun()
        const open: string[] = []
        let count = 0
        for (const [what, which] of steps) {
          const session = open[which % Math.max(open.length, 1)]
          if (what === 'open') {
            count += 1
            open.push(`s_${count}`)
            await writer.open(`s_${count}`)
          } else if (what === 'note' && session !== undefined)
            await writer.note(session, `n${which}`)
          else if (what === 'close' && session !== undefined) {
            await writer.close(session)
            open.splice(open.indexOf(session), 1)
          } else if (what === 'rotate') await writer.rotate()
          else if (what === 'round') await rig.round()
          else if (what === 'restart') rig.restart()
          else if (what === 'a minute') rig.nowMs += 61_000
          else if (what === 'store away') rig.failingPuts = which < 5 ? 'sessions/' : ''
          else if (what === 'save away') rig.failsToSave = true
          else if (what === 'back') {
            rig.failingPuts = undefined
            rig.failsToSave = false
          }
          if (what === 'round') assert.deepEqual(await rig.read(), writer.written())
        }
        rig.failingPuts = undefined
        rig.failsToSave = false
        for (const session of open) await writer.close(session)
        await writer.rotate()
        await rig.round()
        assert.deepEqual(await rig.read(), writer.written())
        assert.deepEqual(await journals(rig), [writer.file], 'all that was shipped is gone')
        const { findings, notes, sessions } = await rig.verify()
        assert.deepEqual([findings, sessions], [[], count])
        assert.deepEqual(
          notes,
          count === 0 ? ['There is no anchor: whole sessions may be missing.'] : [],
        )
      }),
      { numRuns: Number(process.env['SALLYPORT_TEST_RUNS'] ?? 60) },
    )
  })
})
