import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'

const MAGIC = Buffer.from('SALLYJNL')
/** Version of headers, records and fields. A reader refuses every other one. */
export const JOURNAL_VERSION = 1
/** Magic, version, length of the node's name, worker, run. */
const FIXED_BYTES = 8 + 2 + 2 + 4 + 4
const CRC_BYTES = 4

/** The first bytes of a journal file. */
export interface FileHeader {
  readonly node: string
  readonly worker: number
  /** Names this run of the worker among all; drawn at random. Session references are unique in a run. */
  readonly run: number
}

/** Encodes a header: magic, version, name length, worker, run, name, CRC-32 of all that. */
export function encodeFileHeader(header: FileHeader): Buffer {
  const node = Buffer.from(header.node)
  const bytes = Buffer.alloc(FIXED_BYTES + node.length + CRC_BYTES)
  MAGIC.copy(bytes)
  bytes.writeUInt16LE(JOURNAL_VERSION, 8)
  bytes.writeUInt16LE(node.length, 10)
  bytes.writeUInt32LE(header.worker, 12)
  bytes.writeUInt32LE(header.run, 16)
  node.copy(bytes, FIXED_BYTES)
  const end = FIXED_BYTES + node.length
  bytes.writeUInt32LE(crc32(bytes.subarray(0, end)), end)
  return bytes
}

/** Reads the header at the start of a file. */
export function decodeFileHeader(
  bytes: Buffer,
):
  | { readonly kind: 'header'; readonly header: FileHeader; readonly next: number }
  | { readonly kind: 'short' }
  | { readonly kind: 'bad'; readonly reason: string } {
  const magic = bytes.subarray(0, MAGIC.length)
  if (!magic.equals(MAGIC.subarray(0, magic.length))) {
    return { kind: 'bad', reason: 'this is not a journal file' }
  }
  if (bytes.length < FIXED_BYTES) return { kind: 'short' }
  const version = bytes.readUInt16LE(8)
  if (version !== JOURNAL_VERSION) {
    return { kind: 'bad', reason: `journal version ${version} is not known here` }
  }
  const end = FIXED_BYTES + bytes.readUInt16LE(10)
  if (bytes.length < end + CRC_BYTES) return { kind: 'short' }
  if (crc32(bytes.subarray(0, end)) !== bytes.readUInt32LE(end)) {
    return { kind: 'bad', reason: 'the checksum of the file header is wrong' }
  }
  const node = bytes.toString('utf8', FIXED_BYTES, end)
  const header = { node, worker: bytes.readUInt32LE(12), run: bytes.readUInt32LE(16) }
  return { kind: 'header', header, next: end + CRC_BYTES }
}
