import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { WireError } from '../wire-error.ts'
import {
  FrameSplitter,
  SHORT_BODY_BYTES_MAX,
  frameBody,
  frameEnd,
  frameType,
} from './frame-splitter.ts'
import { encodeBytes } from './frame-writer.ts'
import { FrontendType, LONG_FRONTEND_TYPES } from './message-types.ts'

const frames = fc.array(
  fc.tuple(fc.integer({ min: 0, max: 255 }), fc.uint8Array({ maxLength: 40 })),
  { maxLength: 8 },
)
const cuts = fc.infiniteStream(fc.integer({ min: 0, max: 12 }))

function* pieces(bytes: Buffer, sizes: Iterable<number>): Generator<Buffer> {
  let at = 0
  for (const size of sizes) {
    if (at >= bytes.length) return
    yield bytes.subarray(at, at + size)
    at += size
  }
}

/** Every message with its type, or what went wrong. */
function read(splitter: FrameSplitter, chunks: Iterable<Buffer>): string[] {
  const read: string[] = []
  try {
    for (const chunk of chunks) {
      const whole = splitter.push(chunk)
      for (let at = 0; at < whole.length; at = frameEnd(whole, at)) {
        read.push(`${frameType(whole, at)} ${frameBody(whole, at).toString('hex')}`)
      }
    }
    if (splitter.failure !== undefined) throw splitter.failure
  } catch (error) {
    assert.ok(error instanceof WireError)
    read.push(`${error.kind} ${error.messageType}`)
  }
  return read
}

test('how the network splits the bytes never changes the frames', () => {
  fc.assert(
    fc.property(frames, cuts, (messages, sizes) => {
      const bytes = Buffer.concat(
        messages.map(([type, body]) => encodeBytes(type, Buffer.from(body))),
      )
      const expected = messages.map(
        ([type, body]) => `${type} ${Buffer.from(body).toString('hex')}`,
      )
      const splitter = new FrameSplitter(40)
      assert.deepEqual(read(splitter, pieces(bytes, sizes)), expected)
      assert.equal(splitter.pendingBytes, 0)
    }),
  )
})

test('arbitrary bytes give the same frames and the same error under any split', () => {
  const byte = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 255 }))
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 80 }), cuts, (array, sizes) => {
      const bytes = Buffer.from(array)
      const atOnce = read(new FrameSplitter(20), [bytes])
      assert.deepEqual(read(new FrameSplitter(20), pieces(bytes, sizes)), atOnce)
    }),
  )
})

test('whole frames before a bad header come first, and the error after them', () => {
  const splitter = new FrameSplitter(10)
  const good = encodeBytes(1, Buffer.from('ab'))
  const bad = Buffer.from([2, 0, 0, 0, 3])
  assert.deepEqual(splitter.push(Buffer.concat([good, bad])), good)
  assert.equal(splitter.failure?.kind, 'malformed')
  assert.throws(() => splitter.push(good), { name: 'WireError', kind: 'malformed', messageType: 2 })
})

test('a header that announces too much is refused before its body arrives', () => {
  const splitter = new FrameSplitter(10)
  splitter.push(Buffer.from([7, 0, 0]))
  const rest = Buffer.from([0, 15])
  assert.throws(() => splitter.push(rest), { kind: 'too-large', messageType: 7 })
})

test('only messages that carry statements or values may be long', () => {
  const body = Buffer.alloc(SHORT_BODY_BYTES_MAX + 1)
  const query = encodeBytes(FrontendType.query, body)
  const splitter = new FrameSplitter(body.length, LONG_FRONTEND_TYPES)
  assert.equal(splitter.push(query).length, query.length)
  assert.throws(() => splitter.push(encodeBytes(FrontendType.describe, body)), {
    kind: 'too-large',
  })
})

test('whole frames are handed on without a copy', () => {
  const chunk = encodeBytes(1, Buffer.from('ab'))
  const whole = new FrameSplitter(10).push(chunk)
  assert.equal(whole.buffer, chunk.buffer)
  assert.equal(whole.byteOffset, chunk.byteOffset)
})

test('what was returned stays as it was while more arrives', () => {
  const splitter = new FrameSplitter(100)
  const frame = encodeBytes(1, Buffer.from('first'))
  splitter.push(frame.subarray(0, 6))
  const first = splitter.push(frame.subarray(6))
  splitter.push(encodeBytes(2, Buffer.from('other')).subarray(0, 8))
  assert.deepEqual(first, frame)
})
