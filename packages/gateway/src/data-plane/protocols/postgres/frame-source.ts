import type { Socket } from 'node:net'
import { FrameSplitter, frameEnd } from '@sallyport/wire'

/** Reads whole messages of one socket one at a time. For logins and side connections, where speed is no matter. */
export class FrameSource {
  readonly #socket: Socket
  readonly #splitter: FrameSplitter
  readonly #waitMsMax: number
  #whole: Buffer = Buffer.alloc(0)
  #ended: Error | undefined
  #wake: (() => void) | undefined

  constructor(socket: Socket, bodyBytesMax: number, waitMsMax: number) {
    this.#socket = socket
    this.#splitter = new FrameSplitter(bodyBytesMax)
    this.#waitMsMax = waitMsMax
    socket.on('data', this.#onData)
    socket.on('error', this.#onEnd)
    socket.on('close', this.#onEnd)
  }

  /** The next message, header included. Rejects when the peer hangs up, errs or stays silent too long. */
  async next(): Promise<Buffer> {
    while (this.#whole.length === 0) {
      if (this.#ended !== undefined) throw this.#ended
      await this.#more()
    }
    const end = frameEnd(this.#whole, 0)
    const frame = this.#whole.subarray(0, end)
    this.#whole = this.#whole.subarray(end)
    return frame
  }

  /** Lets go of the socket, paused, and returns what was read but not asked for. */
  release(): Buffer {
    this.#socket.pause()
    this.#socket.off('data', this.#onData)
    this.#socket.off('error', this.#onEnd)
    this.#socket.off('close', this.#onEnd)
    return this.#whole
  }

  readonly #onData = (chunk: Buffer): void => {
    try {
      const whole = this.#splitter.push(chunk)
      if (whole.length > 0) {
        this.#whole = this.#whole.length === 0 ? whole : Buffer.concat([this.#whole, whole])
      }
    } catch (error) {
      this.#ended = error instanceof Error ? error : new Error(String(error))
    }
    this.#wake?.()
  }

  readonly #onEnd = (error?: unknown): void => {
    this.#ended ??= error instanceof Error ? error : new Error('the peer closed the connection')
    this.#wake?.()
  }

  async #more(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`no message within ${this.#waitMsMax} ms`))
      }, this.#waitMsMax)
      this.#wake = () => {
        clearTimeout(timer)
        this.#wake = undefined
        resolve()
      }
    })
  }
}
