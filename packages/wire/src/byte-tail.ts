/** Small enough to waste on a short tail, large enough that growing a long one takes few steps. */
const capacityMin = 1024

/**
 * Bytes of an unfinished unit, gathered from any number of chunks.
 *
 * It copies into one buffer that doubles, rather than keeping a list of chunks: a peer that sends a large message
 * one byte at a time would otherwise cost us an object per byte. It also never reserves what a peer only announced.
 */
export class ByteTail {
  #buffer = Buffer.alloc(0)
  #length = 0

  get length(): number {
    return this.#length
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length)
  }

  append(chunk: Buffer): void {
    const length = this.#length + chunk.length
    if (length > this.#buffer.length) this.#grow(length)
    chunk.copy(this.#buffer, this.#length)
    this.#length = length
  }

  /** Gives the bytes away. The buffer is not used again, so what was taken stays as it is. */
  take(): Buffer {
    const bytes = this.bytes
    this.#buffer = Buffer.alloc(0)
    this.#length = 0
    return bytes
  }

  #grow(length: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(length, this.#buffer.length * 2, capacityMin))
    this.#buffer.copy(grown, 0, 0, this.#length)
    this.#buffer = grown
  }
}
