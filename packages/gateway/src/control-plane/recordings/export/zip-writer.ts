import { Buffer } from 'node:buffer'
import { crc32 } from 'node:zlib'

/** ZIP64 is from 4.5 on. */
const version = 45
/** Sizes and sum follow the contents, which are not known before; names are UTF-8. */
const flags = 0x08_08
const unknown16 = 0xff_ff
const unknown32 = 0xff_ff_ff_ff
/** 1 January 1980, the first day that the format knows: an archive of the same recordings is the same archive. */
const date = 0x00_21

interface Written {
  readonly name: Buffer
  readonly at: number
  size: number
  crc: number
}

/**
 * Files in, pieces of a ZIP archive out (APPNOTE 6.3.10). Nothing is compressed: recordings are already. Always ZIP64, since
 * a recording has no upper size and an archive may hold more than 65,535 files.
 */
export class ZipWriter {
  readonly #files: Written[] = []
  #at = 0

  #begun(name: string): Written {
    const file = { name: Buffer.from(name), at: this.#at, size: 0, crc: 0 }
    this.#files.push(file)
    return file
  }

  *file(name: string, bytes: Uint8Array): Generator<Uint8Array> {
    const file = this.#begun(name)
    yield this.#head(file)
    yield this.#contents(file, bytes)
    yield this.#tail(file)
  }

  async *stream(name: string, texts: AsyncIterable<string>): AsyncGenerator<Uint8Array> {
    const file = this.#begun(name)
    yield this.#head(file)
    for await (const text of texts) if (text !== '') yield this.#contents(file, Buffer.from(text))
    yield this.#tail(file)
  }

  *end(): Generator<Uint8Array> {
    const from = this.#at
    for (const file of this.#files) yield this.#out(directoryEntry(file))
    yield endOfDirectory({ count: this.#files.length, from, bytes: this.#at - from })
  }

  #head({ name }: Written): Buffer {
    const head = Buffer.alloc(30 + name.length + 20)
    head.writeUInt32LE(0x04_03_4b_50)
    head.writeUInt16LE(version, 4)
    head.writeUInt16LE(flags, 6)
    head.writeUInt16LE(date, 12)
    head.writeUInt32LE(unknown32, 18)
    head.writeUInt32LE(unknown32, 22)
    head.writeUInt16LE(name.length, 26)
    head.writeUInt16LE(20, 28)
    name.copy(head, 30)
    // Says that the sizes behind the contents have eight bytes.
    head.writeUInt16LE(1, 30 + name.length)
    head.writeUInt16LE(16, 32 + name.length)
    return this.#out(head)
  }

  #contents(file: Written, bytes: Uint8Array): Uint8Array {
    file.crc = crc32(bytes, file.crc)
    file.size += bytes.length
    return this.#out(bytes)
  }

  #tail({ size, crc }: Written): Buffer {
    const tail = Buffer.alloc(24)
    tail.writeUInt32LE(0x08_07_4b_50)
    tail.writeUInt32LE(crc, 4)
    tail.writeBigUInt64LE(BigInt(size), 8)
    tail.writeBigUInt64LE(BigInt(size), 16)
    return this.#out(tail)
  }

  #out<Bytes extends Uint8Array>(bytes: Bytes): Bytes {
    this.#at += bytes.length
    return bytes
  }
}

function directoryEntry({ name, at, size, crc }: Written): Buffer {
  const entry = Buffer.alloc(46 + name.length + 28)
  entry.writeUInt32LE(0x02_01_4b_50)
  entry.writeUInt16LE(version, 4)
  entry.writeUInt16LE(version, 6)
  entry.writeUInt16LE(flags, 8)
  entry.writeUInt16LE(date, 14)
  entry.writeUInt32LE(crc, 16)
  entry.writeUInt32LE(unknown32, 20)
  entry.writeUInt32LE(unknown32, 24)
  entry.writeUInt16LE(name.length, 28)
  entry.writeUInt16LE(28, 30)
  entry.writeUInt32LE(unknown32, 42)
  name.copy(entry, 46)
  const extra = 46 + name.length
  entry.writeUInt16LE(1, extra)
  entry.writeUInt16LE(24, extra + 2)
  for (const [index, value] of [size, size, at].entries())
    entry.writeBigUInt64LE(BigInt(value), extra + 4 + index * 8)
  return entry
}

function endOfDirectory(of: { count: number; from: number; bytes: number }): Buffer {
  const end = Buffer.alloc(56 + 20 + 22)
  end.writeUInt32LE(0x06_06_4b_50)
  end.writeBigUInt64LE(44n, 4)
  end.writeUInt16LE(version, 12)
  end.writeUInt16LE(version, 14)
  for (const [index, value] of [of.count, of.count, of.bytes, of.from].entries())
    end.writeBigUInt64LE(BigInt(value), 24 + index * 8)
  end.writeUInt32LE(0x07_06_4b_50, 56)
  end.writeBigUInt64LE(BigInt(of.from + of.bytes), 64)
  end.writeUInt32LE(1, 72)
  end.writeUInt32LE(0x06_05_4b_50, 76)
  end.writeUInt16LE(unknown16, 84)
  end.writeUInt16LE(unknown16, 86)
  end.writeUInt32LE(unknown32, 88)
  end.writeUInt32LE(unknown32, 92)
  return end
}
