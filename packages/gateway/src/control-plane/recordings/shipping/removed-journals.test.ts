import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import fc from 'fast-check'
import { openPgliteStore } from '../../adapters/pglite-store.ts'
import type { Store } from '../../ports/store.ts'
import { JournalWriter, ShippingRig } from './shipping.fixture.ts'

/** Numbers of files begin anew where somebody removes the journals; those of runs did, too, before they were drawn. */
suite('where somebody removed the journals', () => {
  let store: Store
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-removed-'))
    store = await openPgliteStore(dir)
  })
  after(async () => {
    await store.close()
    await rm(dir, { recursive: true, force: true })
  })

  const removeJournals = async (rig: ShippingRig): Promise<void> => {
    await rm(rig.journalDir, { recursive: true })
    await mkdir(rig.journalDir)
  }
  const write = async (
    rig: ShippingRig,
    session: string,
    of: { readonly notes: number; readonly isClosed: boolean; readonly run?: number },
  ): Promise<JournalWriter> => {
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun(of.run)
    await writer.open(session)
    for (let n = 0; n < of.notes; n += 1) await writer.note(session, `${session} ${n}`)
    if (of.isClosed) await writer.close(session)
    return writer
  }
  const ship = async (rig: ShippingRig): Promise<void> => {
    rig.nowMs += 61_000
    await rig.round()
  }

  test('a session whose part has the name of an older one is recorded whole, and so is the older one', async () => {
    const lengths = fc.nat({ max: 6 })
    await fc.assert(
      fc.asyncProperty(lengths, fc.boolean(), lengths, async (oldNotes, isClosed, newNotes) => {
        await using rig = await ShippingRig.make(store)
        const old = await write(rig, 's_old', { notes: oldNotes, isClosed })
        // Shipped, and anchored a minute later.
        await ship(rig)
        await ship(rig)
        await removeJournals(rig)
        rig.restart()
        const writer = await write(rig, 's_new', { notes: newNotes, isClosed: false })
        await ship(rig)
        rig.restart()
        await writer.note('s_new', 'after a restart')
        await writer.close('s_new')
        const expected = new Map([...old.written(), ...writer.written()])
        assert.deepEqual(await rig.read(), expected, 'before it is shipped')
        await ship(rig)
        await writer.rotate()
        rig.restart()
        await ship(rig)
        assert.deepEqual(await rig.read(), expected, 'from the store')
        assert.deepEqual(await readdir(rig.journalDir), [writer.file], 'and its journal went')
        const parts = await store.db.selectFrom('recording_part').select('part').execute()
        assert.deepEqual(new Set(parts.map(({ part }) => part)), new Set(['0-1-1']))
        const { findings, sessions } = await rig.verify()
        assert.deepEqual([findings, sessions], [[], 2])
        assert.deepEqual(rig.faults, [])
      }),
      { numRuns: 20 },
    )
  })

  test('while shipping goes on, a file of a name that was read before is read from its beginning', async () => {
    await using rig = await ShippingRig.make(store)
    const old = await write(rig, 's_old', { notes: 5, isClosed: true, run: 77 })
    await ship(rig)
    for (const [at, session] of ['s_one', 's_two', 's_three'].entries()) {
      await removeJournals(rig)
      const writer = await write(rig, session, { notes: at, isClosed: false, run: 78 + at })
      await ship(rig)
      await writer.note(session, 'later')
      await ship(rig)
      assert.deepEqual((await rig.read()).get(session), writer.written().get(session), session)
    }
    assert.deepEqual((await rig.read()).get('s_old'), old.written().get('s_old'))
    const shipper = await rig.round()
    assert.deepEqual([...shipper.inJournals()], ['0-80-1'], 'nothing that is gone is waited for')
    assert.deepEqual(rig.faults, [])
  })

  test('a session that goes on in a file whose first one was shipped and removed is not taken for another', async () => {
    await using rig = await ShippingRig.make(store)
    const old = await write(rig, 's_old', { notes: 9, isClosed: true })
    await ship(rig)
    await removeJournals(rig)
    rig.restart()
    const writer = await write(rig, 's_new', { notes: 2, isClosed: false })
    await writer.rotate()
    await writer.note('s_new', 'in the second file')
    await writer.close('s_new')
    await writer.rotate()
    await ship(rig)
    const expected = new Map([...old.written(), ...writer.written()])
    assert.deepEqual(await rig.read(), expected)
    const { findings } = await rig.verify()
    assert.deepEqual(findings, [])
  })
})
