import { Buffer } from 'node:buffer'
import { namesMax, plain } from './terms.ts'

const headBytes = 5
const rowDescription = 0x54
/** A longer description is not read: 1,600 columns with names of 63 bytes take less. */
const bodyBytesMax = 256 * 1024
/** Type, size and place of a column behind its name. */
const columnTailBytes = 18

/** Finds the names of columns in the bytes of an answer, whatever their chunks. It keeps no row, and never throws. */
export class ColumnScanner {
  readonly #columns = new Set<string>()
  readonly #head = Buffer.alloc(headBytes)
  #headFilled = 0
  #skip = 0
  #body: Buffer | undefined
  #bodyFilled = 0
  #isLost = false

  /** The names, each once; undefined where no description came. */
  get columns(): string[] | undefined {
    return this.#columns.size === 0 || this.#isLost ? undefined : [...this.#columns]
  }

  /** Bytes in between are missing. */
  lose(): void {
    this.#isLost = true
  }

  push(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.#isLost;) at += this.#take(bytes.subarray(at))
  }

  #take(bytes: Uint8Array): number {
    if (this.#skip > 0) {
      const skipped = Math.min(this.#skip, bytes.length)
      this.#skip -= skipped
      return skipped
    }
    if (this.#body !== undefined) return this.#takeBody(this.#body, bytes)
    const taken = bytes.subarray(0, headBytes - this.#headFilled)
    this.#head.set(taken, this.#headFilled)
    this.#headFilled += taken.length
    if (this.#headFilled === headBytes) this.#begin()
    return taken.length
  }

  #begin(): void {
    this.#headFilled = 0
    const length = this.#head.readUInt32BE(1) - 4
    if (length < 0) this.#isLost = true
    else if (this.#head[0] !== rowDescription || length > bodyBytesMax) this.#skip = length
    else this.#body = Buffer.alloc(length)
    this.#bodyFilled = 0
  }

  #takeBody(body: Buffer, bytes: Uint8Array): number {
    const taken = bytes.subarray(0, body.length - this.#bodyFilled)
    body.set(taken, this.#bodyFilled)
    this.#bodyFilled += taken.length
    if (this.#bodyFilled === body.length) {
      this.#body = undefined
      this.#read(body)
    }
    return taken.length
  }

  #read(body: Buffer): void {
    for (let at = 2; at < body.length && this.#columns.size < namesMax;) {
      const end = body.indexOf(0, at)
      if (end < 0) return
      this.#columns.add(plain(body.toString('utf8', at, end)))
      at = end + 1 + columnTailBytes
    }
  }
}
