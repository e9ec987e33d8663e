import { connect, createServer, type Socket } from 'node:net'
import { once } from 'node:events'

/** How long an expectation waits before it fails the test. */
const expectMsMax = 10_000

/** One end of a TCP connection that follows a script: `expectBytes`, `send`, `hangUp`. */
export class ScriptedPeer implements AsyncDisposable {
  readonly #socket: Socket
  #received: Buffer = Buffer.alloc(0)
  #ended = false
  #wake: () => void = () => {}

  constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => {
      this.#received = Buffer.concat([this.#received, chunk])
      this.#wake()
    })
    // A reset is an end like any other here; the script says whether it expected one.
    socket.on('error', () => socket.destroy())
    for (const event of ['end', 'close'])
      socket.on(event, () => {
        this.#ended = true
        this.#wake()
      })
  }

  /** Connects to a listener as its caller. */
  static async connect(port: number, host = '127.0.0.1'): Promise<ScriptedPeer> {
    // Each `send` leaves by itself: a script says where its bytes are cut.
    const socket = connect({ port, host, noDelay: true })
    await once(socket, 'connect')
    return new ScriptedPeer(socket)
  }

  /** Takes the next `count` bytes, or fails when the peer ends or stays silent before. */
  async read(count: number): Promise<Buffer> {
    await this.#wait(() => this.#received.length >= count || this.#ended, `${count} bytes`)
    if (this.#received.length < count)
      throw new Error(`expected ${count} bytes, got ${this.#received.length} and the end`)
    const bytes = this.#received.subarray(0, count)
    this.#received = this.#received.subarray(count)
    return bytes
  }

  /** Takes as many bytes as `expected` has and fails unless they are the same. */
  async expectBytes(expected: Uint8Array): Promise<void> {
    const got = await this.read(expected.length)
    if (!got.equals(expected))
      throw new Error(
        `expected ${Buffer.from(expected).toString('hex')}, got ${got.toString('hex')}`,
      )
  }

  /** Waits for the other side to end; fails when bytes came that the script did not take. */
  async expectEnd(): Promise<void> {
    await this.#wait(() => this.#ended, 'the end')
    if (this.#received.length > 0)
      throw new Error(`expected the end, got ${this.#received.toString('hex')}`)
  }

  send(bytes: Uint8Array): void {
    this.#socket.write(bytes)
  }

  /** Ends in order (`end`) or as a crash would (`reset`). */
  hangUp(how: 'end' | 'reset' = 'end'): void {
    if (how === 'end') this.#socket.end()
    else this.#socket.resetAndDestroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#socket.closed) return
    const closed = once(this.#socket, 'close')
    this.#socket.destroy()
    await closed
  }

  async #wait(done: () => boolean, what: string): Promise<void> {
    const end = performance.now() + expectMsMax
    while (!done()) {
      const left = end - performance.now()
      if (left <= 0) throw new Error(`waited in vain for ${what}`)
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
  }
}

/** A listener that runs one script for each connection it accepts. */
export interface ScriptedListener extends AsyncDisposable {
  readonly port: number
  /** Throws the first failure of a script; call it before a test ends. */
  finished(): Promise<void>
}

/** Listens on a free loopback port and plays `script` to everybody who connects. */
export async function listenScripted(
  script: (peer: ScriptedPeer) => Promise<void>,
): Promise<ScriptedListener> {
  const sockets = new Set<Socket>()
  const runs: Promise<Error | undefined>[] = []
  const listener = createServer((socket) => {
    sockets.add(socket)
    runs.push(outcome(script(new ScriptedPeer(socket))))
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const address = listener.address()
  return {
    port: typeof address === 'object' && address !== null ? address.port : 0,
    async finished() {
      const failure = (await Promise.all(runs)).find((result) => result !== undefined)
      if (failure !== undefined) throw failure
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      listener.close()
      await once(listener, 'close')
    },
  }
}

/** A failure is kept as a value: a rejection nobody awaits yet would end the test process. */
async function outcome(run: Promise<void>): Promise<Error | undefined> {
  try {
    await run
    return undefined
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error))
  }
}
