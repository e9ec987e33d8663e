import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MaskKey } from '@sallyport/core'
import fc from 'fast-check'
import { MaskSink } from './mask-sink.ts'
import { createRowMasker, MaskError, type ColumnPlan } from './row-masker.ts'

const key = new MaskKey(Buffer.alloc(32, 7))
const text = 25
const pass: ColumnPlan = { kind: 'pass' }
const redact: ColumnPlan = {
  kind: 'column',
  fn: 'redact',
  typeOid: text,
  typmod: -1,
  format: 0,
  rule: 'r',
}
const detect: ColumnPlan = {
  kind: 'detect',
  rules: [{ detect: ['email'], with: 'redact', rule: 'd' }],
  typeOid: text,
  format: 0,
}

function dataRow(values: readonly (string | null)[]): Buffer {
  const parts = values.map((value) => {
    const bytes = Buffer.from(value ?? '')
    const length = Buffer.alloc(4)
    length.writeInt32BE(value === null ? -1 : bytes.length)
    return Buffer.concat([length, bytes])
  })
  const body = Buffer.concat(parts)
  const header = Buffer.alloc(7)
  header.write('D')
  header.writeInt32BE(body.length + 6, 1)
  header.writeInt16BE(values.length, 5)
  return Buffer.concat([header, body])
}

test('masked columns change, null stays null, and lengths are right again', () => {
  const value = fc.option(fc.string())
  fc.assert(
    fc.property(value, value, value, (first, second, third) => {
      const masker = createRowMasker([redact, pass, redact], key)
      const sink = new MaskSink()
      const row = dataRow([first, second, third])
      const frames = Buffer.concat([Buffer.from('before'), row, Buffer.from('behind')])
      const changed = masker.maskDataRow(frames, 6, 6 + row.length, sink)
      const hide = (field: string | null): string | null => (field === null ? null : '•••')
      assert.equal(changed, first !== null || third !== null)
      assert.deepEqual(
        sink.take(),
        changed ? dataRow([hide(first), second, hide(third)]) : Buffer.alloc(0),
      )
      const values = Number(first !== null) + Number(third !== null)
      assert.deepEqual([...masker.takeCounts()], values === 0 ? [] : [['r', values]])
    }),
  )
})

test('a row without findings is not written again', () => {
  const masker = createRowMasker([detect, detect], key)
  const sink = new MaskSink()
  const row = dataRow(['plain words', null])
  assert.equal(masker.maskDataRow(row, 0, row.length, sink), false)
  assert.equal(sink.length, 0)
})

test('a finding is masked in place and counted by its rule', () => {
  const masker = createRowMasker([detect, pass], key)
  const sink = new MaskSink()
  const row = dataRow(['mail anna@mail.example, é', 'bob@mail.example'])
  assert.equal(masker.maskDataRow(row, 0, row.length, sink), true)
  assert.deepEqual(sink.take(), dataRow(['mail •••, é', 'bob@mail.example']))
  assert.deepEqual([...masker.takeCounts()], [['d', 1]])
  assert.deepEqual([...masker.takeCounts()], [])
})

test('a block mask and a row of another shape leave nothing behind', () => {
  const block: ColumnPlan = {
    kind: 'column',
    fn: 'block',
    typeOid: text,
    typmod: -1,
    format: 0,
    rule: 'b',
  }
  const sink = new MaskSink()
  sink.write(Buffer.from('kept'))
  const row = dataRow(['a', 'b'])
  const broken = Buffer.from(row)
  broken.writeInt32BE(99, 7)
  for (const [plan, frames] of [
    [[redact, block], row],
    [[redact], row],
    [[redact, redact, redact], row],
    [[redact, redact], broken],
  ] as const) {
    const masker = createRowMasker(plan, key)
    assert.throws(() => masker.maskDataRow(frames, 0, frames.length, sink), MaskError)
  }
  assert.equal(String(sink.take()), 'kept')
})

test('binary jsonb keeps its version byte', () => {
  const masker = createRowMasker([{ ...detect, typeOid: 3802, format: 1 }], key)
  const { fields, changed } = masker.maskCopyFields(
    [Buffer.from('\u0001{"m": "a@b.example"}')],
    true,
  )
  assert.ok(changed)
  assert.equal(String(fields[0]), '\u0001{"m": "•••"}')
})

test('COPY fields are masked like rows', () => {
  const masker = createRowMasker([redact, pass], key)
  const fields = [Buffer.from('secret'), null]
  assert.deepEqual(masker.maskCopyFields(fields, true), {
    fields: [Buffer.from('•••'), null],
    changed: true,
  })
  assert.equal(masker.maskCopyFields([null, null], true).changed, false)
  assert.throws(() => masker.maskCopyFields([null], true), MaskError)
})

test('a sink grows and starts anew', () => {
  const sink = new MaskSink()
  const large = Buffer.alloc(200_000, 1)
  sink.write(large)
  sink.writeInt32(7)
  assert.equal(sink.take().length, 200_004)
  assert.equal(sink.take().length, 0)
})

test('a finding inside a binary array makes the array null, so that no length in it is wrong', () => {
  const binaryTextArray = { ...detect, typeOid: 1009, format: 1 } as const
  const masker = createRowMasker([binaryTextArray, pass], key)
  const sink = new MaskSink()
  const row = dataRow(['\0\0\0\x01 packed ana@example.com ', 'x'])
  assert.equal(masker.maskDataRow(row, 0, row.length, sink), true)
  assert.deepEqual(sink.take(), dataRow([null, 'x']))
})
