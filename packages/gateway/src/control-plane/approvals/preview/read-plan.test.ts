import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { rowsOfPlan } from './read-plan.ts'

interface Node {
  readonly 'Node Type': string
  readonly 'Plan Rows': number
  readonly 'Parent Relationship'?: string
  readonly Plans?: readonly Node[]
}

const plan = (node: unknown): string => JSON.stringify([{ Plan: node }])
const scan = (rows: number, more: Partial<Node> = {}): Node => ({
  'Node Type': 'Seq Scan',
  'Plan Rows': rows,
  'Parent Relationship': 'Outer',
  ...more,
})
const modify = (...Plans: Node[]): Node => ({ 'Node Type': 'ModifyTable', 'Plan Rows': 0, Plans })

test('rows are those that reach what changes tables, or those that come back where nothing does', () => {
  assert.equal(rowsOfPlan(plan(scan(7))), 7)
  assert.equal(rowsOfPlan(plan(modify(scan(1204)))), 1204)
  assert.equal(rowsOfPlan(plan(modify(scan(3), scan(9, { 'Parent Relationship': 'InitPlan' })))), 3)
  assert.equal(rowsOfPlan(plan(modify(scan(3), scan(9, { 'Parent Relationship': 'SubPlan' })))), 3)
  // Of a SELECT over two changing WITH queries both count, and what it returns does not.
  const with2 = scan(1, { Plans: [modify(scan(20)), modify(scan(30))] })
  assert.equal(rowsOfPlan(plan(with2)), 50)
})

test('what is understood in part, or is no plan, is no number: never a small one', () => {
  const below = scan(5, { Plans: [{ 'Node Type': 'Seq Scan' } as unknown as Node] })
  for (const text of [
    null,
    undefined,
    '',
    'x',
    '[]',
    '{}',
    '[1]',
    '[{}]',
    '[{"Plan": {}}]',
    '[{"Plan": null}]',
    plan(below),
    plan({
      ...scan(1),
      Plans: {},
    }),
    plan({
      ...scan(1),
      'Plan Rows': '1',
    }),
    plan(scan(-1)),
    plan(modify(scan(-5), scan(5))),
    '[{"Plan": {"Node Type": "x", "Plan Rows": 1e999}}]',
  ])
    assert.equal(rowsOfPlan(text), undefined, String(text))
})

test('any text gives a number of rows or none, and never throws', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.json(),
        fc.string(),
        fc.json().map((json) => `[{"Plan": ${json}}]`),
      ),
      (text) => {
        const rows = rowsOfPlan(text)
        assert.ok(rows === undefined || (Number.isFinite(rows) && rows >= 0))
      },
    ),
  )
  const open = '{"Node Type": "ModifyTable", "Plan Rows": 1, "Plans": ['
  const deep = (levels: number): string =>
    `[{"Plan": ${open.repeat(levels)}${']}'.repeat(levels)}}]`
  assert.equal(rowsOfPlan(deep(500)), 499)
  assert.equal(rowsOfPlan(deep(100_000)), undefined)
})

test('a change anywhere in a plan is never told as fewer rows than reach it', () => {
  const { node: tree } = fc.letrec<{ node: Node }>((tie) => ({
    node: fc.record({
      'Node Type': fc.constantFrom('Seq Scan', 'Append', 'CTE Scan', 'Result'),
      'Plan Rows': fc.nat({ max: 1000 }),
      'Parent Relationship': fc.constantFrom('Outer', 'Inner', 'Member', 'InitPlan', 'SubPlan'),
      Plans: fc.oneof({ maxDepth: 3 }, fc.constant([]), fc.array(tie('node'), { maxLength: 3 })),
    }),
  }))
  fc.assert(
    fc.property(tree, fc.nat({ max: 1000 }), (around, rows) => {
      const changed = { ...around, Plans: [...(around.Plans ?? []), modify(scan(rows))] }
      assert.equal(rowsOfPlan(plan(changed)), rows)
    }),
  )
})
