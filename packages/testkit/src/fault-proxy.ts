import { Buffer } from 'node:buffer'
import { connect, createServer, type Server, type Socket } from 'node:net'

/** What a proxy does with what passes through it. */
export type Fault =
  | { readonly kind: 'none' }
  /** Nobody listens. */
  | { readonly kind: 'refused' }
  /** Takes everything, and never answers. */
  | { readonly kind: 'silent' }
  /** Breaks off when so many bytes of a caller have passed. */
  | { readonly kind: 'reset'; readonly afterBytes: number }
  /** Lets the server do it, and breaks off when the answer comes. */
  | { readonly kind: 'answer lost' }
  /** Breaks off when so many bytes of the answer have passed. */
  | { readonly kind: 'answer cut'; readonly afterBytes: number }
  /** Answers itself, with these bytes. */
  | { readonly kind: 'answer'; readonly bytes: string }
  /** Changes the first occurrence of these bytes on their way to the server. */
  | { readonly kind: 'change'; readonly from: string; readonly to: string }

/** A way to a server that can be made bad at will. Connections that are open take part from their next bytes on. */
export class FaultProxy implements AsyncDisposable {
  fault: Fault = { kind: 'none' }
  /** Connections that began, and requests that a fault met. */
  connections = 0
  met = 0
  readonly #target: number
  readonly #sockets = new Set<Socket>()
  #server: Server | undefined
  #port = 0

  private constructor(target: number) {
    this.#target = target
  }

  /** A proxy before a port of this machine. */
  static async before(target: number): Promise<FaultProxy> {
    const proxy = new FaultProxy(target)
    await proxy.#listen()
    return proxy
  }

  get port(): number {
    return this.#port
  }

  get endpoint(): string {
    return `http://127.0.0.1:${this.#port}`
  }

  async set(fault: Fault): Promise<void> {
    this.fault = fault
    this.met = 0
    if (fault.kind === 'refused') await this.#close()
    else if (this.#server === undefined) await this.#listen()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close()
  }

  async #listen(): Promise<void> {
    const server = createServer((caller) => this.#relay(caller))
    this.#server = server
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(this.#port, '127.0.0.1', resolve)
    })
    const address = server.address()
    if (typeof address === 'object' && address !== null) this.#port = address.port
  }

  async #close(): Promise<void> {
    const server = this.#server
    this.#server = undefined
    for (const socket of this.#sockets) socket.destroy()
    if (server !== undefined) await new Promise((resolve) => server.close(resolve))
  }

  #relay(caller: Socket): void {
    this.connections += 1
    const target = connect(this.#target, '127.0.0.1')
    for (const socket of [caller, target]) {
      this.#sockets.add(socket)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        this.#sockets.delete(socket)
        caller.destroy()
        target.destroy()
      })
    }
    let sent = 0
    let answered = 0
    caller.on('data', (chunk) => {
      const { fault } = this
      sent += chunk.length
      if (fault.kind !== 'none') this.met += 1
      if (fault.kind === 'silent') return
      if (fault.kind === 'answer') {
        caller.end(fault.bytes)
        return
      }
      if (fault.kind === 'reset' && sent > fault.afterBytes) {
        caller.resetAndDestroy()
        return
      }
      target.write(fault.kind === 'change' ? changed(chunk, fault.from, fault.to) : chunk)
    })
    target.on('data', (chunk) => {
      const { fault } = this
      answered += chunk.length
      if (fault.kind === 'silent') return
      if (fault.kind === 'answer lost') caller.resetAndDestroy()
      else if (fault.kind === 'answer cut' && answered > fault.afterBytes) {
        caller.write(chunk.subarray(0, Math.max(0, chunk.length - (answered - fault.afterBytes))))
        caller.end()
      } else caller.write(chunk)
    })
  }
}

function changed(chunk: Buffer, from: string, to: string): Buffer {
  const at = chunk.indexOf(from)
  if (at < 0) return chunk
  const copy = Buffer.from(chunk)
  copy.write(to, at)
  return copy
}
