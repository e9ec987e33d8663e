import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'
import { ByteReader } from './byte-reader.ts'
import type { ByteWriter } from './byte-writer.ts'
import { HASH_BYTES, type EntryChain } from './entry-chain.ts'
import { readFields, writeFields } from './entry-fields.ts'
import { ENTRY_KINDS, type Entry } from './entry.ts'

/** Length and CRC-32, both 32 bits, little endian, stand before each payload. */
const HEAD_BYTES = 8
/** Type byte, session reference, position, time. */
const BODY_HEAD_BYTES = 1 + 4 + 4 + 8
/** Above the largest message the gateway takes (64 MiB): a longer length is damage, and must not allocate. */
export const RECORD_BYTES_MAX = 128 * 1024 * 1024

/** An entry as it stands in a journal file. `body` is what the hash covers; it is a view of the bytes read. */
export interface DecodedRecord {
  readonly kind: 'record'
  readonly entry: Entry
  /** Number of the session in its run of the journal. */
  readonly session: number
  /** Place of the entry in its session's chain, from 0. */
  readonly position: number
  readonly timeMs: number
  readonly body: Uint8Array
  readonly hash: Uint8Array
  readonly next: number
}

/** `short`: the bytes end before the record does. `bad`: no record can start here. */
export type DecodeResult =
  | DecodedRecord
  | { readonly kind: 'short'; readonly needed: number }
  | { readonly kind: 'bad'; readonly reason: string }

/**
 * Appends one record: length, CRC-32, type, session, position, time, fields, chain hash.
 *
 * The CRC finds torn writes and rot; the hash finds changes. It is zlib's CRC-32, which Node has as native code
 * (several GB/s); CRC-32C would find no more of these faults and cost a hundred times as much in JavaScript.
 */
export function encodeEntry(
  out: ByteWriter,
  entry: Entry,
  at: { readonly session: number; readonly timeMs: number },
  chain: EntryChain,
): void {
  const start = out.end
  try {
    out.reserve(HEAD_BYTES + BODY_HEAD_BYTES)
    out.end += HEAD_BYTES
    out.u8(ENTRY_KINDS.indexOf(entry.kind))
    out.u32(at.session)
    out.u32(chain.length)
    out.f64(at.timeMs)
    writeFields(out, entry)
    out.reserve(HASH_BYTES)
    const length = out.end + HASH_BYTES - start - HEAD_BYTES
    if (length > RECORD_BYTES_MAX) throw new RangeError('an entry is larger than a record may be')
    chain.seal(out.bytes, start + HEAD_BYTES, out.end)
    out.end += HASH_BYTES
    out.bytes.writeUInt32LE(length, start)
    out.bytes.writeUInt32LE(crc32(out.bytes.subarray(start + HEAD_BYTES, out.end)), start + 4)
  } catch (error) {
    out.end = start
    throw error
  }
}

/** All bytes of a record, as they stand in the file: a view of the same memory as `body`. */
export function recordBytes({ body }: DecodedRecord): Buffer {
  const length = HEAD_BYTES + body.length + HASH_BYTES
  return Buffer.from(body.buffer, body.byteOffset - HEAD_BYTES, length)
}

/** Reads the record at `start` of `bytes`, of which `end` bytes are filled. */
export function decodeEntry(bytes: Buffer, start = 0, end = bytes.length): DecodeResult {
  if (end - start < HEAD_BYTES) return { kind: 'short', needed: HEAD_BYTES }
  const length = bytes.readUInt32LE(start)
  if (length < BODY_HEAD_BYTES + HASH_BYTES || length > RECORD_BYTES_MAX) {
    return { kind: 'bad', reason: 'the length of an entry is impossible' }
  }
  const payload = start + HEAD_BYTES
  const next = payload + length
  if (next > end) return { kind: 'short', needed: HEAD_BYTES + length }
  if (crc32(bytes.subarray(payload, next)) !== bytes.readUInt32LE(start + 4)) {
    return { kind: 'bad', reason: 'the checksum of an entry is wrong' }
  }
  try {
    return decodePayload(bytes, payload, next)
  } catch (error) {
    if (error instanceof RangeError) return { kind: 'bad', reason: error.message }
    throw error
  }
}

function decodePayload(bytes: Buffer, start: number, next: number): DecodedRecord {
  const end = next - HASH_BYTES
  const from = new ByteReader(bytes, start, end)
  const kind = from.oneOf(ENTRY_KINDS)
  const session = from.u32()
  const position = from.u32()
  const timeMs = from.f64()
  const entry = readFields(from, kind)
  if (!from.done) throw new RangeError('an entry has bytes that no field explains')
  const body = bytes.subarray(start, end)
  const hash = bytes.subarray(end, next)
  return { kind: 'record', entry, session, position, timeMs, body, hash, next }
}
