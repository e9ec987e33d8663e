import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { MaskKey } from './mask-key.ts'
import { permuteDigits } from './permute-digits.ts'

test('a keyed hash is HMAC-SHA-256 over domain, zero byte and value, for any key and length', () => {
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 100 }).map((array) => Buffer.from(array))
  const text = fc.oneof(
    fc.string({ unit: 'binary', maxLength: 400 }),
    fc.string({ unit: 'binary', maxLength: 4 }).map((part) => part.repeat(300)),
    fc.string({ maxLength: 5 }).map((part) => `${part}\ud800`),
  )
  const value = fc.oneof(
    text,
    fc.uint8Array({ maxLength: 2000 }).map((array) => Buffer.from(array)),
  )
  const domain = fc.stringMatching(/^[a-z0-9-]{1,40}$/)
  fc.assert(
    fc.property(
      bytes,
      domain,
      fc.array(value, { minLength: 1, maxLength: 4 }),
      (key, use, values) => {
        const maskKey = new MaskKey(key)
        // Several in a row: what one leaves behind must not be part of the next.
        for (const each of values) {
          const expected = createHmac('sha256', key).update(`${use}\0`).update(each).digest()
          assert.deepEqual(maskKey.mac(use, each), expected)
        }
      },
    ),
  )
})

test('kept values of the round function are those that the cipher gives', () => {
  const key = new MaskKey(Buffer.alloc(32, 5))
  const sides = fc.integer({ min: 1, max: 50_000 })
  fc.assert(
    fc.property(sides, fc.nat(200), fc.nat(9), fc.array(fc.nat()), (side, small, round, values) => {
      // A domain has one side, as a band has.
      const domain = side * 256 + small
      for (const value of values.map((each) => each % side)) {
        const direct = key.round(domain, round, value) % side
        assert.equal(key.roundModulo(domain, round, value, side, side), direct)
      }
    }),
  )
})

test('numbers of three digits are permuted: none is lost, none comes twice, under two keys differently', () => {
  const all = Array.from({ length: 900 }, (_, at) => String(100 + at))
  const under = (byte: number): string[] => {
    const key = new MaskKey(Buffer.alloc(32, byte))
    return all.map((digits) => permuteDigits(digits, key))
  }
  assert.deepEqual(under(1).toSorted(), all)
  assert.notDeepEqual(under(1), under(2))
})
