import type { Socket } from 'node:net'

/** Gathers what goes to one socket during one turn: neighbours in memory become one slice, and all of it one write. */
export class Outlet {
  readonly #socket: Socket
  readonly #pieces: Buffer[] = []
  #run: Buffer | undefined

  constructor(socket: Socket) {
    this.#socket = socket
  }

  add(bytes: Buffer): void {
    if (bytes.length === 0) return
    if (this.#run === undefined) {
      this.#run = bytes
      return
    }
    const joined = joinNeighbours(this.#run, bytes)
    if (joined === undefined) {
      this.#pieces.push(this.#run)
      this.#run = bytes
    } else {
      this.#run = joined
    }
  }

  /** Writes everything. False asks to wait for `drain`. */
  flush(): boolean {
    if (this.#run === undefined || this.#socket.destroyed) return true
    const last = this.#run
    this.#run = undefined
    if (this.#pieces.length === 0) return this.#socket.write(last)
    this.#socket.cork()
    for (const piece of this.#pieces) this.#socket.write(piece)
    this.#pieces.length = 0
    const isFlowing = this.#socket.write(last)
    this.#socket.uncork()
    return isFlowing
  }
}

/** The two as one slice, where the second begins in memory where the first ends. */
export function joinNeighbours(first: Buffer, second: Buffer): Buffer | undefined {
  if (first.buffer !== second.buffer || first.byteOffset + first.length !== second.byteOffset) {
    return undefined
  }
  return Buffer.from(first.buffer, first.byteOffset, first.length + second.length)
}
