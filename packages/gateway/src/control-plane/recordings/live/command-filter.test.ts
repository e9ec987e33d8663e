import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Entry, SessionId } from '@sallyport/core'
import { commandEntry, describedRows, endEntry, openedEntry } from '../index/search.fixture.ts'
import { CommandFilter } from './command-filter.ts'
import { liveQuery } from './live-query.ts'

/** What stands for entries: their kind and number. */
function textOf(entry: Entry): string {
  return `${entry.kind}${'seq' in entry ? ` ${entry.seq}` : ''}\n`
}

function shown(query: string, entries: readonly Entry[], from = 0): { text: string; lost: number } {
  const { commands } = liveQuery(query, 0)
  const filter = new CommandFilter(commands, 's_one')
  const all = { text: '', lost: 0 }
  for (const [position, entry] of entries.entries()) {
    if (position < from) continue
    const item = {
      kind: 'entry',
      session: 's_one' as SessionId,
      position,
      timeMs: position,
      verified: false,
      entry,
    } as const
    const { text, lost } = filter.take(item, textOf(entry))
    all.text += text
    all.lost += lost
  }
  return all
}

const drop = commandEntry(2, 'drop table Orders', {
  effect: 'block',
  rules: ['guard/no-drop'],
  class: 'ddl',
  verb: 'drop',
  objects: [['public', 'orders']],
})
const session: readonly Entry[] = [
  openedEntry('s_one'),
  { kind: 'notice', text: 'hello' },
  commandEntry(1, 'select id, email from customers', { objects: [['public', 'customers']] }),
  { kind: 'masked', seq: 1, rule: 'pii/emails', values: 2 },
  endEntry(1, { rows: 5, bytes: 500, data: describedRows('id', 'email') }),
  drop,
  { kind: 'refused', seq: 2, code: 'SP_POLICY_BLOCKED', message: '' },
  commandEntry(3, 'select n from numbers'),
  endEntry(3, { rows: 100, bytes: 1, status: 'suspended', data: describedRows('n') }),
  endEntry(3, { rows: 1000, bytes: 1 }),
  { kind: 'session.closed', reason: 'ended', commands: 3, blocked: 1, maskedValues: 2 },
]
const head = 'session.opened\nnotice\n'
const one = 'command 1\nmasked 1\nresponse.end 1\n'
const two = 'command 2\nrefused 2\n'
const three = 'command 3\nresponse.end 3\nresponse.end 3\n'
const end = 'session.closed\n'

test('commands that a search would find are shown whole, with the frame of their session, and no others', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['verdict:blocked', head + two + end],
    ['verdict:allowed', head + one + three + end],
    ['-verdict:allowed', head + two + end],
    ['verdict:masked', head + one + end],
    ['-verdict:masked', head + two + three + end],
    ['verdict:masked,blocked', head + one + two + end],
    ['rule:no-drop', head + two + end],
    ['rule:guard/*', head + two + end],
    ['table:orders', head + two + end],
    ['table:public.*', head + one + two + end],
    ['table:*', head + one + two + end],
    ['class:ddl verb:drop', head + two + end],
    ['text:"TABLE orders"', head + two + end],
    ['word:email', head + one + end],
    ['word:mail', ''],
    ['returned:email', head + one + end],
    ['returned:n,emails', head + one + three + end],
    ['-returned:*', head + two + end],
    ['masked:emails', head + one + end],
    ['masked:pii/*', head + one + end],
    ['rows:>1000', head + three + end],
    ['rows:5', head + one + end],
    ['rows:<=5', head + one + two + end],
    ['-rows:>5', head + one + two + end],
    ['bytes:>=500', head + one + end],
    ['verdict:approved', ''],
    ['tree:dana', head + one + two + three + end],
    ['verb:insert', ''],
  ]
  for (const [query, expected] of cases) {
    const { text, lost } = shown(query, session)
    // Without terms about commands there is nothing to filter, and all match.
    assert.equal(text, expected, query)
    assert.equal(lost, 0)
  }
})

test('what is known at once is shown at once, and what is not when it is', () => {
  const until = (query: string, entries: number): string =>
    shown(query, session.slice(0, entries)).text
  assert.equal(until('verb:select', 3), `${head}command 1\n`)
  assert.equal(until('masked:emails', 3), '')
  assert.equal(until('masked:emails', 4), `${head}command 1\nmasked 1\n`)
  assert.equal(until('rows:>50', 8), '')
  assert.equal(until('rows:>50', 9), `${head}command 3\nresponse.end 3\n`)
  assert.equal(until('rows:>500', 9), '')
})

test('a command that began before somebody watched is not judged', () => {
  assert.equal(shown('-verdict:masked', session, 3).text, two + three + end)
})

test('of a command that is not decided about no more is kept than has room, and what had none is told', () => {
  const pieces = 40_000
  const entries: Entry[] = [
    openedEntry('s_one'),
    commandEntry(1, 'select 1'),
    ...Array.from({ length: pieces }, (): Entry => ({ kind: 'lineage', seq: 1, text: 'x' })),
    endEntry(1, { rows: 7 }),
  ]
  const { text, lost } = shown('rows:7', entries)
  assert.ok(text.length < 70_000, String(text.length))
  assert.equal(text.split('lineage').length - 1 + lost, pieces)
  assert.match(text, /^session\.opened\ncommand 1\n/)
  assert.match(text, /response\.end 1\n$/)
  // Commands whose ends never come don't pile up.
  const many = Array.from({ length: 3000 }, (_, at) => commandEntry(at + 1, 'select 1'))
  const open = [openedEntry('s_one'), ...many, ...many.map(({ seq }) => endEntry(seq, { rows: 7 }))]
  const ends = shown('rows:7', open).text.split('response.end').length - 1
  assert.ok(ends <= 1000 && ends > 0, String(ends))
})
