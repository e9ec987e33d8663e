import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MaskRule } from '@sallyport/core'
import { matchesColumn, matchesGlob } from './column-pattern.ts'
import {
  planColumns,
  type CatalogColumn,
  type MaskCatalog,
  type PlanInput,
  type ResultField,
} from './column-plan.ts'

const field = (tableOid: number, typeOid = 25): ResultField => ({
  name: 'x',
  tableOid,
  attribute: 1,
  typeOid,
  typmod: -1,
  format: 0,
})
const rule = (over: Partial<MaskRule>): MaskRule => ({
  rule: 'p/r',
  columns: [['*', 'email']],
  detect: [],
  with: 'partial',
  unresolved: 'mask',
  ...over,
})
const column = (
  kind: CatalogColumn['kind'],
  ...names: [string, string, string][]
): CatalogColumn => ({ kind, names })
const catalog: MaskCatalog = {
  column: (oid) =>
    new Map([
      [1, column('table', ['public', 'users', 'email'])],
      [2, column('table', ['public', 'users', 'id'])],
      [3, column('table', ['public', 'child', 'mail'], ['public', 'parent', 'email'])],
      [4, column('view', ['public', 'v', 'mail'])],
      [5, column('view', ['public', 'w', 'mail'])],
    ]).get(oid),
  readsMasked: (oid) => oid === 4,
}

function kinds(fields: ResultField[], over: Partial<PlanInput> = {}): string[] {
  const plan = planColumns({
    fields,
    masks: [rule({})],
    origins: catalog,
    touchesMasked: true,
    clean: () => false,
    ...over,
  })
  if ('blocked' in plan) return [`blocked ${plan.blocked}`]
  return plan.map((step) => (step.kind === 'column' ? step.fn : step.kind))
}

test('a column is masked by its own name, and by the name it has in an ancestor', () => {
  assert.deepEqual(kinds([field(1), field(2), field(3)]), ['partial', 'pass', 'partial'])
})

test('a column of a view is masked where the view reads masked columns', () => {
  assert.deepEqual(kinds([field(4), field(5)]), ['partial', 'pass'])
})

test('a computed column is masked unless it is proved clean or nothing masked is read', () => {
  assert.deepEqual(kinds([field(0)]), ['partial'])
  assert.deepEqual(kinds([field(0)], { clean: () => true }), ['pass'])
  assert.deepEqual(kinds([field(0)], { touchesMasked: false }), ['pass'])
})

test('a table that the catalogue does not know is masked in any case', () => {
  assert.deepEqual(kinds([field(99)], { clean: () => true, touchesMasked: false }), ['partial'])
})

test('an unresolved column takes the strictest function, or blocks', () => {
  const masks = [rule({}), rule({ with: 'hash', columns: [['public', 'other', 'x']] })]
  assert.deepEqual(kinds([field(0)], { masks }), ['hash'])
  assert.deepEqual(kinds([field(0)], { masks: [rule({ unresolved: 'block' })] }), ['blocked p/r'])
})

test('detectors look into the text columns that no column mask hides', () => {
  const masks = [rule({}), rule({ columns: [], detect: ['pii'], with: 'redact' })]
  assert.deepEqual(kinds([field(1), field(2), field(2, 23), field(2, 3802)], { masks }), [
    'partial',
    'detect',
    'pass',
    'detect',
  ])
})

test('patterns match part by part', () => {
  assert.ok(matchesColumn(['users', 'email'], ['any', 'users', 'email']))
  assert.ok(!matchesColumn(['shop', 'users', 'email'], ['any', 'users', 'email']))
  assert.ok(!matchesColumn(['a.b', 'c'], ['a', 'b', 'c']))
  assert.ok(matchesGlob('a*b*c', 'a1b2c') && matchesGlob('*', '') && matchesGlob('**x', 'x'))
  assert.ok(!matchesGlob('a*a', 'a') && !matchesGlob('a*b*c', 'acb'))
})
