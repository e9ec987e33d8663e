import { execFile, execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** Runs a program to its end and returns what it printed, which may be long. */
export async function runProgram(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = {},
): Promise<string> {
  const { stdout } = await execute(program, args, {
    env: { ...process.env, ...env },
    maxBuffer: 64 * 1024 * 1024,
  })
  return stdout
}

/** The first line that a program says about its version, or undefined where it is not installed. */
export function versionOf(program: string): string | undefined {
  try {
    return execFileSync(program, ['--version'], { encoding: 'utf8' }).split('\n')[0]
  } catch {
    return undefined
  }
}

let ticks: number | undefined

/** Seconds of CPU that the processes have used so far; undefined where the system doesn't tell. */
export function cpuSecondsOf(pids: readonly number[]): number | undefined {
  if (pids.length === 0) return undefined
  try {
    ticks ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }))
    let used = 0
    for (const pid of pids) {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
      // The program's name stands in parentheses and may hold spaces; fields 14 and 15 count from the line's start.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      used += Number(fields[11]) + Number(fields[12])
    }
    return used / ticks
  } catch {
    return undefined
  }
}

/** A port of the loopback address that was free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  const address = server.address()
  await new Promise((resolve) => {
    server.close(resolve)
  })
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** Starts a program that keeps running, under another account where one is given. */
export function startProgram(
  program: string,
  args: readonly string[],
  account?: { uid: number; gid: number },
): ChildProcess {
  return spawn(program, args, { ...account, stdio: 'ignore' })
}

/** Memory that a process has in use, in bytes; from `/proc`, so on Linux alone. */
export function rssOf(pid: number): number {
  const kib = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
  return Number(kib ?? NaN) * 1024
}
