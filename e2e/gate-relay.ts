import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** A place at which a connection stands still until the test says how it goes on. */
export interface Gate {
  /** Resolves when a connection stands before it. */
  readonly reached: Promise<void>
  /** What stands there goes on, and all that comes behind it. */
  letGo(): void
  /** The connection ends on both sides, and what stands there never arrives. */
  cut(): void
}

interface Watch {
  readonly isHere: (bytes: Buffer) => boolean
  readonly reached: PromiseWithResolvers<void>
  stopped: { readonly caller: Socket; readonly target: Socket; readonly bytes: Buffer } | undefined
}

/** Passes connections on to a port of this machine, and stops one where it is about to send what is looked for. */
export class GateRelay implements AsyncDisposable {
  readonly port: number
  readonly #listener: Server
  readonly #sockets = new Set<Socket>()
  #watch: Watch | undefined

  private constructor(listener: Server, port: number) {
    this.#listener = listener
    this.port = port
  }

  static async before(targetPort: number): Promise<GateRelay> {
    const listener = createServer((caller) => {
      relay.#pass(caller, targetPort)
    })
    listener.listen(0, '127.0.0.1')
    await once(listener, 'listening')
    const address = listener.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const relay = new GateRelay(listener, address.port)
    return relay
  }

  /** Stops the first connection that sends such bytes towards the server. One gate at a time. */
  stopAt(isHere: Watch['isHere']): Gate {
    const watch: Watch = { isHere, reached: Promise.withResolvers(), stopped: undefined }
    this.#watch = watch
    return {
      reached: watch.reached.promise,
      letGo: () => {
        if (this.#watch === watch) this.#watch = undefined
        const { caller, target, bytes } = watch.stopped ?? {}
        if (bytes !== undefined) target?.write(bytes)
        caller?.resume()
      },
      cut: () => {
        if (this.#watch === watch) this.#watch = undefined
        watch.stopped?.caller.resetAndDestroy()
        watch.stopped?.target.resetAndDestroy()
      },
    }
  }

  /** Every connection ends, as where the server's machine is gone. */
  cutAll(): void {
    this.#watch = undefined
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  #pass(caller: Socket, targetPort: number): void {
    const target = connect({ port: targetPort, host: '127.0.0.1' })
    caller.on('data', (bytes) => {
      const watch = this.#watch
      if (watch === undefined || watch.stopped !== undefined || !watch.isHere(bytes)) {
        target.write(bytes)
        return
      }
      caller.pause()
      watch.stopped = { caller, target, bytes }
      watch.reached.resolve()
    })
    target.on('data', (bytes) => caller.write(bytes))
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
