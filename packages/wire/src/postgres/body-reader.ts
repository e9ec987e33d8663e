import { WireError } from '../wire-error.ts'

/** Reads the fields of one message's body in order. Whatever is not there is a `WireError`. */
export class BodyReader {
  readonly #type: number
  readonly #body: Buffer
  #at = 0

  constructor(type: number, body: Buffer) {
    this.#type = type
    this.#body = body
  }

  get remaining(): number {
    return this.#body.length - this.#at
  }

  byte(): number {
    return this.#body.readUInt8(this.#take(1))
  }

  int16(): number {
    return this.#body.readInt16BE(this.#take(2))
  }

  int32(): number {
    return this.#body.readInt32BE(this.#take(4))
  }

  uint32(): number {
    return this.#body.readUInt32BE(this.#take(4))
  }

  /**
   * A count of things that take at least `bytesEach`. The documentation says Int16, but servers and drivers read it
   * unsigned: a statement may have 65,535 parameters.
   */
  count(bytesEach: number): number {
    const count = this.#body.readUInt16BE(this.#take(2))
    if (count * bytesEach > this.remaining) this.fail('a count that its body cannot hold')
    return count
  }

  /** Text up to a zero byte. Bytes that are not UTF-8 become U+FFFD. */
  text(): string {
    const end = this.#body.indexOf(0, this.#at)
    if (end === -1) this.fail('a string without an end')
    const text = this.#body.toString('utf8', this.#at, end)
    this.#at = end + 1
    return text
  }

  /** `length` bytes of the body, without a copy. */
  bytes(length: number): Buffer {
    const start = this.#take(length)
    return this.#body.subarray(start, start + length)
  }

  /** A length and that many bytes; the length -1 is NULL. */
  value(): Buffer | null {
    const length = this.int32()
    return length === -1 ? null : this.bytes(length)
  }

  int16s(): number[] {
    const count = this.count(2)
    const numbers: number[] = []
    for (let index = 0; index < count; index++) numbers.push(this.int16())
    return numbers
  }

  values(): (Buffer | null)[] {
    const count = this.count(4)
    const values: (Buffer | null)[] = []
    for (let index = 0; index < count; index++) values.push(this.value())
    return values
  }

  rest(): Buffer {
    return this.bytes(this.remaining)
  }

  /** Bytes after the last field are refused: the other side might read them as something else. */
  end(): void {
    if (this.remaining > 0) this.fail('bytes after the end of a message')
  }

  fail(message: string): never {
    throw new WireError('malformed', message, this.#type)
  }

  #take(length: number): number {
    if (length < 0) this.fail('a negative length')
    if (length > this.remaining) this.fail('a message that ends too early')
    const start = this.#at
    this.#at += length
    return start
  }
}
