import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import type { CommandId, DecisionId, Entry, SessionId } from '@sallyport/core'
import type { RecordedEntry } from '../journal-reader.ts'
import { liveQuery, type LiveSession } from './live-query.ts'
import { LiveView } from './live-view.ts'
import type { LiveLine } from '../../contract/sessions.ts'

const session: LiveSession = {
  id: 's_one',
  chain: [
    { id: 'a_111', name: 'dana' },
    { id: 'a_222', name: 'ci.fixer' },
    { id: 'a_333', name: 'sql-runner' },
  ],
  connection: 'orders-db',
  database: 'main',
  level: 2,
}

test('a session, a tree and what a search names are found', () => {
  const found = [
    '',
    's_one',
    'S_ONE',
    'a_11',
    'A_2',
    'dana',
    'ci.fixer',
    'tree:dana',
    'tree:a_3',
    'agent:sql-runner',
    'root:dana connection:orders-*',
    'level:<L3',
    '-agent:dana',
    'connection:*-db',
    'connection:o*-*b',
    'agent:other,sql-runner',
  ]
  for (const text of found) assert.ok(liveQuery(text, 0).matches(session), text)
  const not = [
    's_on',
    'a_4',
    'dan',
    'agent:dana',
    '-tree:dana',
    'root:sql-runner',
    'level:<L2',
    'connection:orders',
    'connection:*orders',
    'tree:dana connection:other',
  ]
  for (const text of not) assert.ok(!liveQuery(text, 0).matches(session), text)
  for (const text of ['since:1h', '-until:1h', 'tre:a', 'rows:>many'])
    assert.throws(() => liveQuery(text, 0), { code: 'SP_QUERY_INVALID' }, text)
})

function item(position: number, entry: Entry): RecordedEntry {
  return {
    kind: 'entry',
    session: 's_one' as SessionId,
    position,
    timeMs: 1,
    verified: false,
    entry,
  }
}

function command(seq: number, text: string): Entry {
  return {
    kind: 'command',
    id: 'c_1' as CommandId,
    seq,
    decision: 'd_1' as DecisionId,
    effect: 'allow',
    rules: [],
    class: 'read',
    verb: 'select',
    objects: [],
    text: Buffer.from(text),
    parameters: [],
    formats: [],
    policyVersion: 1,
    unit: 'query',
  }
}

function view(kind: 'steps' | 'ndjson', only?: string): { view: LiveView; closed: () => number } {
  let closed = 0
  const made = new LiveView(
    { kind, width: 80, onlyDecisions: false },
    {
      matches: () => true,
      sinceMs: 0,
      ...(only === undefined ? {} : { only }),
      onClose: () => void (closed += 1),
    },
  )
  return { view: made, closed: () => closed }
}

async function readAll(from: LiveView): Promise<LiveLine[]> {
  let text = ''
  for await (const piece of from) text += piece
  return text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as LiveLine)
}

test('who does not read loses entries, is told how many before what comes next, and holds no more than the bound', async () => {
  const { view: slow } = view('ndjson')
  const reading = slow[Symbol.asyncIterator]()
  for (let seq = 1; seq <= 3000; seq += 1) slow.take(item(seq, command(seq, 'x'.repeat(1000))))
  const first = await reading.next()
  const text = String(first.value)
  assert.ok(text.length <= 1024 * 1024 + 1000, String(text.length))
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as LiveLine)
  const gap = lines.at(-1)
  assert.ok(gap?.kind === 'gap')
  assert.equal(gap.entries + lines.length - 1, 3000)
  assert.deepEqual(gap.sessions, [{ session: 's_one', seq: lines.length }])
  slow.take(item(3001, command(3001, 'after')))
  slow.end('over')
  const rest = await readAll(slow)
  assert.deepEqual(
    rest.map(({ kind }) => kind),
    ['entry', 'end'],
  )
})

test('one entry that is larger than the bound is told as missing, and what follows is shown', async () => {
  const { view: one } = view('ndjson')
  one.take(item(1, command(1, 'x'.repeat(2 * 1024 * 1024))))
  const reading = one[Symbol.asyncIterator]()
  const { value } = await reading.next()
  assert.deepEqual(JSON.parse(String(value)), {
    kind: 'gap',
    entries: 1,
    sessions: [{ session: 's_one', seq: 1 }],
  })
  one.take(item(2, command(2, 'small')))
  assert.match(String((await reading.next()).value), /small/)
})

test('a watcher that leaves while nothing happens is gone at once', async () => {
  const { view: idle, closed } = view('steps')
  const reading = idle[Symbol.asyncIterator]()
  const next = reading.next()
  await reading.return?.()
  assert.deepEqual(await next, { done: true, value: undefined })
  assert.equal(closed(), 1)
})

test('a session is told of once, and its end ends a view of it alone', async () => {
  const { view: one } = view('steps', 's_one')
  one.opened(session)
  one.opened(session)
  one.take(item(1, command(1, 'select 1')))
  one.take(
    item(2, { kind: 'session.closed', reason: 'ended', commands: 1, blocked: 0, maskedValues: 0 }),
  )
  const lines = await readAll(one)
  assert.deepEqual(
    lines.map(({ kind }) => kind),
    ['session', 'command', 'session.closed', 'end'],
  )
})
