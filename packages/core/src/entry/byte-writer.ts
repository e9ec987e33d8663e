import { Buffer } from 'node:buffer'

/** Bytes kept free before the first byte, so that a chain hash can be computed in place (see EntryChain). */
export const WRITER_MARGIN = 96

/** Short enough for a length of one byte. */
const SHORT_TEXT_CHARACTERS = 48

/** An output buffer that grows and is used again: no allocation per entry. */
export class ByteWriter {
  bytes: Buffer
  end = WRITER_MARGIN
  readonly #initial: number

  constructor(initialBytes = 64 * 1024) {
    this.#initial = initialBytes + WRITER_MARGIN
    this.bytes = Buffer.allocUnsafeSlow(this.#initial)
  }

  /** Number of bytes written since the last `clear`. */
  get length(): number {
    return this.end - WRITER_MARGIN
  }

  /** Forgets what was written. A buffer that one large entry blew up is given back. */
  clear(): void {
    this.end = WRITER_MARGIN
    if (this.bytes.length > this.#initial * 16) this.bytes = Buffer.allocUnsafeSlow(this.#initial)
  }

  /** A view of what was written; valid until the next write. */
  view(): Buffer {
    return this.bytes.subarray(WRITER_MARGIN, this.end)
  }

  reserve(extra: number): void {
    const needed = this.end + extra
    if (needed <= this.bytes.length) return
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2))
    this.bytes.copy(grown, 0, 0, this.end)
    this.bytes = grown
  }

  u8(value: number): void {
    this.reserve(1)
    this.bytes[this.end++] = value
  }

  u32(value: number): void {
    this.reserve(4)
    this.end = this.bytes.writeUInt32LE(value, this.end)
  }

  f64(value: number): void {
    this.reserve(8)
    this.end = this.bytes.writeDoubleLE(value, this.end)
  }

  /** A whole number from 0 to 2^53 - 1, seven bits a byte, lowest first. */
  count(value: number): void {
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a count: ${value}`)
    this.reserve(8)
    let rest = value
    while (rest > 127) {
      this.bytes[this.end++] = (rest % 128) | 128
      rest = Math.floor(rest / 128)
    }
    this.bytes[this.end++] = rest
  }

  text(value: string): void {
    if (value.length <= SHORT_TEXT_CHARACTERS && this.#shortAscii(value)) return
    const length = Buffer.byteLength(value)
    this.count(length)
    this.reserve(length)
    this.end += this.bytes.write(value, this.end)
  }

  /** Ids, rules and names of objects: a loop over so few characters is faster than a call of native code. */
  #shortAscii(value: string): boolean {
    const { length } = value
    this.reserve(length + 1)
    const { bytes, end } = this
    for (let index = 0; index < length; index += 1) {
      const code = value.charCodeAt(index)
      if (code > 127) return false
      bytes[end + 1 + index] = code
    }
    bytes[end] = length
    this.end = end + 1 + length
    return true
  }

  blob(value: Uint8Array): void {
    this.count(value.length)
    this.raw(value)
  }

  raw(value: Uint8Array): void {
    this.reserve(value.length)
    this.bytes.set(value, this.end)
    this.end += value.length
  }
}
