import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FoundSession } from '@sallyport/gateway'
import { searchTable } from './search.ts'

const match: FoundSession['matches'][number] = {
  at: '2026-11-20T14:10:03.500Z',
  seq: 7,
  id: 'c_1',
  verdict: 'blocked',
  rules: ['guard/no-drop'],
  class: 'ddl',
  verb: 'drop',
  text: 'drop table\n  customers\u001b[2J',
  textBytes: 25,
  rows: 0,
  bytes: 0,
  columns: [],
  masked: [],
}
const session: FoundSession = {
  id: 's_4tr9000000000',
  chain: ['dana', 'ci-fixer'],
  connection: 'orders-db',
  database: 'orders',
  level: 3,
  openedAt: '2026-11-20T14:09:00.000Z',
  closedAt: '2026-11-20T14:11:11.000Z',
  reason: 'ended',
  commands: { allowed: 6, held: 0, blocked: 1 },
  masked: [{ rule: 'pii/email', values: 96 }],
  matches: [match],
  hasMore: true,
}

test('a found session shows its matches below it, and no text moves the cursor', () => {
  assert.equal(
    searchTable([session], 100),
    [
      'SESSION  WHEN (UTC)        CHAIN            CONNECTION  CMDS  VERDICTS   DATA RETURNED           LENGTH',
      's_4tr    2026-11-20 14:09  dana › ci-fixer  orders-db   7     1 blocked  pii/email ×96 (masked)  2m',
      '    14:10:03  #7  drop table customers�[2J  ← blocked by guard/no-drop',
      '    …',
      '',
    ].join('\n'),
  )
})

test('a long text is cut to the width, and an open session says so', () => {
  const { closedAt, reason, ...open } = session
  assert.ok(closedAt !== undefined && reason !== undefined)
  const long = { ...match, text: 'select '.repeat(50), verdict: 'allowed', rules: [] } as const
  const lines = searchTable([{ ...open, matches: [long], hasMore: false }], 60).split('\n')
  assert.match(lines[1] ?? '', /open$/)
  assert.ok((lines[2] ?? '').length <= 60, lines[2])
  assert.match(lines[2] ?? '', /… {2}← match$/)
})
