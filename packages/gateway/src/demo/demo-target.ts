import { randomBytes } from 'node:crypto'
import { Worker } from 'node:worker_threads'
import type { DemoWorkerData, DemoWorkerMessage } from './demo-worker.ts'

export interface DemoTargetOptions {
  /** Folder of the demo database; created and filled when it is empty. */
  readonly dataDir: string
  /** 0 takes any free port. */
  readonly port: number
  /** Loopback unless told otherwise. */
  readonly host?: string
}

/** A running demo database and the login that opens it. */
export interface DemoTarget {
  readonly host: string
  readonly port: number
  readonly user: string
  /** Made anew at each start and held in memory only. */
  readonly password: string
  readonly database: string
  close(): Promise<void>
}

/** Starts `shop-db`: PostgreSQL compiled to WebAssembly, in a thread of its own, served over the PostgreSQL protocol. */
export async function startDemoTarget(options: DemoTargetOptions): Promise<DemoTarget> {
  const host = options.host ?? '127.0.0.1'
  const password = randomBytes(24).toString('base64url')
  const workerData: DemoWorkerData = {
    dataDir: options.dataDir,
    host,
    port: options.port,
    password,
  }
  const worker = new Worker(workerUrl(), { workerData })
  const port = await listening(worker)
  return {
    host,
    port,
    user: 'postgres',
    password,
    database: 'postgres',
    close: () => close(worker),
  }
}

/** The thread's file has the ending of this file: `.ts` from source, `.js` when compiled. */
function workerUrl(): URL {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  return new URL(`./demo-worker.${ending}`, import.meta.url)
}

function listening(worker: Worker): Promise<number> {
  return new Promise((resolve, reject) => {
    const onExit = (): void => reject(new Error('the demo database ended before it was ready'))
    worker.once('error', (cause) => {
      reject(new Error('starting the demo database', { cause }))
    })
    worker.once('exit', onExit)
    worker.once('message', (message: DemoWorkerMessage) => {
      worker.off('exit', onExit)
      if (message.kind === 'listening') resolve(message.port)
      else reject(new Error(`starting the demo database: ${message.message}`))
    })
  })
}

async function close(worker: Worker): Promise<void> {
  const ended = new Promise<void>((resolve) => {
    worker.once('exit', () => resolve())
  })
  worker.postMessage('close')
  await ended
}
