import { Buffer } from 'node:buffer'
import { createCipheriv, createDecipheriv, hash, hkdfSync, randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'

const MAGIC = Buffer.from('SALLYSEG')
/** Version of the file and of its header. A reader refuses every other one. */
export const SEGMENT_VERSION = 1
/** Magic, version, length of the header. */
const FIXED_BYTES = 8 + 2 + 4
const HEADER_BYTES_MAX = 64 * 1024
/** AES-256-GCM: a nonce of 96 bits and a tag of 128 bits, as NIST SP 800-38D recommends. */
const CIPHER = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16
/** Records of one segment, uncompressed: a piece is sealed and read in one go, so it bounds memory. */
export const SEGMENT_BYTES_MAX = 8 * 1024 * 1024
/** One record may be larger than a segment should be; it then has one of its own. */
const RAW_BYTES_MAX = 256 * 1024 * 1024
const LEVEL = { params: { [constants.ZSTD_c_compressionLevel]: 1 } }

const compress = promisify(zstdCompress)
const decompress = promisify(zstdDecompress)

/** What stands in clear before a segment's sealed records, and is bound to them. */
export interface SegmentHeader {
  readonly session: string
  /** The journal that the records come from: `<worker>-<run>-<reference>`. One session may have several. */
  readonly part: string
  /** Number of the segment in its part, from 0. */
  readonly index: number
  /** Position of the first record in the part's chain, and how many follow each other from there. */
  readonly first: number
  readonly count: number
  /** Times of the first and the last record, in milliseconds since the epoch. */
  readonly fromMs: number
  readonly toMs: number
  /** Length of the records as they stood in the journal. */
  readonly rawBytes: number
  /** Chain hash of the last record, hexadecimal. */
  readonly head: string
  /** SHA-256 of the segment file before this one, hexadecimal; empty for the first. */
  readonly previous: string
}

/** A segment file, taken apart but not opened. */
export interface SealedSegment {
  readonly header: SegmentHeader
  /** The bytes that the header takes, which the seal covers. */
  readonly bound: Buffer
  readonly sealed: Buffer
}

/** Compresses records (zstd) and seals them with the session's key; the header can be read by anyone and changed by nobody. */
export async function sealSegment(
  header: SegmentHeader,
  records: Uint8Array,
  sessionKey: Uint8Array,
): Promise<Buffer> {
  const text = Buffer.from(JSON.stringify(header))
  const fixed = Buffer.alloc(FIXED_BYTES)
  MAGIC.copy(fixed)
  fixed.writeUInt16LE(SEGMENT_VERSION, 8)
  fixed.writeUInt32LE(text.length, 10)
  const bound = Buffer.concat([fixed, text])
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv(CIPHER, segmentKey(sessionKey, header.session), nonce)
  cipher.setAAD(bound)
  const packed = await compress(records, LEVEL)
  const sealed = [cipher.update(packed), cipher.final()]
  return Buffer.concat([bound, nonce, cipher.getAuthTag(), ...sealed])
}

/** Reads the header of a segment file. Throws a RangeError that says what is wrong with it. */
export function parseSegment(file: Buffer): SealedSegment {
  if (file.length < FIXED_BYTES || !file.subarray(0, MAGIC.length).equals(MAGIC))
    throw new RangeError('this is not a segment')
  const version = file.readUInt16LE(8)
  if (version !== SEGMENT_VERSION) throw new RangeError(`segment version ${version} is not known`)
  const length = file.readUInt32LE(10)
  const end = FIXED_BYTES + length
  if (length > HEADER_BYTES_MAX || file.length < end + NONCE_BYTES + TAG_BYTES)
    throw new RangeError('the segment is cut short')
  const header = parseHeader(file.toString('utf8', FIXED_BYTES, end))
  return { header, bound: file.subarray(0, end), sealed: file.subarray(end) }
}

/** Returns the records of a segment. Throws a RangeError where the key is another one or a byte was changed. */
export async function openSegment(
  { header, bound, sealed }: SealedSegment,
  sessionKey: Uint8Array,
): Promise<Buffer> {
  const key = segmentKey(sessionKey, header.session)
  const body = NONCE_BYTES + TAG_BYTES
  let packed: Buffer
  try {
    const nonce = sealed.subarray(0, NONCE_BYTES)
    const cipher = createDecipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(bound).setAuthTag(sealed.subarray(NONCE_BYTES, body))
    packed = Buffer.concat([cipher.update(sealed.subarray(body)), cipher.final()])
  } catch (cause) {
    throw new RangeError('the seal of the segment is broken, or the key is another one', { cause })
  }
  // Whoever holds an export has its keys and can make any bytes, so what they unfold to is bounded.
  const most = Math.min(Math.max(header.rawBytes, 1), RAW_BYTES_MAX)
  let records: Buffer
  try {
    records = await decompress(packed, { maxOutputLength: most })
  } catch (cause) {
    throw new RangeError('the contents of the segment do not unfold as its header says', { cause })
  }
  if (records.length !== header.rawBytes)
    throw new RangeError('the segment holds another number of bytes than its header says')
  return records
}

/** What the next segment, and the seal, name a segment file by. Hexadecimal. */
export function segmentHash(file: Uint8Array): string {
  return hash('sha256', file)
}

/** Segments have a key of their own, so that no key is used for two purposes (RFC 5869). */
function segmentKey(sessionKey: Uint8Array, session: string): Buffer {
  return Buffer.from(hkdfSync('sha256', sessionKey, session, 'sallyport segment 1', 32))
}

function parseHeader(text: string): SegmentHeader {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new RangeError('the header of the segment is no JSON', { cause })
  }
  if (!isHeader(value)) throw new RangeError('the header of the segment lacks a field')
  return value
}

function isHeader(value: unknown): value is SegmentHeader {
  if (typeof value !== 'object' || value === null) return false
  const fields = new Map<string, unknown>(Object.entries(value))
  const isAll = (names: readonly string[], type: 'string' | 'number'): boolean =>
    names.every((name) => typeof fields.get(name) === type)
  return (
    isAll(['session', 'part', 'head', 'previous'], 'string') &&
    isAll(['index', 'first', 'count', 'fromMs', 'toMs', 'rawBytes'], 'number')
  )
}
