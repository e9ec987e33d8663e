import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import type { CommandId, DecisionId, Entry, SessionId } from '@sallyport/core'
import type { RecordedEntry } from '../journal-reader.ts'
import { sessionCast } from './export-cast.ts'
import { commandsCsv } from './export-csv.ts'
import { sessionHtml } from './export-html.ts'

const session = 's_one' as SessionId

function command(seq: number, text: string): Entry {
  return {
    kind: 'command',
    id: `c_${seq}` as CommandId,
    seq,
    decision: 'd_1' as DecisionId,
    effect: 'allow',
    rules: ['pii/mask'],
    class: 'read',
    verb: 'select',
    objects: [['public', 'orders']],
    text: Buffer.from(text),
    parameters: [Buffer.from('7'), null],
    formats: [],
    policyVersion: 1,
    unit: 'query',
  }
}

function end(seq: number, status: 'complete' | 'suspended'): Entry {
  return { kind: 'response.end', seq, status, tag: 'SELECT 1', rows: 1, bytes: 9 }
}

const hostile = '=cmd|\' /C calc\'!A0, "quoted"\n</script><script>alert(1)</script>'

async function* items(entries: readonly Entry[]): AsyncGenerator<RecordedEntry> {
  for (const [position, entry] of entries.entries()) {
    const timeMs = 1000 + position * 500
    yield await Promise.resolve({ kind: 'entry', session, position, timeMs, verified: true, entry })
  }
}

const recorded = (): AsyncGenerator<RecordedEntry> =>
  items([
    command(1, hostile),
    { kind: 'masked', seq: 1, rule: 'pii/mask', values: 2 },
    end(1, 'suspended'),
    end(1, 'complete'),
    command(2, 'drop table t'),
    { kind: 'refused', seq: 2, code: 'SP_POLICY_BLOCKED', message: 'no' },
    command(3, 'select pg_sleep(1)'),
  ])

async function text(pieces: AsyncIterable<string>): Promise<string> {
  let all = ''
  for await (const piece of pieces) all += piece
  return all
}

test('CSV has a line for each end of a command, and no cell is a formula', async () => {
  const lines = (await text(commandsCsv(recorded()))).split('\r\n')
  assert.equal(lines.length, 1 + 4 + 1)
  assert.match(
    lines[1] ?? '',
    /^1970-01-01T00:00:01.000Z,s_one,1,c_1,allow,pii\/mask,read,select,public.orders,"'=cmd/,
  )
  assert.match(
    lines[1] ?? '',
    /""quoted""\n<\/script>.*,"\[""7"",null\]",suspended,SELECT 1,,1,9,2,true$/s,
  )
  assert.match(lines[3] ?? '', /drop table t,.*,refused SP_POLICY_BLOCKED,/)
  assert.match(lines[4] ?? '', /pg_sleep.*,no answer,/)
})

test('no beginning that a spreadsheet skips or takes for a formula gets through', async () => {
  for (const begin of [
    '=',
    '+',
    '-',
    '@',
    '\t=',
    '\n=',
    '\r=',
    ' =',
    '\u00a0=',
    '\uff1d',
    '\uff20',
  ]) {
    const csv = await text(commandsCsv(items([command(1, `${begin}1+1`)])))
    assert.ok(csv.includes(`'${begin}1+1`), JSON.stringify(begin))
  }
})

test('a cast is asciicast 2: a head, then times, kinds and texts, with a marker at each command', async () => {
  const lines = (await text(sessionCast(recorded(), 's_one', 80))).trimEnd().split('\n')
  const [head, ...events] = lines.map((line): unknown => JSON.parse(line))
  assert.deepEqual(head, { version: 2, width: 80, height: 40, timestamp: 1, title: 's_one' })
  const kinds = events.map((event) => (Array.isArray(event) ? event[1] : undefined))
  assert.equal(kinds.filter((kind) => kind === 'm').length, 3)
  const times = events.map((event) => (Array.isArray(event) ? Number(event[0]) : -1))
  assert.deepEqual(
    times,
    times.toSorted((a, b) => a - b),
  )
  assert.equal(times.at(-1), 3)
})

test('nothing that was recorded can run in the page, and the page loads nothing', async () => {
  const page = await text(sessionHtml(recorded(), 's_one"><script>', 80))
  assert.equal(page.match(/<script/g)?.length, 2, 'the data and the player')
  assert.equal(page.match(/<\/script>/g)?.length, 2)
  assert.match(page, /<title>Recording s_onescript<\/title>/)
  assert.doesNotMatch(page, /src=|href=|https?:/)
  const data = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page)?.[1] ?? ''
  const parts: unknown = JSON.parse(data)
  assert.ok(Array.isArray(parts) && JSON.stringify(parts).includes('alert(1)'))
})
