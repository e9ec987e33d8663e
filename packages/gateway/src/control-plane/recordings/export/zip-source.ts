import { Buffer } from 'node:buffer'
import { open, type FileHandle } from 'node:fs/promises'
import { promisify } from 'node:util'
import { crc32, inflateRaw } from 'node:zlib'
import type { ObjectSource } from '@sallyport/core'
import { objectBytesMax } from '../folder-source.ts'

const endBytes = 22
const commentBytesMax = 65_535
const locatorBytes = 20
/** A million files with names as an export has them. */
const directoryBytesMax = 256 * 1024 * 1024
const unknown32 = 0xff_ff_ff_ff
const stored = 0
const deflated = 8

interface ZipEntry {
  readonly method: number
  readonly crc: number
  readonly packed: number
  readonly size: number
  readonly at: number
}

const inflate = promisify(inflateRaw)

/**
 * The files of a ZIP archive (APPNOTE 6.3.10, with ZIP64), read one at a time: archives may be larger than memory.
 *
 * What another program would unpack in another way is refused: a name that stands there twice, or differs between the
 * directory and the file.
 */
export class ZipSource implements ObjectSource, AsyncDisposable {
  readonly #handle: FileHandle
  readonly #entries: ReadonlyMap<string, ZipEntry>
  readonly #names: readonly string[]

  private constructor(handle: FileHandle, entries: ReadonlyMap<string, ZipEntry>) {
    this.#handle = handle
    this.#entries = entries
    this.#names = [...entries.keys()].toSorted()
  }

  /** Rejects with a RangeError that says why it is no archive. */
  static async open(path: string): Promise<ZipSource> {
    const handle = await open(path, 'r')
    try {
      return new ZipSource(handle, parseDirectory(await readDirectory(handle)))
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close()
  }

  async *list(prefix: string): AsyncGenerator<string> {
    for (const name of this.#names) if (name.startsWith(prefix)) yield await Promise.resolve(name)
  }

  async get(key: string): Promise<Buffer | undefined> {
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    const { method, packed, size, crc } = entry
    if (Math.max(packed, size) > objectBytesMax)
      throw new RangeError('it is larger than an object can be')
    const head = await readAt(this.#handle, entry.at, 30)
    if (head.readUInt32LE(0) !== 0x04_03_4b_50)
      throw new RangeError('it is not where the archive says')
    const nameBytes = head.readUInt16LE(26)
    const name = await readAt(this.#handle, entry.at + 30, nameBytes)
    if (name.toString() !== key) throw new RangeError('the archive gives it two names')
    const from = entry.at + 30 + nameBytes + head.readUInt16LE(28)
    const bytes = await unpacked(await readAt(this.#handle, from, packed), method, size)
    if (bytes.length !== size || crc32(bytes) !== crc)
      throw new RangeError('it is damaged in the archive')
    return bytes
  }
}

async function unpacked(bytes: Buffer, method: number, size: number): Promise<Buffer> {
  if (method === stored) return bytes
  if (method !== deflated) throw new RangeError('it is packed in a way that is not known')
  try {
    return await inflate(bytes, { maxOutputLength: Math.max(size, 1) })
  } catch (cause) {
    throw new RangeError('it is damaged in the archive', { cause })
  }
}

interface Directory {
  readonly bytes: Buffer
  readonly count: number
}

async function readDirectory(handle: FileHandle): Promise<Directory> {
  const { size } = await handle.stat()
  const tailBytes = Math.min(size, locatorBytes + endBytes + commentBytesMax)
  const tail = await readAt(handle, size - tailBytes, tailBytes)
  const end = endOf(tail)
  let [count, bytes, at] = [
    tail.readUInt16LE(end + 10),
    tail.readUInt32LE(end + 12),
    tail.readUInt32LE(end + 16),
  ]
  const locator = end - locatorBytes
  if (locator >= 0 && tail.readUInt32LE(locator) === 0x07_06_4b_50) {
    const record = await readAt(handle, uint64(tail, locator + 8), 56)
    if (record.readUInt32LE(0) !== 0x06_06_4b_50) throw new RangeError('its end is damaged')
    ;[count, bytes, at] = [uint64(record, 32), uint64(record, 40), uint64(record, 48)]
  }
  if (bytes > directoryBytesMax) throw new RangeError('its directory is larger than one can be')
  return { bytes: await readAt(handle, at, bytes), count }
}

/** The end record: the last one whose comment ends where the file does. */
function endOf(tail: Buffer): number {
  for (let at = tail.length - endBytes; at >= 0; at -= 1) {
    const isEnd = tail.readUInt32LE(at) === 0x06_05_4b_50
    if (isEnd && at + endBytes + tail.readUInt16LE(at + 20) === tail.length) return at
  }
  throw new RangeError('it has no end')
}

function parseDirectory({ bytes, count }: Directory): Map<string, ZipEntry> {
  const entries = new Map<string, ZipEntry>()
  let found = 0
  for (let at = 0; at < bytes.length; found += 1) {
    if (at + 46 > bytes.length || bytes.readUInt32LE(at) !== 0x02_01_4b_50)
      throw new RangeError('its directory is damaged')
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((place) =>
      bytes.readUInt16LE(at + place),
    ) as [number, number, number]
    const next = at + 46 + nameBytes + extraBytes + commentBytes
    if (next > bytes.length) throw new RangeError('its directory is damaged')
    const name = bytes.toString('utf8', at + 46, at + 46 + nameBytes)
    if (entries.has(name)) throw new RangeError(`"${name}" stands in it twice`)
    const extra = bytes.subarray(at + 46 + nameBytes, at + 46 + nameBytes + extraBytes)
    entries.set(name, entryOf(bytes.subarray(at, at + 46), extra))
    at = next
  }
  if (found !== count)
    throw new RangeError('its directory has another number of files than it says')
  return entries
}

function entryOf(head: Buffer, extra: Buffer): ZipEntry {
  const large = zip64Of(extra)
  const wide = (at: number): number => {
    const value = head.readUInt32LE(at)
    return value === unknown32 ? (large.shift() ?? value) : value
  }
  const [method, crc] = [head.readUInt16LE(10), head.readUInt32LE(16)]
  // The order in the extra field: size, packed size, place.
  const size = wide(24)
  const packed = wide(20)
  return { method, crc, packed, size, at: wide(42) }
}

function zip64Of(extra: Buffer): number[] {
  for (let at = 0; at + 4 <= extra.length;) {
    const end = at + 4 + extra.readUInt16LE(at + 2)
    if (extra.readUInt16LE(at) === 1) {
      const values: number[] = []
      for (let place = at + 4; place + 8 <= Math.min(end, extra.length); place += 8)
        values.push(uint64(extra, place))
      return values
    }
    at = end
  }
  return []
}

function uint64(bytes: Buffer, at: number): number {
  const value = Number(bytes.readBigUInt64LE(at))
  if (!Number.isSafeInteger(value)) throw new RangeError('it names a place that no file has')
  return value
}

async function readAt(handle: FileHandle, at: number, length: number): Promise<Buffer> {
  const { size } = await handle.stat()
  if (at < 0 || at + length > size) throw new RangeError('it is cut short')
  const bytes = Buffer.alloc(length)
  for (let done = 0; done < length;) {
    const { bytesRead } = await handle.read(bytes, done, length - done, at + done)
    if (bytesRead === 0) throw new RangeError('it is cut short')
    done += bytesRead
  }
  return bytes
}
