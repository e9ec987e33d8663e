import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { SallyportError, type ErrorCode } from '@sallyport/core'
import { readLines } from './lines.ts'
import type { BrokerReply, BrokerRequest } from './protocol.ts'
import { brokerSocketOf, runFolderOf } from './run-folder.ts'

type Omitted<T> = T extends unknown ? Omit<T, 'pid'> : never
/** A request without the number of this process, which is added on the way. */
export type Ask = Omitted<BrokerRequest>

/** Loading it takes a second on a busy machine. */
const startTriesMax = 200
const startPauseMs = 50

/** A connection to the broker. */
export class BrokerClient {
  readonly #socket: Socket
  readonly #waiting: { resolve: (value: unknown) => void; reject: (error: Error) => void }[] = []
  /** Called when the broker goes away. */
  onLost: () => void = () => undefined
  /** Called when the gateway stopped or took away the agent of this connection. */
  onState: (code: ErrorCode, message: string) => void = () => undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    // Only an answer that is waited for keeps this process alive.
    socket.unref()
    readLines(socket, (line) => this.#take(JSON.parse(line) as BrokerReply))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      for (const { reject } of this.#waiting.splice(0)) reject(gone())
      this.onLost()
    })
  }

  /** The running broker, or nothing where none runs. */
  static async find(folder = runFolderOf()): Promise<BrokerClient | undefined> {
    const socket = connect(brokerSocketOf(folder))
    try {
      await once(socket, 'connect')
      return new BrokerClient(socket)
    } catch {
      return undefined
    }
  }

  /** The running broker, started first where there is none. */
  static async start(folder = runFolderOf()): Promise<BrokerClient> {
    const found = await BrokerClient.find(folder)
    if (found !== undefined) return found
    launch(folder)
    for (let tries = 0; tries < startTriesMax; tries += 1) {
      const started = await BrokerClient.find(folder)
      if (started !== undefined) return started
      await sleep(startPauseMs)
    }
    throw new SallyportError('SP_INTERNAL', `the broker does not start in ${folder}`)
  }

  /** The answer is what the broker of the same version documents for the request. */
  async ask<T>(request: Ask): Promise<T> {
    if (this.#socket.closed) throw gone()
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#waiting.push({ resolve, reject })
    this.#socket.ref()
    this.#socket.write(`${JSON.stringify({ ...request, pid: process.pid })}\n`)
    return (await promise) as T
  }

  close(): void {
    this.onLost = () => undefined
    this.#socket.end()
  }

  #take(reply: BrokerReply): void {
    if ('event' in reply) return this.onState(reply.code, reply.message)
    const waiting = this.#waiting.shift()
    if (this.#waiting.length === 0) this.#socket.unref()
    if (reply.ok) return waiting?.resolve(reply.result)
    const { code, message, detail } = reply.error
    waiting?.reject(new SallyportError(code, message, detail === undefined ? {} : { detail }))
  }
}

/** A process of its own that outlives the terminal. It gets what it needs of the environment, and no more. */
function launch(folder: string): void {
  const kept = ['PATH', 'HOME', 'USER', 'LANG', 'XDG_RUNTIME_DIR', 'TMPDIR', 'SALLYPORT_DEBUG']
  const env = Object.fromEntries(kept.map((name) => [name, process.env[name]]))
  const bin = fileURLToPath(new URL('../../bin/sallyport.mjs', import.meta.url))
  const child = spawn(process.execPath, [...process.execArgv, bin, 'broker', '--folder', folder], {
    cwd: '/',
    detached: true,
    env,
    stdio: 'ignore',
  })
  child.unref()
}

function gone(): SallyportError {
  return new SallyportError('SP_NO_PARENT', 'the broker ended before it answered')
}
