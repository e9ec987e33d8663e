import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { MaskFunction } from '../../verdict.ts'
import { BLOCK } from '../mask-function.ts'
import { dayOf, printDay } from '../mask-date.ts'
import { MaskKey } from '../mask-key.ts'
import { maskPgValue } from './mask-pg-value.ts'
import { decodeNumeric, encodeNumeric } from './numeric-binary.ts'
import { OID } from './pg-types.ts'

const key = new MaskKey(Buffer.alloc(32, 7))
const functions: MaskFunction[] = [
  'redact',
  'hash',
  'token',
  'last4',
  'partial',
  'round:10',
  'round:year',
]
const anyFunction = fc.constantFrom(...functions)
const runs = { numRuns: 300 }

function mask(
  fn: MaskFunction,
  typeOid: number,
  value: Buffer | string,
  format: 'text' | 'binary' = 'text',
  typmod = -1,
) {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  const masked = maskPgValue({ fn, typeOid, typmod, format, key, value: bytes })
  assert.ok(masked !== BLOCK)
  return masked
}

test('an unknown type becomes null whatever the function is, and block is told', () => {
  for (const fn of functions) assert.equal(mask(fn, 99_999, 'secret'), null)
  assert.equal(
    maskPgValue({
      fn: 'block',
      typeOid: 25,
      typmod: -1,
      format: 'text',
      key,
      value: Buffer.from('x'),
    }),
    BLOCK,
  )
  assert.equal(mask('null', OID.int4, '12'), null)
})

test('a masked int4 is an int4 and says the same in text and in binary', () => {
  fc.assert(
    fc.property(fc.integer(), anyFunction, (number, fn) => {
      const binary = Buffer.alloc(4)
      binary.writeInt32BE(number)
      const text = Number(String(mask(fn, OID.int4, String(number))))
      const out = mask(fn, OID.int4, binary, 'binary')
      assert.ok(Number.isInteger(text) && text >= -(2 ** 31) && text < 2 ** 31)
      assert.equal(out?.readInt32BE(0) ?? null, text)
    }),
    runs,
  )
})

test('a token keeps the number of digits and never joins two numbers', () => {
  for (const [from, to] of [
    [0, 2500],
    [32_000, 33_500],
  ] as const) {
    const seen = new Set<string>()
    for (let number = from; number < to; number++) {
      const token = String(mask('token', OID.int8, String(number)))
      assert.equal(token.length, String(number).length)
      seen.add(token)
    }
    assert.equal(seen.size, to - from)
  }
})

test('equal numbers of different types have equal tokens', () => {
  const big = '2000000000'
  assert.deepEqual(mask('token', OID.int4, big), mask('token', OID.int8, big))
  assert.deepEqual(mask('token', OID.numeric, big), mask('token', OID.int8, big))
  assert.equal(
    String(mask('token', OID.numeric, '12.50')),
    `${String(mask('token', OID.numeric, '12.5'))}0`,
  )
})

test('a binary numeric decodes to what was encoded', () => {
  const numeric = /^-?(?:0|[1-9][0-9]{0,40})(?:\.[0-9]{1,20})?$/
  fc.assert(
    fc.property(fc.stringMatching(numeric), (text) => {
      const zero = /^-[0.]*$/.test(text)
      assert.equal(decodeNumeric(encodeNumeric(text)), zero ? text.slice(1) : text)
    }),
    runs,
  )
})

test('a masked numeric says the same in text and in binary', () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^-?[1-9][0-9]{0,30}(?:\.[0-9]{1,9})?$/),
      anyFunction,
      (text, fn) => {
        const binary = mask(fn, OID.numeric, encodeNumeric(text), 'binary')
        assert.ok(binary)
        assert.equal(Number(decodeNumeric(binary)), Number(String(mask(fn, OID.numeric, text))))
      },
    ),
    runs,
  )
})

test('a masked date is a date and says the same in text and in binary', () => {
  fc.assert(
    fc.property(fc.integer({ min: -300_000, max: 300_000 }), anyFunction, (day, fn) => {
      const text = new Date(day * 86_400_000).toISOString().slice(0, 10)
      const binary = Buffer.alloc(4)
      binary.writeInt32BE(day - 10_957)
      const masked = Date.parse(`${String(mask(fn, OID.date, text))}T00:00:00Z`)
      const out = mask(fn, OID.date, binary, 'binary')
      assert.equal((out?.readInt32BE(0) ?? 0) + 10_957, masked / 86_400_000)
      if (fn === 'token') assert.notEqual(masked / 86_400_000, day)
    }),
    runs,
  )
})

