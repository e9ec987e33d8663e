import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import nodeFs from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import fc from 'fast-check'
import { openLedgerJournal } from '../../data-plane/journal/ledger-journal.ts'
import type { JournalFs } from '../../data-plane/journal/journal-fs.ts'
import { readJournalFolder } from '../recordings/journal-reader.ts'
import { FactCounts } from './fact-counts.ts'
import { JournalLedger } from './journal-ledger.ts'
import type { Fact } from './ledger.ts'
import { smallJson } from './small-json.ts'

const recordingKey = Buffer.alloc(32, 5)
const put: Fact = { what: 'connection.added', actor: { by: 'owner', name: 'dana' }, subject: 'db' }
const revoked: Fact = {
  what: 'agent.revoked',
  actor: { by: 'agent', name: 'x', chain: [{ id: 'a_1', name: 'x' }] },
  subject: 'a_2',
}

interface Bench {
  readonly dir: string
  readonly ledger: JournalLedger
  readonly faults: unknown[]
  /** Errors of writes and syncs to come. */
  readonly broken: { writes: boolean; syncs: boolean; room: boolean }
  nowMs: number
}

async function bench(t: TestContext, durability: 'auto' | 'process' = 'auto'): Promise<Bench> {
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-ledger-'))
  const broken = { writes: false, syncs: false, room: true }
  const fs: JournalFs = {
    ...nodeFs,
    writeSync(fd: number, bytes: unknown, offset?: unknown, length?: unknown, position?: unknown) {
      assert.ok(bytes instanceof Uint8Array)
      const write = (count: number): number =>
        nodeFs.writeSync(fd, bytes, Number(offset), count, Number(position))
      if (!broken.writes) return write(Number(length))
      // A disk that fills up takes a part.
      write(3)
      throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' })
    },
    fdatasync: ((fd: number, done: (error: Error | null) => void) => {
      if (broken.syncs) done(new Error('input/output error'))
      else nodeFs.fdatasync(fd, done)
    }) as typeof nodeFs.fdatasync,
    statfsSync: ((...args: Parameters<typeof nodeFs.statfsSync>) => {
      const found = nodeFs.statfsSync(...args)
      if (!broken.room) Reflect.set(found, 'bavail', 0)
      return found
    }) as typeof nodeFs.statfsSync,
  }
  const made = { dir, faults: [] as unknown[], broken, nowMs: 1_800_000_000_000 }
  const now = (): number => made.nowMs
  const journal = await openLedgerJournal(
    {
      dir,
      durability,
      minFreeBytes: 1,
      maxBytes: 1e9,
      recordingKey: recordingKey.toString('base64'),
    },
    { application: 'sallyport test', node: 'here', owner: 'dana' },
    { now, fs },
  )
  const ledger = new JournalLedger({ journal, now, onFault: (error) => made.faults.push(error) })
  t.after(async () => {
    await ledger.close('test')
    await rm(dir, { recursive: true, force: true })
  })
  return Object.assign(made, { ledger })
}

/** What the journals hold, verified: `opened`, names of facts, `closed`. */
async function entriesIn(dir: string): Promise<string[]> {
  const found: string[] = []
  for await (const item of readJournalFolder(dir, recordingKey)) {
    assert.equal(item.kind, 'entry', JSON.stringify(item))
    if (item.kind !== 'entry') continue
    assert.ok(item.verified)
    const { entry } = item
    const what =
      entry.kind === 'fact' ? `${entry.what} ${entry.subject} ${entry.detail}` : entry.kind
    found.push(what)
  }
  return found
}

const unavailable = (error: unknown): boolean =>
  error instanceof Error && 'code' in error && error.code === 'SP_RECORD_UNAVAILABLE'

test('a fact is in the journal before the caller goes on, and the chain verifies', async (t) => {
  const { ledger, dir } = await bench(t)
  const stored = ledger.write(put)
  assert.deepEqual(await entriesIn(dir), ['session.opened', 'connection.added db {}'])
  await stored
  await ledger.write(revoked)
  await ledger.close('stopped')
  assert.deepEqual((await entriesIn(dir)).slice(2), ['agent.revoked a_2 {}', 'session.closed'])
})

