import { Worker } from 'node:worker_threads'
import { protocol, type messages } from '@electric-sql/pglite'
import type { PgliteAnswer, PgliteAsk, PgliteReady } from './pglite-worker.ts'

type BackendMessage = messages.BackendMessage

interface Waiting {
  readonly resolve: (bytes: Uint8Array) => void
  readonly reject: (error: Error) => void
}

/**
 * The embedded database in a thread of its own, since it computes for as long as a statement takes: heartbeats and
 * revocations must not wait for that. It has as much of PGlite's interface as its bridge to `pg` uses.
 */
export class PgliteThread {
  /** The bridge awaits it before it connects. */
  readonly waitReady: Promise<void>
  readonly #worker: Worker
  readonly #waiting = new Map<number, Waiting>()
  #asked = 0
  #failure: Error | undefined

  private constructor(dir: string) {
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    this.#worker = new Worker(new URL(`./pglite-worker.${extension}`, import.meta.url), {
      workerData: dir,
    })
    this.waitReady = new Promise((resolve, reject) => {
      const ready = (message: PgliteReady | PgliteAnswer): void => {
        if (message.kind === 'ready') resolve()
        else this.#settle(message)
      }
      const ended = (error: Error): void => {
        this.#fail(error)
        reject(error)
      }
      this.#worker.on('message', ready)
      this.#worker.on('error', (error) =>
        ended(error instanceof Error ? error : new Error(String(error))),
      )
      this.#worker.on('exit', () =>
        ended(new Error('the thread of the embedded database has ended')),
      )
    })
  }

  /** Opens the database in `dir`, or makes it. Rejects with what PGlite says where it can't. */
  static async open(dir: string): Promise<PgliteThread> {
    const thread = new PgliteThread(dir)
    await thread.waitReady
    // What is idle keeps no process alive.
    thread.#worker.unref()
    return thread
  }

  /** Sends messages of the PostgreSQL protocol, and resolves with the answers to them. */
  async execProtocolStream(bytes: Uint8Array): Promise<BackendMessage[]> {
    // Copied out of whatever larger memory it is a view of: all of that would go across.
    const copy = new Uint8Array(bytes)
    const answer = await this.#ask((id) => ({ id, bytes: copy }))
    const found: BackendMessage[] = []
    new protocol.Parser().parse(answer, (message) => found.push(message))
    return found
  }

  async close(): Promise<void> {
    const exited = new Promise((resolve) => this.#worker.once('exit', resolve))
    await this.#ask((id) => ({ id, close: true }))
    this.#worker.ref()
    await exited
  }

  async #ask(ask: (id: number) => PgliteAsk): Promise<Uint8Array> {
    if (this.#failure !== undefined) throw this.#failure
    this.#asked += 1
    const id = this.#asked
    return await new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      this.#worker.ref()
      this.#worker.postMessage(ask(id))
    })
  }

  #settle(message: PgliteAnswer): void {
    const waiting = this.#waiting.get(message.id)
    this.#waiting.delete(message.id)
    if (this.#waiting.size === 0) this.#worker.unref()
    if (message.kind === 'answer') waiting?.resolve(message.bytes)
    else waiting?.reject(new Error(message.message))
  }

  #fail(error: Error): void {
    this.#failure ??= error
    for (const { reject } of this.#waiting.values()) reject(error)
    this.#waiting.clear()
  }
}
