import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { MaskFunction } from '../../verdict.ts'
import { MaskKey } from '../mask-key.ts'
import { maskPgValue } from './mask-pg-value.ts'
import type { PgFormat } from './pg-empty-value.ts'
import type { PgTypes } from './pg-type-info.ts'
import { ARRAY_ELEMENTS, MULTIRANGES, OID, RANGES } from './pg-types.ts'

const key = new MaskKey(Buffer.alloc(32, 7))
const labels = ['happy', 'so so', 'sad', 'x"y', 'calm']
const mood = 20_000
const types: PgTypes = (oid) =>
  new Map<number, ReturnType<PgTypes>>([
    [mood, { kind: 'enum', labels }],
    [20_001, { kind: 'array', element: mood }],
    [20_002, { kind: 'text' }],
    [20_003, { kind: 'domain', base: OID.varchar, typmod: 7 }],
    [20_004, { kind: 'range', subtype: OID.int4 }],
    [20_005, { kind: 'domain', base: 20_005, typmod: -1 }],
    [20_006, { kind: 'array', element: 20_006 }],
  ]).get(oid)

function mask(
  fn: MaskFunction,
  typeOid: number,
  value: Buffer | string,
  format: PgFormat = 'text',
): Buffer | null {
  const bytes = typeof value === 'string' ? Buffer.from(value) : value
  const masked = maskPgValue({ fn, typeOid, typmod: -1, format, key, types, value: bytes })
  if (typeof masked === 'symbol') assert.fail('blocked')
  return masked
}
const masked = (fn: MaskFunction, typeOid: number, value: string): string =>
  String(mask(fn, typeOid, value))

/** As array_out prints, with every element quoted. */
const arrayText = (elements: readonly (string | null)[]): string =>
  `{${elements.map((one) => (one === null ? 'NULL' : `"${one.replace(/["\\]/g, '\\$&')}"`)).join(',')}}`

function arrayBinary(elements: readonly (Buffer | null)[], element: number): Buffer {
  const header = Buffer.alloc(20)
  header.writeInt32BE(1, 0)
  header.writeInt32BE(elements.includes(null) ? 1 : 0, 4)
  header.writeInt32BE(element, 8)
  header.writeInt32BE(elements.length, 12)
  header.writeInt32BE(1, 16)
  return Buffer.concat([header, ...elements.map(withLength)])
}

function withLength(value: Buffer | null): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(value === null ? -1 : value.length)
  return Buffer.concat([length, value ?? Buffer.alloc(0)])
}

const elements = fc.array(fc.option(fc.string({ unit: 'grapheme' })), {
  minLength: 1,
  maxLength: 6,
})

test('an array is masked element by element, and NULLs and their places stay', () => {
  fc.assert(
    fc.property(elements, (values) => {
      const hashes = values.map((one) => (one === null ? null : masked('hash', OID.text, one)))
      const text = masked('hash', 1009, arrayText(values))
      assert.equal(text, `{${hashes.map((one) => one ?? 'NULL').join(',')}}`)
      const bytes = (list: readonly (string | null)[]): (Buffer | null)[] =>
        list.map((one) => (one === null ? null : Buffer.from(one)))
      assert.deepEqual(
        mask('hash', 1009, arrayBinary(bytes(values), OID.text), 'binary'),
        arrayBinary(bytes(hashes), OID.text),
      )
    }),
  )
})

test('bounds and inner braces of an array stay, and what is no array is hidden whole', () => {
  assert.equal(
    masked('partial', 1007, '[0:1][1:2]={{1200,2300},{NULL,41}}'),
    '[0:1][1:2]={{1000,2000},{NULL,40}}',
  )
  assert.equal(masked('partial', 1009, '{"a \\"quoted\\" \\\\ word"}'), '{"a•••d"}')
  for (const broken of ['{', '{a', '{"a}', '{a}b', 'a', '{{{{{{{1}}}}}}}', '{a,,b}'])
    assert.equal(masked('partial', 1009, broken), '{}', broken)
  assert.equal(masked('redact', 1009, '{a,b}'), '{}')
})

const monotone: MaskFunction[] = ['token', 'fake', 'partial', 'round:10']

