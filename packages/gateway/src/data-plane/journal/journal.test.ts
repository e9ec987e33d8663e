import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import nodeFs from 'node:fs'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import {
  ChainVerifier,
  decodeFileHeader,
  journalFileName,
  JournalScanner,
  recoveredListName,
  unwrapSessionKey,
  type Entry,
} from '@sallyport/core'
import type { JournalConfig } from '../../boundary/messages.ts'
import { fields, opened } from './journal.fixture.ts'
import { Journal, type JournalDeps } from './journal.ts'
import { recoverJournals } from './recover-journals.ts'
import { StoredEntry } from './stored-entry.ts'

const recordingKey = Buffer.alloc(32, 9)
const refusedHere = { code: 'SP_RECORD_UNAVAILABLE' }

async function folder(context: TestContext): Promise<string> {
  const dir = await fs.mkdtemp(path.join(os.tmpdir(), 'sallyport-journal-'))
  context.after(() => fs.rm(dir, { recursive: true, force: true }))
  return dir
}

async function open(
  dir: string,
  deps: Partial<JournalDeps> = {},
  config: Partial<JournalConfig> = {},
  worker = 1,
): Promise<Journal> {
  const whole = {
    dir,
    durability: 'process',
    minFreeBytes: 0,
    maxBytes: 1e12,
    recordingKey: recordingKey.toString('base64'),
    ...config,
  } as const
  return Journal.open(whole, worker, { now: Date.now, onFault: () => undefined, ...deps })
}

/** All entries of the folder, chains checked. */
async function read(dir: string): Promise<Entry[]> {
  const entries: Entry[] = []
  const chains = new Map<string, ChainVerifier>()
  for (const name of (await fs.readdir(dir))
    .filter((file) => file.endsWith('.journal'))
    .toSorted()) {
    const scanner = new JournalScanner()
    scanner.push(await fs.readFile(path.join(dir, name)))
    let run = 0
    for (let found = scanner.next(); found.kind !== 'more'; found = scanner.next()) {
      assert.notEqual(found.kind, 'bad', name)
      if (found.kind === 'header') run = found.header.run
      if (found.kind !== 'record') continue
      const id = `${run}/${found.session}`
      if (found.entry.kind === 'session.opened') {
        const { wrappedKey, session } = found.entry
        const key = unwrapSessionKey(recordingKey, wrappedKey, session)
        assert.ok(key)
        chains.set(id, new ChainVerifier(key))
      }
      assert.ok(chains.get(id)?.accept(found), `${name}: the chain is broken`)
      entries.push(found.entry)
    }
    assert.ok(scanner.clean, `${name} is torn`)
  }
  return entries
}

function ids(entries: readonly Entry[]): string[] {
  return entries.flatMap((entry) => (entry.kind === 'command' ? [entry.id] : []))
}

test('nobody but the journal makes a stored entry', () => {
  assert.throws(() => StoredEntry.claimMint(), TypeError)
})

test('commands of one turn share a write, and are in the file when they resolve', async (context) => {
  const dir = await folder(context)
  const journal = await open(dir)
  const session = journal.openSession(opened)
  const stored = await Promise.all(
    ['c_1', 'c_2', 'c_3'].map((id) => session.command(fields(id), 'read')),
  )
  assert.deepEqual(
    stored.map((entry) => [entry.commandId, entry.seq]),
    [
      ['c_1', 1],
      ['c_2', 2],
      ['c_3', 3],
    ],
  )
  assert.equal(journal.stats().writes, 1)
  assert.deepEqual(ids(await read(dir)), ['c_1', 'c_2', 'c_3'])
  await journal.close()
})

test('a short write is continued', async (context) => {
  const dir = await folder(context)
  const writeSync = ((fd: number, bytes: Uint8Array, from: number, length: number, at: number) =>
    nodeFs.writeSync(fd, bytes, from, Math.min(length, 7), at)) as typeof nodeFs.writeSync
  const journal = await open(dir, { fs: { ...nodeFs, writeSync } })
  await journal.openSession(opened).command(fields('c_1'), 'read')
  assert.deepEqual(ids(await read(dir)), ['c_1'])
  await journal.close()
})

