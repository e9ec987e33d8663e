import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MaskRule } from '@sallyport/core'
import { matchesColumn, matchesGlob } from './column-pattern.ts'
import { planColumns, type ColumnOutcome, type ResultField } from './column-plan.ts'

const field = (typeOid = 25): ResultField => ({
  name: 'x',
  tableOid: 0,
  attribute: 0,
  typeOid,
  typmod: -1,
  format: 0,
})
const cards: MaskRule = {
  rule: 'p/cards',
  columns: [],
  detect: ['credit_card'],
  with: 'last4',
  unresolved: 'mask',
}
const clean: ColumnOutcome = { kind: 'clean' }
const direct: ColumnOutcome = { kind: 'direct', with: 'partial', rule: 'p/r' }
const derived: ColumnOutcome = { kind: 'derived', rule: 'p/r', blockedBy: undefined }

function kinds(
  outcomes: ColumnOutcome[],
  masks: MaskRule[] = [],
  fields = outcomes.map(() => field()),
): string[] {
  const plan = planColumns(fields, outcomes, masks)
  if ('blocked' in plan) return [`blocked ${plan.blocked}`]
  return plan.map((step) => (step.kind === 'column' ? step.fn : step.kind))
}

test("a masked column keeps its rule's function, and what is computed from one becomes NULL", () => {
  assert.deepEqual(kinds([clean, direct, derived]), ['pass', 'partial', 'null'])
})

test('a rule that would rather withhold a result blocks it', () => {
  assert.deepEqual(kinds([clean, { ...derived, blockedBy: 'p/r' }]), ['blocked p/r'])
})

test('a column of which nothing is known is withheld', () => {
  assert.deepEqual(kinds([], [], [field()]), ['null'])
})

test('detectors look at text that no column rule masks, and at nothing else', () => {
  assert.deepEqual(kinds([clean, direct], [cards]), ['detect', 'partial'])
  assert.deepEqual(kinds([clean], [cards], [field(23)]), ['pass'])
})

test('patterns match part by part', () => {
  assert.ok(matchesColumn(['users', 'email'], ['any', 'users', 'email']))
  assert.ok(!matchesColumn(['shop', 'users', 'email'], ['any', 'users', 'email']))
  assert.ok(!matchesColumn(['a.b', 'c'], ['a', 'b', 'c']))
  assert.ok(matchesGlob('a*b*c', 'a1b2c') && matchesGlob('*', '') && matchesGlob('**x', 'x'))
  assert.ok(!matchesGlob('a*a', 'a') && !matchesGlob('a*b*c', 'acb'))
})