test('the bounds of a range stay in order, and text and binary say the same', () => {
  const bound = fc.option(fc.integer({ min: -100_000, max: 100_000 }))
  fc.assert(
    fc.property(bound, bound, fc.constantFrom(...monotone), (a, b, fn) => {
      const [low, high] = a !== null && b !== null && a > b ? [b, a] : [a, b]
      const text = masked(fn, 3904, `${low === null ? '(' : '['}${low ?? ''},${high ?? ''})`)
      const match = /^[[(](-?\d*),(-?\d*)\)$/.exec(text)
      assert.ok(match !== null, text)
      if (low !== null && high !== null) assert.ok(Number(match[1]) <= Number(match[2]), text)
      const binary = mask(fn, 3904, rangeBinary(low, high), 'binary')
      const number = (word: string | undefined): number | null =>
        word === undefined || word === '' ? null : Number(word)
      assert.deepEqual(binary, rangeBinary(number(match[1]), number(match[2])))
    }),
  )
  assert.equal(masked('round:month', 3912, '[2024-02-10,2024-03-20)'), '[2024-02-01,2024-03-01)')
  assert.equal(masked('round:10', 4451, '{[12,18),[41,77)}'), '{[10,20),[40,80)}')
  assert.equal(masked('token', 3904, 'empty'), 'empty')
  assert.equal(masked('hash', 3904, 'no range'), 'empty')
})

function rangeBinary(low: number | null, high: number | null): Buffer {
  const flags = (low === null ? 8 : 2) | (high === null ? 16 : 0)
  const parts = [low, high].flatMap((number) => {
    if (number === null) return []
    const value = Buffer.alloc(4)
    value.writeInt32BE(number)
    return [withLength(value)]
  })
  return Buffer.concat([Buffer.of(flags), ...parts])
}

test('labels of an enum change places; where a function shows a part, nothing is shown', () => {
  const tokens = labels.map((label) => masked('token', mood, label))
  assert.deepEqual(tokens.toSorted(), labels.toSorted())
  assert.equal(mask('token', mood, 'made a moment ago'), null)
  for (const fn of ['redact', 'partial', 'last4', 'round:10'] as const)
    assert.equal(mask(fn, mood, 'happy'), null)
  assert.match(masked('token', 20_001, '{happy,"so so",NULL}'), /,NULL}$/)
})

test('a text of another name and a domain are masked as what they are made of', () => {
  assert.equal(masked('partial', 20_002, 'anna@example.com'), 'a**@***.com')
  assert.equal(masked('hash', 20_003, 'anna').length, 3)
  assert.equal(mask('partial', 20_005, 'a domain of itself'), null)
})

test('addresses keep their family', () => {
  assert.equal(masked('partial', 869, '192.168.10.20/24'), '192.168.0.0')
  assert.match(masked('token', 869, '192.168.10.20'), /^10(?:\.\d{1,3}){3}$/)
  assert.match(masked('token', 869, '2001:db8::1'), /^fd[0-9a-f]{2}:/)
  assert.equal(masked('token', 869, '2001:db8::1'), masked('token', 869, '2001:db8:0:0::1'))
  assert.match(masked('token', 829, '08:00:2b:01:02:03'), /^[0-9a-f][26ae](?::[0-9a-f]{2}){5}$/)
  assert.notEqual(masked('partial', 869, '::ffff:1.2.3.4'), masked('redact', 869, 'x'))
})

test('arbitrary bytes give a value or NULL, in any type', () => {
  const oids = [
    ...Object.values(OID),
    ...ARRAY_ELEMENTS.keys(),
    ...RANGES.keys(),
    ...MULTIRANGES.keys(),
    869,
    650,
    829,
    774,
    20_000,
    20_001,
    20_002,
    20_003,
    20_004,
    20_005,
    20_006,
  ]
  const hostile = fc.oneof(
    fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes)),
    fc.string().map((text) => Buffer.from(text)),
    fc
      .constantFrom(
        '{',
        '[',
        '(',
        ',',
        ')',
        '"',
        '\\',
        '}',
        '9'.repeat(400),
        '-',
        'e9999',
        '::',
        '1.2.3.4',
      )
      .chain((part) =>
        fc.integer({ min: 1, max: 40 }).map((times) => Buffer.from(part.repeat(times))),
      ),
  )
  const fns: MaskFunction[] = [
    'redact',
    'hash',
    'token',
    'fake',
    'last4',
    'partial',
    'round:10',
    'round:year',
  ]
  fc.assert(
    fc.property(
      hostile,
      fc.constantFrom(...oids),
      fc.constantFrom(...fns),
      fc.constantFrom('text', 'binary'),
      (value, oid, fn, format) => {
        const out = mask(fn, oid, value, format)
        assert.ok(out === null || Buffer.isBuffer(out))
      },
    ),
    { numRuns: 4000 },
  )
})
