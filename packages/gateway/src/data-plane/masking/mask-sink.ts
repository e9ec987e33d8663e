/** Room for the rewritten rows of one read from the target. */
const initialBytes = 65_536

/** A buffer that grows while rewritten messages are appended to it. */
export class MaskSink {
  #buffer = Buffer.allocUnsafe(initialBytes)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** Appends the bytes of `source` from `start` to `end`. */
  write(source: Buffer, start = 0, end = source.length): void {
    this.#reserve(end - start)
    source.copy(this.#buffer, this.#length, start, end)
    this.#length += end - start
  }

  writeInt32(value: number): void {
    this.#reserve(4)
    this.#length = this.#buffer.writeInt32BE(value, this.#length)
  }

  /** Sets four bytes that were written before: a length that is only known now. */
  setInt32(value: number, at: number): void {
    this.#buffer.writeInt32BE(value, at)
  }

  /** Takes back all that was written after `length`. */
  truncate(length: number): void {
    this.#length = Math.min(this.#length, length)
  }

  /** Hands over what was written; the sink starts anew with memory of its own. */
  take(): Buffer {
    const taken = this.#buffer.subarray(0, this.#length)
    this.#buffer = Buffer.allocUnsafe(initialBytes)
    this.#length = 0
    return taken
  }

  #reserve(bytes: number): void {
    const needed = this.#length + bytes
    if (needed <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(needed, this.#buffer.length * 2))
    this.#buffer.copy(larger, 0, 0, this.#length)
    this.#buffer = larger
  }
}