test('a masked timestamp is one and says the same in text and in binary', () => {
  // Microseconds since 2000 within the years 1 to 9999, and some beyond.
  const micros = fc.bigInt({ min: -63_200_000_000_000_000n, max: 253_000_000_000_000_000n })
  fc.assert(
    fc.property(micros, anyFunction, (value, fn) => {
      const ms = Number(value / 1000n) + Date.UTC(2000, 0, 1)
      const part = ((value % 1_000_000n) + 1_000_000n) % 1_000_000n
      const second = new Date(Math.floor(Number((value - part) / 1000n) + Date.UTC(2000, 0, 1)))
      if (second.getUTCFullYear() < 1 || second.getUTCFullYear() > 9999 || Number.isNaN(ms)) return
      const fraction = part === 0n ? '' : `.${String(part).padStart(6, '0').replace(/0+$/, '')}`
      const text = `${second.toISOString().slice(0, 19).replace('T', ' ')}${fraction}`
      const binary = Buffer.alloc(8)
      binary.writeBigInt64BE(value)
      const masked = String(mask(fn, OID.timestamp, text))
      const out = mask(fn, OID.timestamp, binary, 'binary')?.readBigInt64BE(0) ?? 0n
      const [whole = '', digits = ''] = masked.split('.')
      const expected =
        BigInt(Date.parse(`${whole.replace(' ', 'T')}Z`) - Date.UTC(2000, 0, 1)) * 1000n +
        BigInt(digits.padEnd(6, '0'))
      assert.equal(out, expected, `${text} ${masked}`)
      if (fn === 'token') assert.notEqual(out, value)
    }),
    runs,
  )
})

test('every day has its number, and no other date has one', () => {
  for (let day = -719_162; day <= 2_932_896; day += 97) {
    const [year = 0, month = 0, date = 0] = printDay(day).split('-').map(Number)
    assert.equal(dayOf(year, month, date), day)
  }
  for (const [year, month, date] of [
    [2023, 2, 29],
    [1900, 2, 29],
    [2024, 4, 31],
    [2024, 0, 1],
    [2024, 13, 1],
    [2024, 1, 0],
  ] as const)
    assert.equal(dayOf(year, month, date), undefined)
})

test('a date keeps its year under partial, and a token of a timestamp moves the time of day', () => {
  assert.equal(String(mask('partial', OID.date, '1987-06-05')), '1987-01-01')
  assert.equal(
    String(mask('partial', OID.timestamptz, '1987-06-05 04:03:02.1+02')),
    '1987-01-01 00:00:00+02',
  )
  assert.equal(
    String(mask('round:month', OID.timestamp, '1987-06-05 04:03:02')),
    '1987-06-01 00:00:00',
  )
  assert.doesNotMatch(String(mask('token', OID.timestamp, '1987-06-05 04:03:02')), /04:03:02/)
  assert.equal(String(mask('token', OID.date, 'infinity')), '1970-01-01')
})

test('a planted text is in no masked value of any type', () => {
  const planted = 'zq7xk9wvj2mh'
  const types = [...Object.values(OID), 600, 1186, 869, 1009, 3802, 3904, 4451, 99_999]
  for (const fn of functions) {
    for (const typeOid of types) {
      for (const value of [planted, `"${planted}"`, `{"a":"${planted}"}`]) {
        for (const format of ['text', 'binary'] as const) {
          const masked = mask(fn, typeOid, value, format, 40)
          assert.equal(masked?.includes(planted) ?? false, false, `${fn} ${typeOid} ${format}`)
        }
      }
    }
  }
})

test('a mask fits the declared length of its column', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'grapheme' }),
      fc.integer({ min: 1, max: 20 }),
      anyFunction,
      (text, length, fn) => {
        const varchar = String(mask(fn, OID.varchar, text, 'text', length + 4))
        const bpchar = String(mask(fn, OID.bpchar, text, 'text', length + 4))
        assert.ok(Array.from(varchar).length <= length)
        assert.equal(Array.from(bpchar).length, length)
      },
    ),
    runs,
  )
})

test('masks of texts look as the policy page says', () => {
  assert.equal(String(mask('partial', OID.text, 'anna@example.com')), 'a**@***.com')
  assert.equal(String(mask('partial', OID.text, 'Anna Meier')), 'A•••r')
  assert.equal(String(mask('last4', OID.text, '4111 1111 1111 1234')), '•••• 1234')
  assert.match(String(mask('token', OID.text, 'anna')), /^tok_[0-9a-z]{10}$/)
  assert.match(String(mask('hash', OID.text, 'anna')), /^[0-9a-f]{16}$/)
  assert.equal(String(mask('partial', OID.int4, '-4523')), '-4000')
  assert.equal(String(mask('round:10', OID.int4, '4526')), '4530')
  assert.equal(String(mask('partial', OID.int4, '7')), '0')
  assert.equal(String(mask('redact', OID.jsonb, '{"a":1}')), 'null')
  assert.equal(String(mask('last4', OID.jsonb, '"4111111111111234"')), '"•••• 1234"')
})

test('another key gives another token', () => {
  const other = MaskKey.derive(Buffer.alloc(32, 7), 'root')
  const target = {
    fn: 'token',
    typeOid: OID.text,
    typmod: -1,
    format: 'text',
    value: Buffer.from('anna'),
  } as const
  assert.notDeepEqual(maskPgValue({ ...target, key }), maskPgValue({ ...target, key: other }))
})
