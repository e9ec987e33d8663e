import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { SallyportError } from '@sallyport/core'

/** A held data folder. */
export interface DataLock {
  release(): void
}

/**
 * Takes the data folder for this process, or throws `SP_STORE_LOCKED` naming the process that holds it.
 * The embedded database has no lock of its own: two processes on one folder silently lose rows.
 * A lock whose process is gone is taken over.
 */
export async function takeDataLock(dataDir: string): Promise<DataLock> {
  const path = join(dataDir, 'lock')
  const mine = `${process.pid} ${startTime(process.pid)}\n`
  const draft = `${path}.${process.pid}.${performance.now()}`
  await writeFile(draft, mine, { mode: 0o600 })
  try {
    // A link is made whole or not at all, so nobody ever reads a half-written lock.
    while (!(await linked(draft, path))) await removeStale(path)
  } finally {
    await rm(draft, { force: true })
  }
  return {
    release() {
      if (readIfThere(path) === mine) rmSync(path, { force: true })
    },
  }
}

async function linked(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path)
    return true
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false
    throw error
  }
}

async function removeStale(path: string): Promise<void> {
  const seen = await readFile(path, 'utf8').catch(() => undefined)
  if (seen === undefined) return
  refuseIfAlive(seen, path)
  // Two processes may find the same stale lock; only what was judged may be removed, never the other's fresh one.
  const aside = `${path}.stale.${process.pid}`
  const moved = await rename(path, aside).then(
    () => true,
    () => false,
  )
  if (!moved) return
  if ((await readFile(aside, 'utf8')) !== seen) await linked(aside, path)
  await rm(aside, { force: true })
}

function refuseIfAlive(content: string, path: string): void {
  const [pidText = '', start = ''] = content.trim().split(' ')
  const pid = Number(pidText)
  if (!Number.isSafeInteger(pid) || pid <= 0 || !isAlive(pid, start)) return
  throw new SallyportError('SP_STORE_LOCKED', `${path} is held by process ${pid}`, {
    detail: `process ${pid} holds it`,
  })
}

function isAlive(pid: number, start: string): boolean {
  try {
    process.kill(pid, 0)
  } catch (error) {
    // Not permitted to signal it means that it is there.
    if (!hasCode(error, 'EPERM')) return false
  }
  const now = startTime(pid)
  // Another process may have got the number since; its start time differs.
  return now === '-' || start === '-' || now === start
}

/** Clock ticks from boot to the start of the process; `-` on systems that have no /proc. */
function startTime(pid: number): string {
  const stat = readIfThere(`/proc/${pid}/stat`)
  // The program's name stands in parentheses and may hold spaces; field 22 is the twentieth after it.
  return stat?.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '-'
}

function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return undefined
  }
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
