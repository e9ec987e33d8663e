import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { serverAccount, type TestPostgres } from '@sallyport/testkit'
import type { GatewayProcessOptions, GatewayProcessReady } from './gateway-process.ts'
import { freePort, runProgram, startProgram } from './processes.ts'

/** One way from the load to PostgreSQL. */
export interface Side {
  readonly name: string
  readonly url: string
  /** Processes whose CPU is the price of this way; none for the direct one. */
  readonly pids: readonly number[]
  /** Processes that work behind it: they ship and index what was recorded. */
  readonly behindPids: readonly number[]
}

export const appUser = { name: 'app', auth: 'scram-sha-256', password: 'app-password' } as const

export function directSide(postgres: TestPostgres): Side {
  return {
    name: 'direct',
    url: urlOf(postgres.port, appUser.name, appUser.password),
    pids: [],
    behindPids: [],
  }
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
    behindPids: [],
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
  const side = { name: 'bytes copied in Node', url, pids: [child.pid ?? 0], behindPids: [] }
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

/** Starts a gateway in a process of its own. */
export async function startGatewaySides(
  postgres: TestPostgres,
  options: GatewaySideOptions,
  stack: AsyncDisposableStack,
): Promise<readonly Side[]> {
  const dataDir = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
  stack.defer(async () => await rm(dataDir, { recursive: true, force: true }))
  const { name, tlsName, durability, masks } = options
  const target = {
    port: postgres.port,
    user: appUser.name,
    password: appUser.password,
    database: postgres.database,
  }
  const asked: GatewayProcessOptions = { dataDir, durability, masks, target }
  const program = fileURLToPath(new URL('./gateway-process.ts', import.meta.url))
  const child = fork(program, [JSON.stringify(asked)])
  stack.defer(async () => await ended(child))
  const ready = await firstMessage(child)
  const side = {
    name,
    url: urlOf(ready.port, ready.user, ready.secret),
    pids: ready.workerPids,
    behindPids: child.pid === undefined ? [] : [child.pid],
  }
  stack.defer(() => signal(side, 'SIGCONT'))
  // What stands still would never learn that this process has ended.
  process.once('exit', () => signal(side, 'SIGCONT'))
  await answers(side)
  if (tlsName === undefined) return [side]
  return [side, { ...side, name: tlsName, url: side.url.replace('disable', 'require') }]
}

async function firstMessage(child: ChildProcess): Promise<GatewayProcessReady> {
  const exited = once(child, 'exit').then(([code]: unknown[]): never => {
    throw new Error(`the gateway ended with ${String(code)}`)
  })
  const [message] = (await Promise.race([once(child, 'message'), exited])) as unknown[]
  return message as GatewayProcessReady
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return
  const exited = once(child, 'exit')
  if (child.connected) child.disconnect()
  await exited
}

/** Stops a gateway in its tracks, so that what it has yet to ship and index takes nothing from the side that is measured. */
export function standStill(side: Side): void {
  signal(side, 'SIGSTOP')
}

/** Beyond a heartbeat, so that the worker has heard of the control plane again. */
const wakingMs = 1500

export async function goOn(side: Side): Promise<void> {
  if (side.behindPids.length === 0) return
  signal(side, 'SIGCONT')
  await sleep(wakingMs)
  await answers(side)
}

/** A side with nothing behind it does nothing while it is not asked. */
function signal({ pids, behindPids }: Side, name: 'SIGSTOP' | 'SIGCONT'): void {
  if (behindPids.length === 0) return
  for (const pid of [...behindPids, ...pids]) {
    try {
      process.kill(pid, name)
    } catch {
      // It has ended.
    }
  }
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
