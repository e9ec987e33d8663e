import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { openPgliteStore } from '../../adapters/pglite-store.ts'
import type { Store } from '../../ports/store.ts'
import { JournalWriter, ShippingRig } from './shipping.fixture.ts'

suite('a control plane that dies while it ships', () => {
  let store: Store
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-crash-'))
    store = await openPgliteStore(dir)
  })
  after(async () => {
    await store.close()
    await rm(dir, { recursive: true, force: true })
  })

  /** Workers record while the control plane ships. */
  async function* work(rig: ShippingRig): AsyncGenerator<readonly JournalWriter[]> {
    const writers = [new JournalWriter(rig.journalDir, 0), new JournalWriter(rig.journalDir, 1)]
    for (const [index, writer] of writers.entries()) {
      await writer.newRun()
      for (const name of ['one', 'two']) await writer.open(`s_${name}${index}`)
    }
    yield writers
    rig.nowMs += 61_000
    yield writers
    for (const [index, writer] of writers.entries()) {
      await writer.note(`s_one${index}`, 'more')
      await writer.close(`s_two${index}`)
      await writer.rotate()
    }
    rig.nowMs += 61_000
    yield writers
    for (const [index, writer] of writers.entries()) {
      await writer.close(`s_one${index}`)
      await writer.rotate()
    }
    yield writers
  }

  test('a database that is an older copy, or empty, loses nothing that is in the store', async () => {
    for (const isEmpty of [false, true]) {
      await using rig = await ShippingRig.make(store)
      const writer = new JournalWriter(rig.journalDir)
      await writer.newRun()
      await writer.open('s_one')
      await writer.open('s_gone')
      const ship = async (): Promise<void> => {
        await writer.rotate()
        rig.nowMs += 61_000
        await rig.round()
      }
      await ship()
      const rows = await store.db.selectFrom('recording_part').selectAll().execute()
      const anchor = rig.lastAnchor
      for (const text of ['a', 'b', 'c']) {
        await writer.note('s_one', text)
        await ship()
      }
      await writer.close('s_gone')
      await ship()
      const before = await rig.verify()
      assert.deepEqual(before.findings, [])
      await store.db.deleteFrom('recording_part').execute()
      rig.lastAnchor = isEmpty ? undefined : anchor
      if (!isEmpty)
        await store.db
          .insertInto('recording_part')
          .values(
            rows.map((row) => ({
              ...row,
              bytes: Number(row.bytes),
              reference: Number(row.reference),
              problems: '[]',
            })),
          )
          .execute()
      rig.restart()
      await writer.note('s_one', 'd')
      await ship()
      await writer.close('s_one')
      await ship()
      const { findings, notes, anchors } = await rig.verify()
      assert.deepEqual([findings, notes], [[], []])
      assert.ok(anchors.to > before.anchors.to)
      const read = await rig.read()
      assert.deepEqual(sorted(read), sorted(writer.written()))
    }
  })

  test('before or after any of its writes: nothing is lost, doubled or reordered, and all of it verifies', async () => {
    let tried = 0
    for (let dies = 0, isReached = true; isReached; dies += 1) {
      await using rig = await ShippingRig.make(store)
      let left = dies
      isReached = false
      rig.onWrite = () => {
        if (left <= 0) {
          isReached = true
          throw new Error('it was killed')
        }
        left -= 1
      }
      let expected = new Map<string, string[]>()
      for await (const writers of work(rig)) {
        expected = new Map(writers.flatMap((writer) => [...writer.written()]))
        await rig.round()
        assert.deepEqual(sorted(await rig.read()), sorted(expected), `killed at write ${dies}`)
        if (!isReached) continue
        rig.onWrite = undefined
        rig.restart()
        await rig.round()
        assert.deepEqual(sorted(await rig.read()), sorted(expected), `started after ${dies}`)
      }
      const { findings, notes, sessions } = await rig.verify()
      assert.deepEqual([findings, notes, sessions], [[], [], 4], `killed at write ${dies}`)
      tried += 1
    }
    assert.ok(tried > 50, `${tried} moments were tried`)
  })
})

function sorted(entries: ReadonlyMap<string, string[]>): [string, string[]][] {
  return [...entries].toSorted(([a], [b]) => (a < b ? -1 : 1))
}