test('a full disk at any write refuses, loses nothing that was acknowledged, and mends without a restart', async (context) => {
  for (let failAt = 1; failAt <= 6; failAt += 1) {
    const dir = await folder(context)
    let writes = -1
    let clock = 0
    const faults: Error[] = []
    const writeSync = ((
      fd: number,
      bytes: Uint8Array,
      from: number,
      length: number,
      at: number,
    ) => {
      writes += 1
      if (writes === failAt) return nodeFs.writeSync(fd, bytes, from, 20, at)
      if (writes === failAt + 1) throw Object.assign(new Error('disk full'), { code: 'ENOSPC' })
      return nodeFs.writeSync(fd, bytes, from, length, at)
    }) as typeof nodeFs.writeSync
    const deps = {
      fs: { ...nodeFs, writeSync },
      now: () => clock,
      onFault: (error: Error) => faults.push(error),
    }
    const journal = await open(dir, deps)
    const session = journal.openSession(opened)
    const acknowledged: string[] = []
    for (let n = 1; n < failAt; n += 1) {
      acknowledged.push((await session.command(fields(`c_${n}`), 'read')).commandId)
    }
    await assert.rejects(session.command(fields('c_lost'), 'read'), refusedHere)
    await assert.rejects(session.command(fields('c_soon'), 'read'), refusedHere)
    assert.deepEqual(ids(await read(dir)), acknowledged, 'the torn part is cut off')
    assert.equal(faults.length, 1)
    session.note({ kind: 'notice', text: 'kept' })
    clock += 1000
    await session.command(fields('c_back'), 'read')
    const entries = await read(dir)
    assert.deepEqual(ids(entries), [...acknowledged, 'c_lost', 'c_back'])
    const refused = entries.filter((entry) => entry.kind === 'refused')
    assert.deepEqual(
      refused.map((entry) => entry.seq),
      [failAt],
    )
    assert.ok(entries.some((entry) => entry.kind === 'notice'))
    await journal.close()
  }
})

test('a failed sync refuses the command, and the next one goes to a new file', async (context) => {
  const dir = await folder(context)
  let clock = 0
  let broken = true
  const fdatasync = ((fd: number, done: (error: Error | null) => void) =>
    broken ? done(new Error('EIO')) : nodeFs.fdatasync(fd, done)) as typeof nodeFs.fdatasync
  const journal = await open(
    dir,
    { fs: { ...nodeFs, fdatasync }, now: () => clock },
    { durability: 'disk' },
  )
  const session = journal.openSession(opened)
  await assert.rejects(session.command(fields('c_1'), 'read'), refusedHere)
  broken = false
  clock += 1000
  await session.command(fields('c_2'), 'read')
  assert.equal(journal.stats().files.length, 2)
  assert.deepEqual(ids(await read(dir)), ['c_1', 'c_2'])
  await journal.close()
})

test('in auto a write waits for the disk, a read does not', async (context) => {
  const dir = await folder(context)
  const held: (() => void)[] = []
  const fdatasync = ((_fd: number, done: (error: null) => void) => {
    held.push(() => done(null))
  }) as typeof nodeFs.fdatasync
  const journal = await open(dir, { fs: { ...nodeFs, fdatasync } }, { durability: 'auto' })
  const session = journal.openSession(opened)
  await session.command(fields('c_read'), 'read')
  let stored = false
  const write = session.command(fields('c_write'), 'write').then(() => (stored = true))
  while (held.length === 0) await new Promise(setImmediate)
  assert.equal(stored, false)
  const drain = setInterval(() => held.splice(0).forEach((go) => go()), 1)
  await write
  await journal.close()
  clearInterval(drain)
})

test('below the free space or above the size, commands are refused and the journal is not failing', async (context) => {
  const dir = await folder(context)
  const full = await open(dir, {}, { maxBytes: 1 })
  assert.throws(() => full.openSession(opened), refusedHere)
  await full.close()
  let free = 1000
  let clock = 0
  const statfsSync = (() => ({ bavail: free, bsize: 1 })) as unknown as typeof nodeFs.statfsSync
  const deps = { fs: { ...nodeFs, statfsSync }, now: () => clock }
  const journal = await open(dir, deps, { minFreeBytes: 500 })
  const session = journal.openSession(opened)
  free = 10
  clock += 1000
  await assert.rejects(session.command(fields('c_1'), 'read'), refusedHere)
  assert.equal(journal.stats().failing, false)
  await journal.close()
})

