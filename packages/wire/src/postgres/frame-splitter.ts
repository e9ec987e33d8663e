import { ByteTail } from '../byte-tail.ts'
import { WireError } from '../wire-error.ts'

/** Type byte and length. */
const headerBytes = 5

/** What a message may hold that carries neither statements nor values: names, tags, passwords. Longer is no honest peer. */
export const SHORT_BODY_BYTES_MAX = 64 * 1024

const nothing = Buffer.alloc(0)

/**
 * Cuts a stream of typed messages at message boundaries. One instance per connection and direction.
 *
 * `push` returns the whole messages so far, as one buffer. A header that announces too much, or a length that cannot
 * be, is a `WireError`: thrown at once where nothing whole stands before it, and otherwise by the next `push`, so
 * that the messages before it are not lost; `failure` tells of it in between.
 */
export class FrameSplitter {
  readonly #bodyBytesMax: number
  readonly #longTypes: ReadonlySet<number> | undefined
  readonly #tail = new ByteTail()
  /** What the tail must reach before anything can be told: its header first, then its whole frame. */
  #tailNeeds = headerBytes
  #failure: WireError | undefined

  /** With `longTypes`, every other type is held to `SHORT_BODY_BYTES_MAX`. */
  constructor(bodyBytesMax: number, longTypes?: ReadonlySet<number>) {
    this.#bodyBytesMax = bodyBytesMax
    this.#longTypes = longTypes
  }

  /** Bytes of a message that is not whole yet. */
  get pendingBytes(): number {
    return this.#tail.length
  }

  /** Why nothing more can be read from this stream. */
  get failure(): WireError | undefined {
    return this.#failure
  }

  /** Returns whole messages, or nothing. The result shares memory with `chunk` where no tail was pending. */
  push(chunk: Buffer): Buffer {
    if (this.#failure !== undefined) throw this.#failure
    const start = this.#tail.length === 0 ? 0 : this.#fillTail(chunk)
    if (start === -1) return nothing
    const end = this.#endOfWholeFrames(chunk, start)
    const whole = this.#join(chunk.subarray(start, end))
    const { failure } = this
    if (failure === undefined) this.#keep(chunk.subarray(end))
    else if (whole.length === 0) throw failure
    return whole
  }

  /** Completes the frame in the tail and returns how much of the chunk that took, or -1 where the chunk was too short. */
  #fillTail(chunk: Buffer): number {
    let used = 0
    for (;;) {
      const taken = Math.min(this.#tailNeeds - this.#tail.length, chunk.length - used)
      this.#tail.append(chunk.subarray(used, used + taken))
      used += taken
      if (this.#tail.length < this.#tailNeeds) return -1
      if (this.#tailNeeds > headerBytes) return used
      const frameBytes = this.#frameBytes(this.#tail.bytes, 0)
      if (this.#failure !== undefined) throw this.#failure
      this.#tailNeeds = frameBytes
      if (frameBytes === headerBytes) return used
    }
  }

  #endOfWholeFrames(chunk: Buffer, start: number): number {
    let at = start
    while (chunk.length - at >= headerBytes) {
      const frameBytes = this.#frameBytes(chunk, at)
      if (this.#failure !== undefined || frameBytes > chunk.length - at) return at
      at += frameBytes
    }
    return at
  }

  #join(frames: Buffer): Buffer {
    if (this.#tail.length === 0) return frames
    this.#tailNeeds = headerBytes
    const first = this.#tail.take()
    return frames.length === 0 ? first : Buffer.concat([first, frames])
  }

  #keep(rest: Buffer): void {
    if (rest.length === 0) return
    this.#tail.append(rest)
    this.#tailNeeds = rest.length < headerBytes ? headerBytes : this.#frameBytes(rest, 0)
  }

  /** Reads a header. A bad one sets `failure`. */
  #frameBytes(bytes: Buffer, at: number): number {
    const type = frameType(bytes, at)
    const length = bytes.readInt32BE(at + 1)
    const bodyBytes = length - 4
    if (bodyBytes < 0) {
      this.#failure = new WireError('malformed', `a message with the length ${length}`, type)
    } else if (bodyBytes > this.#bodyBytesMaxOf(type)) {
      const limit = this.#bodyBytesMaxOf(type)
      const words = `a message of ${bodyBytes} bytes, over the limit of ${limit}`
      this.#failure = new WireError('too-large', words, type)
    }
    return length + 1
  }

  #bodyBytesMaxOf(type: number): number {
    if (this.#longTypes === undefined || this.#longTypes.has(type)) return this.#bodyBytesMax
    return Math.min(this.#bodyBytesMax, SHORT_BODY_BYTES_MAX)
  }
}

/** The type byte of the message that begins at `at`. */
export function frameType(buffer: Buffer, at: number): number {
  return buffer.readUInt8(at)
}

/** Where the message that begins at `at` ends. */
export function frameEnd(buffer: Buffer, at: number): number {
  return at + 1 + buffer.readInt32BE(at + 1)
}

/** The body of the message that begins at `at`, without a copy. */
export function frameBody(buffer: Buffer, at: number): Buffer {
  return buffer.subarray(at + headerBytes, frameEnd(buffer, at))
}
