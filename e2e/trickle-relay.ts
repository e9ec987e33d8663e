import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'

/** Passes connections on to a port of this machine, and can turn so slow that it reads one byte of an answer a second. */
export class TrickleRelay implements AsyncDisposable {
  readonly port: number
  readonly #listener: ReturnType<typeof createServer>
  readonly #sockets = new Set<Socket>()
  #isSlow = false
  /** Bytes of answers read since it turned slow. */
  trickled = 0

  private constructor(listener: ReturnType<typeof createServer>, port: number) {
    this.#listener = listener
    this.port = port
  }

  static async before(targetPort: number): Promise<TrickleRelay> {
    const listener = createServer((caller) => {
      relay.#pass(caller, targetPort)
    })
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const address = listener.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const relay = new TrickleRelay(listener, address.port)
    return relay
  }

  turnSlow(): void {
    this.#isSlow = true
  }

  turnFast(): void {
    this.#isSlow = false
    for (const socket of this.#sockets) socket.resume()
  }

  #pass(caller: Socket, targetPort: number): void {
    const [one, many] = [Buffer.alloc(1), Buffer.alloc(64 * 1024)]
    const target = connect({
      port: targetPort,
      host: '127.0.0.1',
      onread: {
        // What the kernel gives at once is bounded by the buffer: with one byte, the rest stays in the gateway's way.
        buffer: () => (this.#isSlow ? one : many),
        callback: (length, bytes) => {
          caller.write(Buffer.from(bytes.subarray(0, length)))
          if (!this.#isSlow) return true
          this.trickled += length
          setTimeout(() => target.resume(), 1000).unref()
          return false
        },
      },
    })
    caller.on('data', (chunk) => target.write(chunk))
    for (const [one, other] of [
      [caller, target],
      [target, caller],
    ] as const) {
      this.#sockets.add(one)
      one.on('error', () => undefined)
      one.on('close', () => {
        this.#sockets.delete(one)
        other.destroy()
      })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#listener.close()
    await once(this.#listener, 'close')
  }
}
