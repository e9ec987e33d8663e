import { once } from 'node:events'
import { chmodSync, linkSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Broker } from './broker.ts'
import { isAlive, readProcess } from './processes.ts'
import { brokerSocketOf, makePrivateFolder, socketPath } from './run-folder.ts'
import { loadSystemCalls, selfTest, type SystemCalls } from './system-calls.ts'

/** Without an agent for this long there is nothing to hold. */
const idleMs = 60_000
const idleCheckMs = 5000
/** Two that start at once both may see a dead lock; the later one wins it, and the other sees that by then. */
const lockSettleMs = 50

/** The broker's process: serves until it has had no agents for a minute, or is told to stop. */
export async function brokerMain(folder: string): Promise<void> {
  makePrivateFolder(folder)
  if (!(await takeLock(join(folder, 'broker.lock')))) return
  const loaded = await loadSystemCalls()
  const calls = await tested(loaded, folder)
  const broker = new Broker(folder, calls)
  if (typeof calls !== 'string') broker.hidden = calls.beNotDumpable()
  const path = socketPath(brokerSocketOf(folder))
  rmSync(path, { force: true })
  const server = createServer({ pauseOnConnect: true }, (socket) => broker.serveControl(socket))
  server.listen(path)
  await once(server, 'listening')
  chmodSync(path, 0o600)
  const stopped = Promise.withResolvers<void>()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, stopped.resolve)
  // Its terminal may close; those in other terminals still need it.
  process.on('SIGHUP', () => undefined)
  let idleSince = Date.now()
  const check = setInterval(() => {
    if (broker.agents.size > 0) idleSince = Date.now()
    else if (Date.now() - idleSince > idleMs) stopped.resolve()
  }, idleCheckMs)
  await stopped.promise
  clearInterval(check)
  server.close()
  broker.stop()
  rmSync(path, { force: true })
  rmSync(join(folder, 'broker.lock'), { force: true })
  process.exit(0)
}

async function tested(loaded: SystemCalls | string, folder: string): Promise<SystemCalls | string> {
  if (typeof loaded === 'string') return loaded
  return (await selfTest(loaded, folder)) ?? loaded
}

/** One broker per folder. The lock names its process, so that one that died does not block the next. */
async function takeLock(path: string): Promise<boolean> {
  const own = readProcess(process.pid)
  const text = `${process.pid} ${own?.startTime ?? 0}`
  const draft = `${path}.${process.pid}`
  writeFileSync(draft, text, { mode: 0o600 })
  try {
    for (let tries = 0; tries < 3; tries += 1) {
      if (linked(draft, path)) {
        await sleep(lockSettleMs)
        return readFileSync(path, 'utf8') === text
      }
      const [pid = 0, startTime = 0] = readOrEmpty(path).split(' ').map(Number)
      if (own !== undefined && isAlive({ pid, startTime })) return false
      rmSync(path, { force: true })
    }
    return false
  } finally {
    rmSync(draft, { force: true })
  }
}

function linked(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch {
    return false
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
