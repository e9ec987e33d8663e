/** Room for the rewritten rows of one read from the target. */
const initialBytes = 65_536

/** A buffer that grows while a rewritten message is appended to it. Messages that are taken one by one lie side by side in memory. */
export class MaskSink {
  #buffer = Buffer.allocUnsafe(initialBytes)
  /** Where the message under way begins; what lies before it has been handed over. */
  #start = 0
  #end = 0

  /** Bytes of the message under way. */
  get length(): number {
    return this.#end - this.#start
  }

  /** Appends the bytes of `source` from `start` to `end`. */
  write(source: Buffer, start = 0, end = source.length): void {
    this.#reserve(end - start)
    source.copy(this.#buffer, this.#end, start, end)
    this.#end += end - start
  }

  writeInt32(value: number): void {
    this.#reserve(4)
    this.#end = this.#buffer.writeInt32BE(value, this.#end)
  }

  /** Sets four bytes that were written before: a length that is only known now. */
  setInt32(value: number, at: number): void {
    this.#buffer.writeInt32BE(value, this.#start + at)
  }

  /** Takes back all that was written after `length`. */
  truncate(length: number): void {
    this.#end = this.#start + Math.min(this.length, length)
  }

  /** Hands over what was written. */
  take(): Buffer {
    const taken = this.#buffer.subarray(this.#start, this.#end)
    this.#start = this.#end
    return taken
  }

  /** Memory that was handed over is never written again: what doesn't fit behind it moves to a new buffer. */
  #reserve(bytes: number): void {
    const needed = this.#end + bytes
    if (needed <= this.#buffer.length) return
    const { length } = this
    const larger = Buffer.allocUnsafe(Math.max(initialBytes, (length + bytes) * 2))
    this.#buffer.copy(larger, 0, this.#start, this.#end)
    this.#buffer = larger
    this.#start = 0
    this.#end = length
  }
}
