import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { MaskFunction } from '../verdict.ts'
import { coversMasks, maskSetOf } from './mask-set.ts'

const mask = fc.record({
  columns: fc.array(fc.array(fc.constantFrom('*', 'users', 'email'), { maxLength: 3 }), {
    maxLength: 3,
  }),
  with: fc.constantFrom<MaskFunction>('partial', 'redact', 'round:10'),
})

test('a set has one name, whatever the order and number of the rules that make it', () => {
  fc.assert(
    fc.property(fc.array(mask), (masks) => {
      const again = [...masks, ...masks].toReversed()
      assert.equal(maskSetOf(again)?.id, maskSetOf(masks)?.id)
    }),
  )
})

test('a set covers a part of itself, and nothing beyond', () => {
  fc.assert(
    fc.property(fc.array(mask), fc.array(mask), (some, more) => {
      const both = maskSetOf([...some, ...more])
      assert.ok(coversMasks(both, some))
      const isWider = maskSetOf(some)?.id !== both?.id
      assert.equal(coversMasks(maskSetOf(some), more), !isWider)
    }),
  )
})

test('masks without columns need no set, and columns are never covered by none', () => {
  assert.equal(maskSetOf([{ columns: [], with: 'redact' }]), undefined)
  assert.ok(coversMasks(undefined, [{ columns: [], with: 'redact' }]))
  assert.ok(!coversMasks(undefined, [{ columns: [['*', 'email']], with: 'redact' }]))
})