test('files rotate, and one chain goes through all of them', async (context) => {
  const dir = await folder(context)
  const journal = await open(dir, { rotateBytes: 1000 })
  const session = journal.openSession(opened)
  for (let n = 0; n < 20; n += 1) await session.command(fields(`c_${n}`), 'read')
  session.note({ kind: 'response.data', seq: 1, bytes: Buffer.alloc(700_000) })
  session.close('done')
  await journal.close()
  assert.ok(journal.stats().files.length > 3)
  const entries = await read(dir)
  assert.equal(ids(entries).length, 20)
  assert.equal(entries.filter((entry) => entry.kind === 'response.data').length, 3)
})

test('where there is no room, the file that is full is left, once, so that it can be removed', async (context) => {
  const dir = await folder(context)
  let free = 1000
  let clock = 0
  const statfsSync = (() => ({ bavail: free, bsize: 1 })) as unknown as typeof nodeFs.statfsSync
  const deps = { fs: { ...nodeFs, statfsSync }, now: () => clock }
  const journal = await open(dir, deps, { minFreeBytes: 500 })
  const session = journal.openSession(opened)
  await session.command(fields('c_1'), 'read')
  for (const [round, files] of [
    [0, 2],
    [1, 3],
  ] as const) {
    for (let n = 0; n < 5; n += 1) {
      free = 10
      clock += 1000
      await assert.rejects(session.command(fields('c_no'), 'read'), refusedHere)
      session.note({ kind: 'notice', text: 'while there is no room' })
      await new Promise((resolve) => setTimeout(resolve, 5))
      assert.equal(journal.stats().files.length, files)
    }
    free = 1000
    clock += 1000
    await session.command(fields(`c_2${round}`), 'read')
  }
  session.close('done')
  await journal.close()
  assert.deepEqual(ids(await read(dir)), ['c_1', 'c_20', 'c_21'])
})

test('a journal that may be small has small files, so that most of it can be removed', async (context) => {
  const dir = await folder(context)
  const journal = await open(dir, {}, { maxBytes: 80_000 })
  const session = journal.openSession(opened)
  let commands = 0
  for (;;) {
    const stored = await session.command(fields(`c_${commands}`), 'read').catch(() => undefined)
    if (stored === undefined) break
    commands += 1
  }
  assert.ok(commands > 100, `${commands} commands`)
  const { files, usedBytes } = journal.stats()
  assert.ok(files.length >= 8 && usedBytes < 81_000, `${files.length} files, ${usedBytes} bytes`)
  session.close('done')
  await journal.close()
})

test('recovery cuts a torn entry, closes the session once, and sets a damaged file aside', async (context) => {
  const dir = await folder(context)
  const journal = await open(dir)
  const [first = ''] = journal.stats().files
  const session = journal.openSession(opened)
  for (const id of ['c_1', 'c_2', 'c_3']) await session.command(fields(id), 'read')
  await journal.close()
  const whole = await fs.readFile(path.join(dir, first))
  await fs.truncate(path.join(dir, first), whole.length - 5)
  const damaged = Buffer.from(whole)
  damaged.writeUInt8(damaged.readUInt8(300) ^ 1, 300)
  await fs.writeFile(path.join(dir, '00000-00000001.journal'), damaged)
  await fs.writeFile(path.join(dir, '00003-00000001.journal'), 'SALLY')
  const live = await open(dir)
  live.openSession(opened)
  const deps = { recordingKey, now: Date.now }
  const report = await recoverJournals(dir, live.stats().files, deps)
  assert.deepEqual(report.tornFiles, [first])
  assert.deepEqual(
    report.damaged.map(({ file }) => file),
    ['00000-00000001.journal'],
  )
  assert.equal(report.sessionsClosed, 1)
  const entries = await read(dir)
  assert.deepEqual(ids(entries), ['c_1', 'c_2'])
  const end = {
    kind: 'session.closed',
    reason: 'aborted',
    commands: 2,
    blocked: 0,
    maskedValues: 0,
  }
  assert.deepEqual(
    entries.filter((entry) => entry.kind === 'session.closed'),
    [end],
  )
  assert.equal((await recoverJournals(dir, live.stats().files, deps)).sessionsClosed, 0)
  await live.close()
})

