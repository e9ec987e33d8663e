import { ByteTail } from '../byte-tail.ts'
import { WireError } from '../wire-error.ts'
import { CopyBinaryScanner, encodeCopyBinaryRow } from './copy-binary.ts'
import { copyCsvEncoder, CopyCsvScanner } from './copy-csv.ts'
import type { CopyOptions, CopyRow, CopyRowEncoder, CopyScanner } from './copy-row.ts'
import { copyTextEncoder, CopyTextScanner } from './copy-text.ts'

/** As large as the largest message by default: a row is held whole while it is judged. */
export const COPY_ROW_BYTES_MAX = 64 * 1024 * 1024

/**
 * Cuts the data of one COPY into rows, however CopyData messages split it. What is malformed or too large is a
 * `WireError`, after which the stream cannot be read on.
 *
 * It takes text for an encoding in which no byte below 128 is part of a longer character: UTF-8, LATIN, not SJIS.
 */
export class CopyRowSplitter {
  readonly #scanner: CopyScanner
  readonly #format: CopyOptions['format']
  readonly #rowBytesMax: number
  readonly #tail = new ByteTail()
  #isFirst = true

  constructor(options: CopyOptions) {
    this.#scanner = scannerOf(options)
    this.#format = options.format
    this.#rowBytesMax = options.rowBytesMax ?? COPY_ROW_BYTES_MAX
  }

  /** Returns the rows that `data` completes. Rows may share memory with it. */
  push(data: Buffer): CopyRow[] {
    const hasTail = this.#tail.length > 0
    if (hasTail) this.#tail.append(data)
    const bytes = hasTail ? this.#tail.bytes : data
    const rows: CopyRow[] = []
    let start = 0
    while (start < bytes.length) {
      const end = this.#scanner.rowEnd(bytes, start)
      this.#check((end === -1 ? bytes.length : end) - start)
      if (end === -1) break
      rows.push(this.#read(bytes.subarray(start, end)))
      start = end
    }
    if (hasTail && rows.length > 0) this.#tail.take()
    if (!hasTail || rows.length > 0) this.#tail.append(bytes.subarray(start))
    return rows
  }

  /** Returns the last row of a text or CSV stream where it came without a line end. Call it at CopyDone. */
  finish(): CopyRow[] {
    if (this.#tail.length === 0) return []
    if (this.#format === 'binary') {
      throw new WireError('malformed', 'a binary COPY that ends within a row')
    }
    return [this.#read(this.#tail.take())]
  }

  #read(raw: Buffer): CopyRow {
    const row = this.#scanner.read(raw, this.#isFirst)
    this.#isFirst = false
    return row
  }

  #check(rowBytes: number): void {
    if (rowBytes > this.#rowBytesMax) {
      throw new WireError('too-large', `a COPY row over the limit of ${this.#rowBytesMax} bytes`)
    }
  }
}

/** Writes rows as `CopyRowSplitter` reads them. Text and CSV end with a newline. */
export function copyRowEncoder(options: CopyOptions): CopyRowEncoder {
  switch (options.format) {
    case 'text':
      return copyTextEncoder(options)
    case 'csv':
      return copyCsvEncoder(options)
    case 'binary':
      return encodeCopyBinaryRow
  }
}

function scannerOf(options: CopyOptions): CopyScanner {
  switch (options.format) {
    case 'text':
      return new CopyTextScanner(options)
    case 'csv':
      return new CopyCsvScanner(options)
    case 'binary':
      return new CopyBinaryScanner()
  }
}
