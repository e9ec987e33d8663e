/** Slices that follow each other in memory, kept as one: a slice object for each message would cost more than its bytes. */
export class ByteRun {
  #bytes: Buffer | undefined
  #start = 0
  #end = 0

  get isEmpty(): boolean {
    return this.#bytes === undefined
  }

  get length(): number {
    return this.#end - this.#start
  }

  /** Takes in the bytes from `start` to `end`, where the run is empty or ends just before them. */
  extend(bytes: Buffer, start: number, end: number): boolean {
    if (this.#bytes === undefined) {
      this.#bytes = bytes
      this.#start = start
    } else if (this.#bytes !== bytes || this.#end !== start) {
      return this.#extendByNeighbour(bytes, start, end)
    }
    this.#end = end
    return true
  }

  /** The run as one slice; afterwards it is empty. */
  take(): Buffer {
    const bytes = this.#bytes
    if (bytes === undefined) throw new TypeError('an empty run was taken')
    this.#bytes = undefined
    return this.#start === 0 && this.#end === bytes.length
      ? bytes
      : bytes.subarray(this.#start, this.#end)
  }

  /** Another slice of the same memory, as rewritten rows are. */
  #extendByNeighbour(bytes: Buffer, start: number, end: number): boolean {
    const own = this.#bytes
    if (own === undefined || own.buffer !== bytes.buffer) return false
    if (own.byteOffset + this.#end !== bytes.byteOffset + start) return false
    const first = own.byteOffset + this.#start
    const length = this.length + end - start
    this.#bytes = Buffer.from(own.buffer, first, length)
    this.#start = 0
    this.#end = length
    return true
  }
}
