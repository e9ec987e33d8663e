import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { test } from 'node:test'
import fc from 'fast-check'
import { openSegment, parseSegment, sealSegment, type SegmentHeader } from './segment.ts'

const key = Buffer.alloc(32, 7)
const header = (rawBytes: number): SegmentHeader => ({
  session: 's_one',
  part: '0-1-1',
  index: 0,
  first: 0,
  count: 3,
  fromMs: 1,
  toMs: 2,
  rawBytes,
  head: 'ab',
  previous: '',
})

test('what was sealed opens with its key, and shrinks', async () => {
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 2000 }), async (records) => {
      const file = await sealSegment(header(records.length), records, key)
      const parsed = parseSegment(file)
      assert.deepEqual(parsed.header, header(records.length))
      assert.deepEqual(await openSegment(parsed, key), Buffer.from(records))
    }),
  )
  const same = Buffer.alloc(100_000, 'select 1;')
  assert.ok((await sealSegment(header(same.length), same, key)).length < 2000)
})

test('no byte of a segment can be changed, cut or added unnoticed', async () => {
  const records = Buffer.from('three records')
  const file = await sealSegment(header(records.length), records, key)
  const opens = async (bytes: Buffer): Promise<boolean> => {
    try {
      await openSegment(parseSegment(bytes), key)
      return true
    } catch (error) {
      assert.ok(error instanceof RangeError, String(error))
      return false
    }
  }
  assert.ok(await opens(file))
  for (let at = 0; at < file.length; at += 1) {
    const changed = Buffer.from(file)
    changed.writeUInt8(changed.readUInt8(at) ^ 1, at)
    assert.equal(await opens(changed), false, `byte ${at}`)
    assert.equal(await opens(file.subarray(0, at)), false, `cut at ${at}`)
  }
  assert.equal(await opens(Buffer.concat([file, Buffer.from('x')])), false)
})

test('another key, and the key of another session, do not open it', async () => {
  const file = await sealSegment(header(1), Buffer.from('x'), key)
  await assert.rejects(openSegment(parseSegment(file), Buffer.alloc(32, 8)), RangeError)
  const other = parseSegment(file)
  const moved = { ...other, header: { ...other.header, session: 's_two' } }
  await assert.rejects(openSegment(moved, key), RangeError)
})
