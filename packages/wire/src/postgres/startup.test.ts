import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { WireError } from '../wire-error.ts'
import { sniffFirstBytes } from './sniff-first-bytes.ts'
import {
  STARTUP_PACKET_BYTES_MAX,
  decodeStartupPacket,
  encodeCancelRequest,
  encodeGssEncRequest,
  encodeSslRequest,
  encodeStartupMessage,
} from './startup.ts'

const text = fc
  .string({ unit: 'grapheme', maxLength: 12 })
  .map((value) => value.replaceAll('\0', ''))
const name = text.filter((value) => value !== '')
const parameters = fc.array(fc.tuple(name, text)).map((pairs) => new Map(pairs))

test('a startup message is itself after encoding and decoding', () => {
  fc.assert(
    fc.property(parameters, fc.integer({ min: 0, max: 65_535 }), (parameters, minor) => {
      const bytes = encodeStartupMessage(parameters, minor)
      const packet = { kind: 'StartupMessage', minor, parameters }
      assert.deepEqual(decodeStartupPacket(bytes), { packet, bytes: bytes.length })
      assert.equal(decodeStartupPacket(bytes.subarray(0, -1)), undefined)
      assert.equal(sniffFirstBytes(bytes), 'postgres')
    }),
  )
})

test('requests without parameters are themselves, and say how long they were', () => {
  const ssl = Buffer.concat([encodeSslRequest(), Buffer.from('extra')])
  assert.deepEqual(decodeStartupPacket(ssl), { packet: { kind: 'SSLRequest' }, bytes: 8 })
  const gss = decodeStartupPacket(encodeGssEncRequest())
  assert.deepEqual(gss, { packet: { kind: 'GSSENCRequest' }, bytes: 8 })
})

test('a cancel request carries a key of 4 to 256 bytes', () => {
  for (const size of [4, 32, 256]) {
    const key = Buffer.alloc(size, 7)
    const decoded = decodeStartupPacket(encodeCancelRequest(9, key))
    assert.deepEqual(decoded?.packet, { kind: 'CancelRequest', processId: 9, key })
  }
  for (const size of [3, 257]) {
    const bytes = encodeCancelRequest(9, Buffer.alloc(size))
    assert.throws(() => decodeStartupPacket(bytes), { kind: 'malformed' })
  }
})

test('arbitrary bytes give a packet, nothing yet, or a wire error', () => {
  const prefix = fc.constantFrom([], [0, 0, 0, 20], [0, 0, 0, 12, 0, 3, 0, 0])
  fc.assert(
    fc.property(prefix, fc.uint8Array({ maxLength: 30 }), (prefix, rest) => {
      try {
        decodeStartupPacket(Buffer.from([...prefix, ...rest]))
      } catch (error) {
        assert.ok(error instanceof WireError)
      }
    }),
  )
})

test('a packet over the limit is refused by its length alone', () => {
  const length = Buffer.alloc(4)
  length.writeInt32BE(STARTUP_PACKET_BYTES_MAX + 1)
  assert.throws(() => decodeStartupPacket(length), { kind: 'too-large' })
})

test('a parameter that stands twice is refused', () => {
  const packet = encodeStartupMessage(
    new Map([
      ['user', 'a'],
      ['usex', 'b'],
    ]),
  )
  packet.write('user', packet.indexOf('usex'))
  assert.throws(() => decodeStartupPacket(packet), { kind: 'malformed' })
})

test('other versions and bytes after the last parameter are refused', () => {
  const version2 = Buffer.from([0, 0, 0, 9, 0, 2, 0, 0, 0])
  assert.throws(() => decodeStartupPacket(version2), { kind: 'malformed' })
  const trailing = Buffer.from([0, 0, 0, 10, 0, 3, 0, 0, 0, 0])
  assert.throws(() => decodeStartupPacket(trailing), { kind: 'malformed' })
})

test('first bytes tell what is spoken', () => {
  assert.equal(sniffFirstBytes(Buffer.alloc(0)), 'incomplete')
  assert.equal(sniffFirstBytes(Buffer.from([0x16, 3, 1])), 'tls')
  assert.equal(sniffFirstBytes(Buffer.from('GET / HTTP/1.1')), 'http')
  assert.equal(sniffFirstBytes(Buffer.from('PO')), 'incomplete')
  assert.equal(sniffFirstBytes(Buffer.from('POST / ')), 'http')
  assert.equal(sniffFirstBytes(Buffer.from([0, 0])), 'incomplete')
  assert.equal(sniffFirstBytes(encodeSslRequest()), 'postgres')
  assert.equal(sniffFirstBytes(Buffer.from('SSH-2.0-x')), 'unknown')
  assert.equal(sniffFirstBytes(Buffer.from([0, 0, 0, 9, 9, 9, 9, 9])), 'unknown')
})
