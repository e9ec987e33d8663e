import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { WireError } from '../wire-error.ts'
import { encodeCopyBinaryHeader, encodeCopyBinaryTrailer } from './copy-binary.ts'
import type { CopyOptions, CopyRow } from './copy-row.ts'
import { copyRowEncoder, CopyRowSplitter } from './copy-rows.ts'

/** Mostly bytes that mean something to one of the formats. */
const tricky = [...Buffer.from('\\\n\r\t,"\';|.Nabnx07 ')]
const byte = fc.oneof(fc.constantFrom(...tricky), fc.integer({ min: 0, max: 255 }))
const value = fc.array(byte, { maxLength: 8 }).map((array) => Buffer.from(array))
const rows = fc.array(fc.array(fc.option(value), { minLength: 1, maxLength: 4 }), { maxLength: 6 })
const cuts = fc.infiniteStream(fc.integer({ min: 0, max: 9 }))
const options = fc.constantFrom<CopyOptions>(
  { format: 'text' },
  { format: 'text', delimiter: '|', null: 'Nab' },
  { format: 'text', delimiter: 'b', null: 'n' },
  { format: 'csv' },
  { format: 'csv', delimiter: ';', quote: "'", escape: '\\', null: '\\N' },
  { format: 'csv', delimiter: '\t', quote: '"', escape: 'x', null: 'x0' },
  { format: 'binary' },
)

function* pieces(bytes: Buffer, sizes: Iterable<number>): Generator<Buffer> {
  let at = 0
  for (const size of sizes) {
    if (at >= bytes.length) return
    yield bytes.subarray(at, at + size)
    at += size
  }
}

function split(
  bytes: Buffer,
  options: CopyOptions,
  sizes: Iterable<number> = [bytes.length],
): CopyRow[] {
  const splitter = new CopyRowSplitter(options)
  const rows: CopyRow[] = []
  for (const piece of pieces(bytes, sizes)) rows.push(...splitter.push(piece))
  return [...rows, ...splitter.finish()]
}

function encodeAll(rows: readonly (readonly (Buffer | null)[])[], options: CopyOptions): Buffer {
  const encode = copyRowEncoder(options)
  const body = rows.map((fields) => encode(fields))
  if (options.format !== 'binary') return Buffer.concat(body)
  return Buffer.concat([encodeCopyBinaryHeader(), ...body, encodeCopyBinaryTrailer()])
}

function texts(rows: readonly CopyRow[]): (string | null)[][] {
  return rows.map(({ fields }) => fields.map((field) => field?.toString() ?? null))
}

test('rows are themselves after encoding and splitting, however the data is cut', () => {
  fc.assert(
    fc.property(rows, options, cuts, (rows, options, sizes) => {
      const bytes = encodeAll(rows, options)
      const found = split(bytes, options, sizes)
      const fields = found.filter(({ kind }) => kind === 'row').map(({ fields }) => fields)
      assert.deepEqual(fields, rows)
      assert.deepEqual(Buffer.concat(found.map(({ raw }) => raw)), bytes)
    }),
    { numRuns: 1000 },
  )
})

test('a row with some fields replaced reads as that, and its other bytes stand as they stood', () => {
  fc.assert(
    fc.property(rows, options, value, (rows, options, other) => {
      const encode = copyRowEncoder(options)
      const found = split(encodeAll(rows, options), options).filter(({ kind }) => kind === 'row')
      const changed = found.map((row) => row.fields.with(0, other))
      const body = found.map((row, index) => encode(changed[index] ?? [], row))
      const head = options.format === 'binary' ? [encodeCopyBinaryHeader()] : []
      const again = split(Buffer.concat([...head, ...body]), options)
      const fields = again.filter(({ kind }) => kind === 'row').map(({ fields }) => fields)
      assert.deepEqual(fields, changed)
      for (const row of found) assert.deepEqual(encode(row.fields, row), encode(row.fields))
    }),
    { numRuns: 1000 },
  )
})

test('arbitrary data gives the same rows under any cut, or a wire error', () => {
  const data = fc.array(byte, { maxLength: 60 }).map((array) => Buffer.from(array))
  const outcome = (bytes: Buffer, options: CopyOptions, sizes?: Iterable<number>): unknown => {
    try {
      return split(bytes, options, sizes)
    } catch (error) {
      assert.ok(error instanceof WireError)
      return error.message
    }
  }
  fc.assert(
    fc.property(data, options, cuts, (data, options, sizes) => {
      const isBinary = options.format === 'binary'
      const bytes = isBinary ? Buffer.concat([encodeCopyBinaryHeader(), data]) : data
      assert.deepEqual(outcome(bytes, options, sizes), outcome(bytes, options))
    }),
    { numRuns: 1000 },
  )
})

test('text escapes are read as PostgreSQL reads them', () => {
  const line = Buffer.from('a\\tb\t\\N\t\\\\N\t\\x41\\102\\q\t\t\\\n.\r\n\\.\n')
  const found = split(line, { format: 'text' })
  assert.deepEqual(texts(found), [['a\tb', null, '\\N', 'ABq', '', '\n.'], []])
  assert.equal(found[1]?.kind, 'trailer')
})

test('CSV quotes are read as PostgreSQL reads them', () => {
  const lines = Buffer.from('id,"na""me"\n1,"a\nb"\r\n,""\nx"y,z"w,last')
  const found = split(lines, { format: 'csv', header: true })
  assert.deepEqual(texts(found), [
    ['id', 'na"me'],
    ['1', 'a\nb'],
    [null, ''],
    ['xy,zw', 'last'],
  ])
  assert.deepEqual(
    found.map(({ kind }) => kind),
    ['header', 'row', 'row', 'row'],
  )
})

test('a carriage return that PostgreSQL might take for a row is refused', () => {
  assert.throws(() => split(Buffer.from('a\rb\n'), { format: 'text' }), { kind: 'malformed' })
  assert.throws(() => split(Buffer.from('a\rb\n'), { format: 'csv' }), { kind: 'malformed' })
})

test('a row over the limit is refused, whole or not', () => {
  const options: CopyOptions = { format: 'text', rowBytesMax: 4 }
  assert.equal(split(Buffer.from('abc\nabc\n'), options).length, 2)
  assert.throws(() => split(Buffer.from('abcd\n'), options), { kind: 'too-large' })
  assert.throws(() => new CopyRowSplitter(options).push(Buffer.from('abcde')), {
    kind: 'too-large',
  })
})

test('a binary COPY that is not one, ends early or goes on is malformed', () => {
  const options: CopyOptions = { format: 'binary' }
  const header = encodeCopyBinaryHeader()
  const flagged = Buffer.from(header)
  flagged.writeUInt32BE(0x10000, 11)
  const bad = [
    Buffer.from('PGCOPX'),
    flagged,
    Buffer.concat([header, Buffer.of(0, 1, 0)]),
    Buffer.concat([header, Buffer.of(0xff, 0xfe)]),
    Buffer.concat([header, encodeCopyBinaryTrailer(), Buffer.of(0)]),
  ]
  for (const bytes of bad) assert.throws(() => split(bytes, options), { kind: 'malformed' })
})