test('what cannot be written is refused and leaves nothing; what takes away waits, is told once, and is written in order', async (t) => {
  const { ledger, dir, broken, faults } = await bench(t)
  await ledger.write({ ...put, subject: 'one' })
  broken.writes = true
  assert.throws(() => void ledger.write({ ...put, subject: 'refused' }), unavailable)
  await ledger.write(revoked)
  await ledger.write({ ...revoked, subject: 'a_3' })
  assert.equal(faults.length, 1)
  broken.writes = false
  await ledger.write({ ...put, subject: 'two' })
  assert.deepEqual(await entriesIn(dir), [
    'session.opened',
    'connection.added one {}',
    'agent.revoked a_2 {}',
    'agent.revoked a_3 {}',
    'connection.added two {}',
  ])
})

test('without room acts are refused, and revocations are written as long as the disk takes them', async (t) => {
  const { ledger, dir, broken, faults } = await bench(t)
  broken.room = false
  assert.throws(() => void ledger.write(put), unavailable)
  await ledger.write(revoked)
  assert.deepEqual(faults, [])
  assert.deepEqual(await entriesIn(dir), ['session.opened', 'agent.revoked a_2 {}'])
})

test('a disk that does not sync fails the act, and what follows goes into another file', async (t) => {
  const { ledger, dir, broken } = await bench(t)
  broken.syncs = true
  await assert.rejects(async () => await ledger.write(put), unavailable)
  await ledger.write(revoked)
  broken.syncs = false
  await ledger.write({ ...put, subject: 'two' })
  assert.ok((await readdir(dir)).filter((name) => name.endsWith('.journal')).length > 1)
  assert.equal((await entriesIn(dir)).at(-1), 'connection.added two {}')
})

test('more facts than may wait are counted, and that is a fact', async (t) => {
  const { ledger, dir, broken } = await bench(t, 'process')
  broken.writes = true
  for (let at = 0; at < 1005; at += 1) await ledger.write({ ...revoked, subject: `a_${at}` })
  broken.writes = false
  ledger.look()
  const found = await entriesIn(dir)
  assert.equal(found.length, 1 + 1000 + 1)
  assert.match(found.at(-1) ?? '', /^ledger\.lost l_\S+ \{"facts":5\}$/u)
})

test('what anybody can cause is one fact a minute and source, with a count', async (t) => {
  const made = await bench(t, 'process')
  const { ledger, dir } = made
  const refused = (source: string): Fact => ({
    what: 'caller.refused',
    actor: { by: 'nobody', name: '' },
    subject: 'api',
    source,
  })
  for (let at = 0; at < 50; at += 1) {
    await ledger.write(refused('10.0.0.1'))
    // One network of IPv6 is one source.
    await ledger.write(refused(`2001:db8::${at}`))
  }
  assert.equal((await entriesIn(dir)).length, 1 + 2)
  made.nowMs += 60_000
  ledger.look()
  const counted = (await entriesIn(dir)).slice(3)
  assert.deepEqual(counted, Array(2).fill('caller.refused api {"count":49}'))
})

test('however many sources come and however often, facts are bounded and none is uncounted', () => {
  const source = fc.nat(400).map(String)
  fc.assert(
    fc.property(fc.array(fc.tuple(source, fc.nat(2000)), { maxLength: 3000 }), (events) => {
      const counts = new FactCounts<string>()
      let nowMs = 0
      let told = 0
      let written = 0
      for (const [key, waitMs] of events) {
        nowMs += waitMs
        for (const { count } of counts.due(nowMs)) {
          told += count
          written += 1
        }
        const taken = counts.take(key, key, nowMs, 60_000)
        told += taken?.count ?? 0
        if (taken !== undefined) written += 1
      }
      for (const { count } of counts.due()) told += count
      assert.equal(told, events.length)
      assert.ok(written <= 101 * (Math.floor(nowMs / 60_000) + 1) * 2)
    }),
  )
})

test('the detail of a fact is short and holds no secret, whatever was given', () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string({ maxLength: 9 }), fc.string({ maxLength: 9000 })),
      (given) => {
        assert.ok(Buffer.byteLength(smallJson(given)) <= 4096)
      },
    ),
  )
  const json = smallJson({
    why: 'the token eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.c2lnbmVk is wrong',
    list: ['spa_0123456789abc_secret', 'spt_1', ...Array<string>(30).fill('x')],
  })
  assert.ok(!/eyJ|spa_0|spt_1/u.test(json), json)
  assert.match(json, /and 12 more/u)
})
