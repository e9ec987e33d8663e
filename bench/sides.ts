import { once } from 'node:events'
import { chown, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { startGateway } from '@sallyport/gateway'
import { serverAccount, type TestPostgres } from '@sallyport/testkit'
import { freePort, runProgram, startProgram } from './processes.ts'

/** One way from the load to PostgreSQL. */
export interface Side {
  readonly name: string
  readonly url: string
  /** Processes whose CPU is the price of this way; none for the direct one. */
  readonly pids: readonly number[]
}

export const appUser = { name: 'app', auth: 'scram-sha-256', password: 'app-password' } as const

export function directSide(postgres: TestPostgres): Side {
  return { name: 'direct', url: urlOf(postgres.port, appUser.name, appUser.password), pids: [] }
}

/** Starts pgbouncer with session pooling, the mode that keeps a session's state as Sallyport does. */
export async function startPgbouncer(
  postgres: TestPostgres,
  stack: AsyncDisposableStack,
): Promise<Side> {
  const dir = await mkdtemp(join(tmpdir(), 'sallyport-bouncer-'))
  stack.defer(async () => await rm(dir, { recursive: true, force: true }))
  const port = await freePort()
  const users = join(dir, 'users.txt')
  const config = join(dir, 'pgbouncer.ini')
  await writeFile(users, `"${appUser.name}" "${appUser.password}"\n`)
  await writeFile(
    config,
    [
      '[databases]',
      `postgres = host=127.0.0.1 port=${postgres.port} dbname=postgres`,
      '[pgbouncer]',
      'listen_addr = 127.0.0.1',
      `listen_port = ${port}`,
      'unix_socket_dir =',
      'auth_type = scram-sha-256',
      `auth_file = ${users}`,
      'pool_mode = session',
      'default_pool_size = 64',
      'max_client_conn = 500',
      'ignore_startup_parameters = extra_float_digits',
      'log_connections = 0',
      'log_disconnections = 0',
      '',
    ].join('\n'),
  )
  const account = serverAccount()
  if (account !== undefined) {
    for (const path of [dir, users, config]) await chown(path, account.uid, account.gid)
  }
  // It does not run as root.
  const child = startProgram('pgbouncer', ['-q', config], account)
  stack.defer(async () => {
    if (child.exitCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  })
  const side = {
    name: 'pgbouncer',
    url: urlOf(port, appUser.name, appUser.password),
    pids: [child.pid ?? 0],
  }
  await answers(side)
  return side
}

/** Starts a relay that only copies bytes. */
export async function startCopyRelay(
  postgres: TestPostgres,
  stack: AsyncDisposableStack,
): Promise<Side> {
  const port = await freePort()
  const program = fileURLToPath(new URL('./copy-relay.ts', import.meta.url))
  const child = startProgram(process.execPath, [program, String(port), String(postgres.port)])
  stack.defer(() => void child.kill('SIGKILL'))
  const url = urlOf(port, appUser.name, appUser.password)
  const side = { name: 'bytes copied in Node', url, pids: [child.pid ?? 0] }
  await answers(side)
  return side
}

export interface GatewaySideOptions {
  readonly name: string
  readonly durability: 'process' | 'auto' | 'disk'
  readonly masks: boolean
  /** The name of a second side that reaches the same gateway through TLS. */
  readonly tlsName?: string
}

/** Starts a gateway with one worker, since pgbouncer has one thread. */
export async function startGatewaySides(
  postgres: TestPostgres,
  options: GatewaySideOptions,
  stack: AsyncDisposableStack,
): Promise<readonly Side[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
  stack.defer(async () => await rm(dataDir, { recursive: true, force: true }))
  await mkdir(join(dataDir, 'policies'))
  await writeFile(join(dataDir, 'policies', 'bench.yaml'), policy(options.masks))
  const gateway = await startGateway({
    dataDir,
    ports: { api: 0, postgres: 0 },
    host: '127.0.0.1',
    workers: 1,
    durability: options.durability,
    demo: false,
    plainText: true,
    onEvent: (event) => {
      if (event.kind === 'fault' || event.kind === 'policies.refused')
        process.stderr.write(`${JSON.stringify(event)}\n`)
    },
  })
  stack.defer(async () => await gateway.stop(0))
  const token = (await readFile(join(dataDir, 'owner.token'), 'utf8')).trim()
  const ask = async (method: string, path: string, body?: unknown): Promise<Response> => {
    const response = await fetch(`http://127.0.0.1:${gateway.ports.api}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`)
    return response
  }
  await ask('POST', '/v1/connections', {
    name: 'bench',
    host: '127.0.0.1',
    port: postgres.port,
    user: appUser.name,
    password: appUser.password,
    database: postgres.database,
    tls: 'off',
  })
  const status: unknown = await (await ask('GET', '/v1/status')).json()
  const pids = workerPids(status)
  const { user, secret } = await gateway.issueCredential({ connection: 'bench' })
  const { name, tlsName } = options
  const side = { name, url: urlOf(gateway.ports.postgres, user, secret), pids }
  await answers(side)
  if (tlsName === undefined) return [side]
  return [side, { ...side, name: tlsName, url: side.url.replace('disable', 'require') }]
}

function workerPids(status: unknown): readonly number[] {
  const { workers } = status as { workers: readonly { pid?: number }[] }
  const pids = workers.flatMap((worker) => worker.pid ?? [])
  if (pids.length === 0) throw new Error('the gateway does not name its workers')
  return pids
}

function urlOf(port: number, user: string, password: string): string {
  return `postgresql://${user}:${password}@127.0.0.1:${port}/postgres?sslmode=disable`
}

/** Waits until the side answers, at most some seconds. */
async function answers(side: Side): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      await runProgram('psql', [side.url, '-XAtc', 'select 1'])
      return
    } catch (error) {
      if (tries === 50) throw error
      await sleep(100)
    }
  }
}

/** A rule that never blocks is evaluated too, since policies without any would be free. */
function policy(masks: boolean): string {
  const mask = `
    - name: mask-email
      on: sql
      when: "true"
      effect: mask
      mask: [{columns: ["bulk.email"], with: partial}]`
  return `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: bench}
spec:
  rules:
    - name: no-drop
      on: sql
      when: op.verb == "drop"
      effect: block
      message: "Nothing is dropped here."${masks ? mask : ''}
`
}
