import { WireError } from '../wire-error.ts'
import type { CopyRow, CopyScanner } from './copy-row.ts'

const signature = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
/** Signature, flags and the length of the extension. */
const headerBytesMin = signature.length + 8
const trailerCount = -1
const nullLength = -1

/** COPY's binary format: a header, rows of counted values, a trailer. */
export class CopyBinaryScanner implements CopyScanner {
  #phase: 'header' | 'rows' | 'done' = 'header'
  /** Where the next length stands, from the start of the row. */
  #offset = 0
  #fieldsLeft = 0

  rowEnd(bytes: Buffer, start: number): number {
    if (this.#phase === 'done') throw malformed('bytes after the end of a binary COPY')
    if (this.#phase === 'header') return this.#headerEnd(bytes, start)
    return this.#tupleEnd(bytes, start)
  }

  read(raw: Buffer, isFirst: boolean): CopyRow {
    if (isFirst) return { kind: 'header', fields: [], raw }
    const count = raw.readInt16BE(0)
    if (count === trailerCount) return { kind: 'trailer', fields: [], raw }
    return { kind: 'row', fields: readFields(raw, count), raw }
  }

  #headerEnd(bytes: Buffer, start: number): number {
    const known = Math.min(bytes.length - start, signature.length)
    if (!bytes.subarray(start, start + known).equals(signature.subarray(0, known))) {
      throw malformed('a binary COPY without its signature')
    }
    if (bytes.length - start < headerBytesMin) return -1
    // The upper half marks what a reader must understand; row oids, the only one known, are long gone.
    if (bytes.readUInt32BE(start + signature.length) >>> 16 !== 0) {
      throw malformed('a binary COPY with unknown flags')
    }
    const extensionBytes = bytes.readInt32BE(start + signature.length + 4)
    if (extensionBytes < 0) throw malformed('a negative length in a binary COPY')
    const end = start + headerBytesMin + extensionBytes
    if (end > bytes.length) return -1
    this.#phase = 'rows'
    return end
  }

  #tupleEnd(bytes: Buffer, start: number): number {
    if (this.#offset === 0 && !this.#readCount(bytes, start)) return -1
    while (this.#fieldsLeft > 0) {
      const at = start + this.#offset
      if (bytes.length - at < 4) return -1
      const length = bytes.readInt32BE(at)
      if (length < nullLength) throw malformed('a negative length in a binary COPY')
      this.#offset += 4 + Math.max(length, 0)
      this.#fieldsLeft--
    }
    const end = start + this.#offset
    if (end > bytes.length) return -1
    this.#offset = 0
    return end
  }

  #readCount(bytes: Buffer, start: number): boolean {
    if (bytes.length - start < 2) return false
    const count = bytes.readInt16BE(start)
    if (count < trailerCount) throw malformed('a negative count in a binary COPY')
    if (count === trailerCount) this.#phase = 'done'
    this.#offset = 2
    this.#fieldsLeft = Math.max(count, 0)
    return true
  }
}

/** Writes a row in COPY's binary format. */
export function encodeCopyBinaryRow(fields: readonly (Buffer | null)[]): Buffer {
  const bytes = fields.reduce((sum, field) => sum + 4 + (field?.length ?? 0), 2)
  const row = Buffer.allocUnsafe(bytes)
  let at = row.writeInt16BE(fields.length, 0)
  for (const field of fields) {
    at = row.writeInt32BE(field?.length ?? nullLength, at)
    if (field !== null) at += field.copy(row, at)
  }
  return row
}

/** What a binary COPY begins with. */
export function encodeCopyBinaryHeader(): Buffer {
  return Buffer.concat([signature, Buffer.alloc(8)])
}

/** What a binary COPY ends with. */
export function encodeCopyBinaryTrailer(): Buffer {
  return Buffer.of(0xff, 0xff)
}

function readFields(raw: Buffer, count: number): (Buffer | null)[] {
  const fields: (Buffer | null)[] = []
  let at = 2
  for (let index = 0; index < count; index++) {
    const length = raw.readInt32BE(at)
    at += 4
    fields.push(length === nullLength ? null : raw.subarray(at, at + length))
    at += Math.max(length, 0)
  }
  return fields
}

function malformed(message: string): WireError {
  return new WireError('malformed', message)
}
