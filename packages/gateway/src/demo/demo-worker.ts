/** Entry of the demo database's thread; `startDemoTarget` starts it. */
import { mkdir } from 'node:fs/promises'
import { parentPort, workerData } from 'node:worker_threads'
import { openPglite } from '../pglite/open-pglite.ts'
import { DemoBackend } from './demo-backend.ts'
import { seedDemo } from './demo-data.ts'
import { listenDemo } from './demo-server.ts'

export interface DemoWorkerData {
  readonly dataDir: string
  readonly host: string
  readonly port: number
  readonly password: string
}

export type DemoWorkerMessage =
  | { readonly kind: 'listening'; readonly port: number }
  | { readonly kind: 'failed'; readonly message: string }

async function main(options: DemoWorkerData): Promise<void> {
  await mkdir(options.dataDir, { recursive: true })
  const lite = await openPglite(options.dataDir)
  await seedDemo(lite)
  const backend = new DemoBackend(async (message) =>
    Buffer.from(await lite.execProtocolRaw(message)),
  )
  const version = await lite.query<{ server_version: string }>('show server_version')
  const serverVersion = version.rows[0]?.server_version ?? '18'
  const listener = await listenDemo({ ...options, serverVersion }, backend)
  parentPort?.once('message', () => {
    void listener
      .close()
      .then(() => lite.close())
      .finally(() => parentPort?.close())
  })
  send({ kind: 'listening', port: listener.port })
}

function send(message: DemoWorkerMessage): void {
  parentPort?.postMessage(message)
}

try {
  await main(workerData as DemoWorkerData)
} catch (error) {
  send({ kind: 'failed', message: error instanceof Error ? error.message : String(error) })
  parentPort?.close()
}
