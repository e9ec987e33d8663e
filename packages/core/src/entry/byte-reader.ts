import { Buffer } from 'node:buffer'

/** Reads what ByteWriter wrote. Every read beyond the end throws a RangeError. */
export class ByteReader {
  readonly #bytes: Buffer
  #at: number
  readonly #end: number

  constructor(bytes: Buffer, start: number, end: number) {
    this.#bytes = bytes
    this.#at = start
    this.#end = end
  }

  get done(): boolean {
    return this.#at === this.#end
  }

  u8(): number {
    return this.#bytes.readUInt8(this.#take(1))
  }

  u32(): number {
    return this.#bytes.readUInt32LE(this.#take(4))
  }

  f64(): number {
    return this.#bytes.readDoubleLE(this.#take(8))
  }

  count(): number {
    let value = 0
    let scale = 1
    for (let index = 0; index < 8; index += 1) {
      const byte = this.u8()
      value += (byte & 127) * scale
      if (byte < 128) return value
      scale *= 128
    }
    throw new RangeError('a count has more than eight bytes')
  }

  text(): string {
    const length = this.count()
    const start = this.#take(length)
    return this.#bytes.toString('utf8', start, start + length)
  }

  /** A copy, so that the window the bytes came from can be used again. */
  blob(): Buffer {
    const length = this.count()
    const start = this.#take(length)
    return Buffer.from(this.#bytes.subarray(start, start + length))
  }

  list<T>(read: () => T): T[] {
    const length = this.count()
    // Every element takes a byte at least; a count beyond that is damage, and must not allocate.
    if (length > this.#end - this.#at) throw new RangeError('a list is longer than its entry')
    const items: T[] = []
    for (let index = 0; index < length; index += 1) items.push(read())
    return items
  }

  oneOf<T>(values: readonly T[]): T {
    const value = values[this.u8()]
    if (value === undefined) throw new RangeError('a value is not one of its list')
    return value
  }

  #take(length: number): number {
    const start = this.#at
    if (length > this.#end - start) throw new RangeError('a field ends beyond its entry')
    this.#at = start + length
    return start
  }
}
