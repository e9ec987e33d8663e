import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { after, before, test } from 'node:test'
import { ChainVerifier, encodeFileHeader, JournalScanner, unwrapSessionKey } from '@sallyport/core'
import fc from 'fast-check'
import { fields, opened } from './journal.fixture.ts'
import { Journal } from './journal.ts'
import { recoverJournals } from './recover-journals.ts'

const recordingKey = Buffer.alloc(32, 9)
const commands = 60
/** Sizes in which disks and file systems lose data. */
const blocks = [512, 4096] as const

let whole: Buffer
/** Length of the file when the command of that number was acknowledged as on disk. */
const synced: number[] = []
/** What the file holds, entry by entry. */
let written: readonly string[]
let folder: string

before(async () => {
  folder = await fs.mkdtemp(path.join(os.tmpdir(), 'sallyport-power-'))
  const journal = await Journal.open(
    {
      dir: folder,
      durability: 'disk',
      minFreeBytes: 0,
      maxBytes: 1e12,
      recordingKey: recordingKey.toString('base64'),
    },
    1,
    { now: Date.now, onFault: () => undefined },
  )
  const [name = ''] = journal.stats().files
  const file = path.join(folder, name)
  const session = journal.openSession(opened)
  for (let at = 0; at < commands; at += 1) {
    const text = Buffer.alloc(100 + ((at * 377) % 3000), `select ${at} `)
    const command = { ...fields(`c_${at}`), text }
    await session.command(command, 'read')
    synced.push((await fs.stat(file)).size)
  }
  await journal.close()
  whole = await fs.readFile(file)
  written = entriesOf(whole).entries
})

after(() => fs.rm(folder, { recursive: true, force: true }))

/** The entries up to the first bad place, each of them checked by the chain. */
function entriesOf(bytes: Buffer): { entries: string[]; isWhole: boolean } {
  const scanner = new JournalScanner()
  scanner.push(bytes)
  const entries: string[] = []
  let chain: ChainVerifier | undefined
  for (;;) {
    const found = scanner.next()
    if (found.kind === 'more') return { entries, isWhole: scanner.clean }
    if (found.kind === 'bad') return { entries, isWhole: false }
    if (found.kind === 'header') continue
    if (found.entry.kind === 'session.opened') {
      const key = unwrapSessionKey(recordingKey, found.entry.wrappedKey, found.entry.session)
      assert.ok(key)
      chain = new ChainVerifier(key)
    }
    assert.ok(chain?.accept(found), 'an entry was accepted that the chain does not hold')
    const { entry } = found
    const id = entry.kind === 'command' ? ` ${entry.id} ${entry.text.length}` : ''
    const reason = entry.kind === 'session.closed' ? ` ${entry.reason}` : ''
    entries.push(`${found.position} ${entry.kind}${id}${reason}`)
  }
}

type Loss = (tail: Buffer) => Buffer

const cut = fc.double({ min: 0, max: 1, noNaN: true })
/** Everything a disk may do to what was never synced: any length of it there, any block of it zero, old or garbled. */
const loss: fc.Arbitrary<Loss> = fc.oneof(
  cut.map((part) => (tail: Buffer) => tail.subarray(0, Math.floor(tail.length * part))),
  fc
    .record({ part: cut, block: fc.constantFrom(...blocks), count: fc.integer({ min: 1, max: 3 }) })
    .map(({ part, block, count }) => (tail: Buffer) => {
      const start = Math.floor((tail.length * part) / block) * block
      return Buffer.from(tail).fill(0, start, Math.min(tail.length, start + block * count))
    }),
  fc
    .record({ part: cut, bytes: fc.uint8Array({ minLength: 1, maxLength: 700 }) })
    .map(({ part, bytes }) => (tail: Buffer) => {
      const garbled = Buffer.from(tail)
      garbled.set(
        bytes.subarray(0, tail.length - Math.floor(tail.length * part)),
        Math.floor(tail.length * part),
      )
      return garbled
    }),
  fc.record({ part: cut, zeros: fc.integer({ min: 1, max: 9000 }) }).map(({ part, zeros }) => {
    return (tail: Buffer) =>
      Buffer.concat([tail.subarray(0, Math.floor(tail.length * part)), Buffer.alloc(zeros)])
  }),
  fc.record({ part: cut, block: fc.constantFrom(...blocks) }).map(({ part, block }) => {
    // A block that should hold the end holds an earlier part of the file.
    return (tail: Buffer) => {
      const start = Math.floor(tail.length * part)
      return Buffer.concat([
        tail.subarray(0, start),
        whole.subarray(0, block),
        tail.subarray(start + block),
      ])
    }
  }),
)

test('a loss of power keeps every entry that was synced, accepts no other bytes, and says what is lost', async () => {
  const seen = { torn: 0, damaged: 0, nothing: 0 }
  const at = fc.integer({ min: 0, max: commands - 2 })
  await fc.assert(
    fc.asyncProperty(at, fc.array(loss, { minLength: 1, maxLength: 3 }), async (last, losses) => {
      const kept = synced[last] ?? 0
      let tail: Buffer = whole.subarray(kept)
      for (const lose of losses) tail = lose(tail)
      const left = Buffer.concat([whole.subarray(0, kept), tail])
      const dir = await fs.mkdtemp(path.join(folder, 'lost-'))
      const name = '00001-00000001.journal'
      await fs.writeFile(path.join(dir, name), left)
      const report = await recoverJournals(dir, [], { recordingKey, now: Date.now })

      const isDamaged = report.damaged.length > 0
      const after = await fs.readFile(path.join(dir, isDamaged ? `${name}.damaged` : name))
      const { entries, isWhole } = entriesOf(after)
      // The session opens with entry 0; the command of number n is entry n + 1.
      assert.ok(entries.length >= last + 2, `${entries.length} entries of ${last + 2} synced`)
      const own = entries.filter((entry) => !entry.endsWith(' aborted'))
      assert.deepEqual(own, written.slice(0, own.length))
      assert.equal(isWhole, !isDamaged)
      const before = entriesOf(left)
      assert.equal(before.isWhole, report.tornFiles.length + report.damaged.length === 0)
      if (report.tornFiles.length > 0) assert.ok(report.bytesCut > 0)
      if (!isDamaged) assert.equal(report.sessionsClosed, entries.length - own.length)
      seen[isDamaged ? 'damaged' : report.tornFiles.length > 0 ? 'torn' : 'nothing'] += 1
      // A second look finds nothing more to do.
      const again = await recoverJournals(dir, [], { recordingKey, now: Date.now })
      assert.deepEqual([again.sessionsClosed, again.tornFiles, again.damaged], [0, [], []])
      await fs.rm(dir, { recursive: true })
    }),
    { numRuns: 400 },
  )
  assert.ok(seen.torn > 20 && seen.damaged > 20, `each way was seen: ${JSON.stringify(seen)}`)
})

test('a file whose header never reached the disk holds nothing that was acknowledged', async () => {
  const header = encodeFileHeader({ node: 'n', worker: 1, run: 1 })
  for (let length = 0; length < header.length; length += 1) {
    const dir = await fs.mkdtemp(path.join(folder, 'head-'))
    await fs.writeFile(path.join(dir, '00001-00000001.journal'), header.subarray(0, length))
    const report = await recoverJournals(dir, [], { recordingKey, now: Date.now })
    assert.deepEqual([report.damaged, report.sessionsClosed], [[], 0])
  }
})
