import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import fs from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import {
  ByteWriter,
  encodeEntry,
  encodeFileHeader,
  EntryChain,
  wrapSessionKey,
  type CommandId,
  type DecisionId,
  type Entry,
  type SessionId,
} from '@sallyport/core'
import { DirectoryRecordingStore } from '../adapters/directory-recording-store.ts'
import { readJournalFolder, type RecordedEntry, type RecordingProblem } from './journal-reader.ts'
import { printSession, sessionJson } from './print-session.ts'
import { listSessions, sessionEntries, type RecordingSources } from './recordings.ts'

const recordingKey = Buffer.alloc(32, 4)

function message(type: string, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts)
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeUInt32BE(body.length + 4, 1)
  return Buffer.concat([head, body])
}

function int(bytes: 2 | 4, value: number): Buffer {
  const out = Buffer.alloc(bytes)
  out.writeIntBE(value, 0, bytes)
  return out
}

function column(name: string, oid: number, format: number): Buffer {
  const sizes = [int(4, 0), int(2, 0), int(4, oid), int(2, -1), int(4, -1), int(2, format)]
  return Buffer.concat([Buffer.from(`${name}\0`), ...sizes])
}

const answer = Buffer.concat([
  message('T', int(2, 3), column('id', 23, 1), column('email', 25, 0), column('note', 25, 0)),
  message('D', int(2, 3), int(4, 4), int(4, 42), int(4, 3), Buffer.from('***'), int(4, -1)),
  message('C', Buffer.from('SELECT 1\0')),
])

function session(id: string): Entry[] {
  return [
    {
      kind: 'session.opened',
      session: id as SessionId,
      worker: 1,
      connection: 'shop',
      database: 'main',
      credential: 'cr_1',
      chain: [
        { id: 'a_1', name: 'dana' },
        { id: 'a_2', name: 'scout' },
      ],
      level: 2,
      application: 'psql',
      source: '127.0.0.1',
      tls: true,
      wrappedKey: wrapSessionKey(recordingKey, Buffer.alloc(32, 5), id),
    },
    {
      kind: 'command',
      id: 'c_1' as CommandId,
      seq: 1,
      decision: 'd_1' as DecisionId,
      effect: 'allow',
      rules: ['pii/mask-email'],
      class: 'read',
      verb: 'select',
      objects: [['orders']],
      text: Buffer.from('select *\nfrom orders \u001b[2J\u202e\u2028'),
      parameters: [Buffer.from('7\n8'), null],
      formats: [],
      policyVersion: 1,
      unit: 'query',
    },
    { kind: 'response.data', seq: 1, bytes: answer.subarray(0, 30) },
    { kind: 'response.data', seq: 1, bytes: answer.subarray(30) },
    { kind: 'masked', seq: 1, rule: 'pii/mask-email', values: 1 },
    { kind: 'response.end', seq: 1, status: 'complete', tag: 'SELECT 1', rows: 1, bytes: 99 },
    { kind: 'session.closed', reason: 'ended', commands: 1, blocked: 0, maskedValues: 1 },
  ]
}

function file(entries: readonly Entry[], run = 1): Buffer {
  const out = new ByteWriter()
  const chain = new EntryChain(Buffer.alloc(32, 5))
  for (const entry of entries) encodeEntry(out, entry, { session: 1, timeMs: 1000 }, chain)
  return Buffer.concat([encodeFileHeader({ node: 'n', worker: 1, run }), out.view()])
}

/** Nothing was shipped. */
const sourcesOf = (journalDir: string): RecordingSources => ({
  journalDir,
  recordingKey,
  recordings: new DirectoryRecordingStore(path.join(journalDir, 'nothing')),
})

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = []
  for await (const item of items) list.push(item)
  return list
}

async function folder(
  context: TestContext,
  files: Readonly<Record<string, Buffer>>,
): Promise<string> {
  const dir = await fs.mkdtemp(path.join(os.tmpdir(), 'sallyport-recordings-'))
  context.after(() => fs.rm(dir, { recursive: true, force: true }))
  for (const [name, bytes] of Object.entries(files)) await fs.writeFile(path.join(dir, name), bytes)
  return dir
}

