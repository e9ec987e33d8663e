import { WireError } from '../wire-error.ts'

/** Writes one message into one allocation of exactly its size. A size that is wrong is our bug, and throws. */
export class FrameWriter {
  readonly #frame: Buffer
  readonly #type: number
  #at: number

  constructor(type: number, bodyBytes: number) {
    this.#type = type
    this.#frame = Buffer.allocUnsafe(5 + bodyBytes)
    this.#frame.writeUInt8(type, 0)
    this.#at = this.#frame.writeInt32BE(4 + bodyBytes, 1)
  }

  byte(value: number): this {
    this.#at = this.#frame.writeUInt8(value, this.#at)
    return this
  }

  int16(value: number): this {
    this.#at = this.#frame.writeInt16BE(value, this.#at)
    return this
  }

  uint16(value: number): this {
    this.#at = this.#frame.writeUInt16BE(value, this.#at)
    return this
  }

  int32(value: number): this {
    this.#at = this.#frame.writeInt32BE(value, this.#at)
    return this
  }

  uint32(value: number): this {
    this.#at = this.#frame.writeUInt32BE(value, this.#at)
    return this
  }

  text(value: string): this {
    // A zero byte would end the string early and turn the rest of it into fields that nobody judged.
    if (value.includes('\0')) {
      throw new WireError('malformed', 'a string with a zero byte in it', this.#type)
    }
    this.#at += this.#frame.write(value, this.#at, 'utf8')
    return this.byte(0)
  }

  bytes(value: Buffer): this {
    this.#at += value.copy(this.#frame, this.#at)
    return this
  }

  value(value: Buffer | null): this {
    return value === null ? this.int32(-1) : this.int32(value.length).bytes(value)
  }

  int16s(values: readonly number[]): this {
    this.uint16(values.length)
    for (const value of values) this.int16(value)
    return this
  }

  values(values: readonly (Buffer | null)[]): this {
    this.uint16(values.length)
    for (const value of values) this.value(value)
    return this
  }

  finish(): Buffer {
    if (this.#at !== this.#frame.length) throw new RangeError('a message of another size than said')
    return this.#frame
  }
}

/** Size of a string with its zero byte. */
export function textBytes(text: string): number {
  return Buffer.byteLength(text, 'utf8') + 1
}

/** Size of a counted list of 16-bit numbers. */
export function int16sBytes(values: readonly number[]): number {
  return 2 + 2 * values.length
}

/** Size of a counted list of values. */
export function valuesBytes(values: readonly (Buffer | null)[]): number {
  let bytes = 2 + 4 * values.length
  for (const value of values) bytes += value?.length ?? 0
  return bytes
}

/** A message that has no body. */
export function encodeEmpty(type: number): Buffer {
  return new FrameWriter(type, 0).finish()
}

/** A message whose body is one string. */
export function encodeText(type: number, text: string): Buffer {
  return new FrameWriter(type, textBytes(text)).text(text).finish()
}

/** A message whose body is bytes of any meaning. */
export function encodeBytes(type: number, bytes: Buffer): Buffer {
  return new FrameWriter(type, bytes.length).bytes(bytes).finish()
}

/** What an encoder needs of a message: everything but its name. */
export type Fields<Message> = Omit<Message, 'kind'>