test('journals of workers that are no longer started are recovered with those of another, each once', async (context) => {
  const dir = await folder(context)
  for (const worker of [0, 1, 2]) {
    const journal = await open(dir, {}, {}, worker)
    await journal.openSession(opened).command(fields(`c_${worker}`), 'read')
    await journal.close()
  }
  const recover = (andFrom: number) =>
    recoverJournals(dir, [], { recordingKey, worker: 0, andFrom, now: Date.now })
  const first = await recover(2)
  assert.deepEqual([first.filesRead, first.sessionsClosed], [2, 2], 'worker 1 still has its own')
  const second = await recover(1)
  assert.deepEqual([second.filesRead, second.sessionsClosed], [1, 1])
  assert.deepEqual(await recover(1), {
    filesRead: 0,
    sessionsClosed: 0,
    tornFiles: [],
    bytesCut: 0,
    damaged: [],
  })
  const ends = (await read(dir)).filter((entry) => entry.kind === 'session.closed')
  assert.equal(ends.length, 3)
  await fs.writeFile(path.join(dir, 'recovered-0.json'), '[[')
  assert.equal((await recover(1)).filesRead, 3, 'a list that cannot be read is none')
})

test('after kill -9 at any moment every acknowledged command is readable', async (context) => {
  const dir = await folder(context)
  const acknowledged: string[] = []
  const writer = fileURLToPath(new URL('./kill-writer.fixture.ts', import.meta.url))
  for (let round = 0; round < 20; round += 1) {
    const child = spawn(
      process.execPath,
      ['--conditions=@sallyport/source', writer, dir, String(round)],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    )
    let printed = ''
    const limit = 1 + Math.floor(Math.random() * 4000)
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      printed += part
      if (printed.length > limit) child.kill('SIGKILL')
    })
    await once(child, 'close')
    acknowledged.push(...printed.split('\n').slice(0, -1))
  }
  assert.ok(acknowledged.length >= 20)
  const report = await recoverJournals(dir, [], { recordingKey, now: Date.now })
  assert.deepEqual(report.damaged, [])
  assert.equal(report.sessionsClosed, 20)
  const stored = new Set(ids(await read(dir)))
  assert.deepEqual(
    acknowledged.filter((id) => !stored.has(id)),
    [],
  )
})

test('runs are drawn, so that those of a folder that somebody emptied are not taken for one, and listed names are not given again', async (context) => {
  const dir = await folder(context)
  const runOf = async (): Promise<number> => {
    const journal = await open(dir)
    const [name = ''] = journal.stats().files
    await journal.close()
    const header = decodeFileHeader(await fs.readFile(path.join(dir, name)))
    assert.ok(header.kind === 'header')
    return header.header.run
  }
  const runs = new Set<number>()
  for (let n = 0; n < 5; n += 1) {
    runs.add(await runOf())
    for (const name of await fs.readdir(dir)) await fs.rm(path.join(dir, name))
  }
  assert.equal(runs.size, 5)
  assert.ok([...runs].every((run) => run > 0 && run < 2 ** 31))
  // A recovery has seen to file 7; somebody removed it, and not the list.
  await fs.writeFile(
    path.join(dir, recoveredListName(1)),
    JSON.stringify([[journalFileName(1, 7), 9]]),
  )
  const journal = await open(dir)
  assert.deepEqual(journal.stats().files, [journalFileName(1, 8)])
  await journal.close()
})

test('a file that a live run began after its list was made belongs to it', async (context) => {
  const dir = await folder(context)
  const journal = await open(dir, { rotateBytes: 1000 })
  const session = journal.openSession(opened)
  const before = journal.stats().files
  for (let n = 0; n < 20; n += 1) await session.command(fields(`c_${n}`), 'read')
  assert.ok(journal.stats().files.length > before.length)
  const report = await recoverJournals(dir, before, { recordingKey, now: Date.now })
  assert.deepEqual([report.sessionsClosed, report.tornFiles, report.damaged], [0, [], []])
  await journal.close()
})