test('a session that goes through two files is read whole and verified', async (context) => {
  const whole = file(session('s_one'))
  const header = encodeFileHeader({ node: 'n', worker: 1, run: 1 })
  const opening = file(session('s_one').slice(0, 1))
  // The wrapped key has a random nonce, so the cut is by length, in one and the same encoding.
  const dir = await folder(context, {
    '00001-00000001.journal': whole.subarray(0, opening.length),
    '00001-00000002.journal': Buffer.concat([header, whole.subarray(opening.length)]),
  })
  const { sessions, problems } = await listSessions(sourcesOf(dir))
  assert.deepEqual(problems, [])
  assert.equal(sessions.length, 1)
  const { id, commands, maskedValues, closed, verified } = sessions[0] ?? {}
  assert.deepEqual(
    { id, commands, maskedValues, closed, verified },
    { id: 's_one', commands: 1, maskedValues: 1, closed: 'ended', verified: true },
  )
})

test('a file that is still being written, cut anywhere, gives its whole entries and no problem', async (context) => {
  const whole = file(session('s_one'))
  const dir = await folder(context, {})
  const counts = new Set<number>()
  for (let cut = 0; cut <= whole.length; cut += 11) {
    await fs.writeFile(path.join(dir, '00001-00000001.journal'), whole.subarray(0, cut))
    const items = await collect(readJournalFolder(dir, recordingKey))
    assert.ok(items.every((item) => item.kind === 'entry' && item.verified))
    counts.add(items.length)
  }
  assert.ok(counts.size >= 6)
})

test('damage, a missing entry and another key are each reported, and other files are read', async (context) => {
  const whole = file(session('s_bad'))
  const damaged = Buffer.from(whole)
  damaged.writeUInt8(damaged.readUInt8(400) ^ 1, 400)
  const first = file(session('s_gap').slice(0, 1), 2).length
  const gap = file(session('s_gap'), 2)
  const second = file(session('s_gap').slice(0, 2), 2).length
  const dir = await folder(context, {
    '00001-00000001.journal': damaged,
    '00001-00000002.journal': Buffer.concat([gap.subarray(0, first), gap.subarray(second)]),
    '00001-00000003.journal': file(session('s_good'), 3),
  })
  const { sessions, problems } = await listSessions(sourcesOf(dir))
  const broken = 'the chain of the session is broken here'
  assert.deepEqual(
    problems.map(({ reason }) => reason),
    ['the checksum of an entry is wrong', broken],
  )
  assert.equal(sessions.find(({ id }) => id === 's_good')?.verified, true)
  assert.equal(sessions.find(({ id }) => id === 's_gap')?.verified, false)
  const other = await listSessions({ ...sourcesOf(dir), recordingKey: Buffer.alloc(32, 8) })
  assert.ok(other.sessions.every(({ verified }) => !verified))
})

test('a file that was set aside gives what stands before its damage', async (context) => {
  const damaged = Buffer.concat([file(session('s_cut')), Buffer.alloc(64)])
  const dir = await folder(context, { '00001-00000001.journal.damaged': damaged })
  const items = await collect(readJournalFolder(dir, recordingKey))
  const problems = items.filter((item) => item.kind === 'problem')
  assert.equal(problems[0]?.reason, 'the file was set aside as damaged')
  assert.equal(problems[1]?.offset, damaged.length - 64)
  const entries = items.filter((item) => item.kind === 'entry')
  assert.equal(entries.length, session('s_cut').length)
  assert.ok(entries.every(({ verified }) => verified))
})

test('the transcript shows verdict, rule, text, parameters, grid, masks and tag, and no control bytes', async (context) => {
  const dir = await folder(context, { '00001-00000001.journal': file(session('s_one')) })
  const items: (RecordedEntry | RecordingProblem)[] = await collect(
    sessionEntries(sourcesOf(dir), 's_o'),
  )
  assert.equal(
    printSession(items, 90),
    [
      '00:00:01.000  s_one  dana › scout  shop/main',
      '00:00:01.000  #1 allow by pii/mask-email  read c_1',
      '    select *',
      String.raw`    from orders \x1b[2J\u202e\u2028`,
      String.raw`    $1 = '7\x0a8'`,
      '    $2 = NULL',
      '00:00:01.000  #1 masked 1 by pii/mask-email',
      '    id | email | note',
      '    ---+-------+-----',
      '    42 | ***   | NULL',
      '00:00:01.000  #1 SELECT 1 (1 rows, 99 bytes)',
      '00:00:01.000  closed: ended; 1 commands, 0 blocked, 1 values masked',
      '',
    ].join('\n'),
  )
  const command = items.find((item) => item.kind === 'entry' && item.entry.kind === 'command')
  assert.ok(command)
  const parsed: unknown = JSON.parse(sessionJson(command))
  assert.deepEqual(Object(parsed).entry.text, {
    text: 'select *\nfrom orders \u001b[2J\u202e\u2028',
  })
  assert.deepEqual(await collect(sessionEntries(sourcesOf(dir), 's_x')), [])
})
