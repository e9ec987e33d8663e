import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { Client } from 'pg'
import type { TestGateway } from './test-gateway.ts'

/** What a program printed, and how it ended. */
export interface Ran {
  readonly out: string
  readonly err: string
  readonly code: number | null
}

export async function psql(url: string, ...args: string[]): Promise<Ran> {
  const child = spawn('psql', [url, '-XAt', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { out, err, code }
}

/** A driver's session through the gateway. Its loss is read from queries, so the event itself is not an error here. */
export async function connect(
  gateway: TestGateway,
  application = 'e2e',
  port = gateway.gateway.ports.postgres,
): Promise<Client> {
  const { user, secret } = await gateway.credential()
  const client = new Client({
    host: '127.0.0.1',
    port,
    user,
    password: secret,
    database: gateway.postgres.database,
    application_name: application,
    ssl: { rejectUnauthorized: false },
  })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

export async function workerPids(gateway: TestGateway): Promise<number[]> {
  const { workers } = await gateway.gateway.status()
  return workers.flatMap(({ pid, state }) => (pid === undefined || state !== 'ready' ? [] : [pid]))
}

/** Memory of all workers that stands in RAM, in MiB. Linux only. */
export async function workersMemory(gateway: TestGateway): Promise<number> {
  const pids = await workerPids(gateway)
  const sizes = await Promise.all(
    pids.map(async (pid) => {
      const text = await readFile(`/proc/${pid}/status`, 'utf8')
      return Number(/VmRSS:\s+(\d+) kB/.exec(text)?.[1] ?? 0) / 1024
    }),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** The large sizes of a test where they are asked for; otherwise what a CI machine does in seconds. */
export const isLarge = process.env['SALLYPORT_TEST_LARGE'] === '1'
