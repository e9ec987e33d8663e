import type { Socket } from 'node:net'
import { ByteRun } from './byte-run.ts'

/** Gathers what goes to one socket during one turn: neighbours in memory become one slice, and all of it one write. */
export class Outlet {
  readonly #socket: Socket
  readonly #pieces: Buffer[] = []
  readonly #run = new ByteRun()

  constructor(socket: Socket) {
    this.#socket = socket
  }

  add(bytes: Buffer, start = 0, end = bytes.length): void {
    if (start === end || this.#run.extend(bytes, start, end)) return
    this.#pieces.push(this.#run.take())
    this.#run.extend(bytes, start, end)
  }

  /** Writes everything. False asks to wait for `drain`. */
  flush(): boolean {
    if (this.#run.isEmpty || this.#socket.destroyed) return true
    const last = this.#run.take()
    if (this.#pieces.length === 0) return this.#socket.write(last)
    this.#socket.cork()
    for (const piece of this.#pieces) this.#socket.write(piece)
    this.#pieces.length = 0
    const isFlowing = this.#socket.write(last)
    this.#socket.uncork()
    return isFlowing
  }
}
