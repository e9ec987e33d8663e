import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type { ApprovalView } from '../approval.ts'
import { isForChat, oneLine, toldOf } from './told-approval.ts'

const view: ApprovalView = {
  id: 'ap_1',
  state: 'pending',
  session: 's_1',
  seq: 1,
  agent: 'a_2',
  tree: 'a_1',
  chain: ['dana', 'fixer'],
  level: 2,
  connection: 'orders-db',
  database: 'shop',
  application: 'psql with a secret',
  source: '10.0.0.7',
  text: "DELETE FROM orders WHERE card = '4111 1111'",
  textLength: 42,
  outline: 'DELETE FROM orders WHERE card = ?',
  parameters: ['4111 1111'],
  class: 'write',
  verb: 'delete',
  objects: ['public.orders'],
  unbounded: false,
  opaque: [],
  inTransaction: false,
  demands: [
    { rule: 'p/r', message: '', from: ['group:dba'], count: 2, selfRoot: 'deny', offer: ['once'] },
  ],
  policyVersion: 1,
  binding: 'b',
  wait: 'hold',
  askedAt: '2026-11-22T00:00:00.000Z',
  until: '2026-11-22T00:10:00.000Z',
  answers: [],
}

suite('what leaves the gateway of a request', () => {
  test('is no text as it was sent, no value, and nothing that the caller says of itself', () => {
    const told = JSON.stringify(toldOf(view, (id) => `https://gw/a/${id}`))
    assert.doesNotMatch(told, /4111|secret|10\.0\.0\.7/u)
    assert.match(told, /DELETE FROM orders WHERE card = \?/u)
    assert.match(told, /2 of group:dba/u)
    assert.match(told, /https:\/\/gw\/a\/ap_1/u)
  })

  test('has no statement where values could not be told apart, and no address where nobody can log in', () => {
    const { outline: _outline, ...rest } = view
    const told = toldOf(rest, () => undefined)
    assert.deepEqual([told.statement, told.url], [undefined, undefined])
  })

  test('shows every sign that steers, and is cut: names of agents and objects too', () => {
    const evil = `\u202Eevil\u200B\u0007\n<@U123> *bold* ${'x'.repeat(500)}`
    const told = toldOf(
      { ...view, chain: [evil], objects: Array.from({ length: 50 }, () => evil), outline: evil },
      () => undefined,
    )
    for (const text of [told.chain[0], told.objects[0], told.statement]) {
      assert.equal(text?.length, 120)
      assert.ok(text.startsWith(String.raw`\u202eevil\u{200b}\x07\x0a<@U123> *bold*`), text)
    }
    assert.equal(told.objects.at(-1), 'and 40 more')
  })

  test('has no address that a reader of mail would make a link of', () => {
    const line = oneLine('"https://evil.example/a/ap_1" WWW.evil.example ftp://x')
    assert.equal(line, '"https: //evil.example/a/ap_1" WW W.evil.example ftp: //x')
    assert.doesNotMatch(line, /:\/\/|www\./iu)
  })

  test('is one line of at most 120 characters that nothing is hidden in, whatever it was', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 400 }), (text) => {
        const line = oneLine(text)
        assert.ok(line.length <= 120 && line.isWellFormed())
        assert.doesNotMatch(line, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
      }),
    )
  })
})

test('a chat decides where nothing follows from the rows that the planner counts', () => {
  const no = { known: false, why: 'not asked' } as const
  const demands = view.demands.map((each) => ({ ...each, chatRowsMax: 5 }))
  const withTables = (tables: NonNullable<ApprovalView['preview']>['tables'], of = 'write') => {
    const rest = { locks: no, undo: no, before: no, sameShape: no }
    const estimate = { known: true, value: 5, source: 'planner estimate' } as const
    return isForChat({ ...view, class: of, demands, preview: { estimate, tables, ...rest } })
  }
  const of = (cascades: string[], triggers: string[]) =>
    ({
      known: true,
      value: [{ name: 'orders', rows: no, cascades, triggers }],
      source: 'catalog',
    }) as const
  assert.equal(withTables(of([], [])), true)
  assert.equal(withTables(of(['order_items (ON DELETE CASCADE)'], [])), false)
  assert.equal(withTables(of([], ['audit'])), false)
  assert.equal(withTables({ known: true, value: [], source: 'catalog' }), false)
  assert.equal(withTables(no), false)
  assert.equal(withTables(no, 'read'), true)
})
