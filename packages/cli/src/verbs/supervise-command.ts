import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import type { BrokerClient } from '../broker/broker-client.ts'
import { childrenOf } from '../broker/processes.ts'
import { loadSystemCalls, type SystemCalls } from '../broker/system-calls.ts'

export interface CommandEnd {
  /** As a shell reports it. */
  readonly code: number
  readonly signal: string | undefined
  /** Processes that the command left behind. */
  readonly left: number
}

/** As shells use them. */
const notExecutable = 126
const notFound = 127
const signalBase = 128

/** A terminal sends these to all of its foreground processes, so passed on they would arrive twice. */
const fromTerminal: readonly NodeJS.Signals[] = ['SIGINT', 'SIGQUIT']
const passedOn: readonly NodeJS.Signals[] = ['SIGTERM', 'SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGCONT']

/** Runs the command with this process as the anchor above it, and tells the broker when both are done. */
export async function superviseCommand(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  client: BrokerClient,
): Promise<CommandEnd> {
  const calls = await loadSystemCalls()
  // Orphans must stay below this process, or their ancestry no longer says whose they are.
  if (typeof calls !== 'string') calls.beSubreaper()
  const [program = '', ...words] = command
  const child = spawn(program, words, { env, stdio: 'inherit' })
  const ended = endOf(child)
  if (child.pid !== undefined) await client.ask({ op: 'started', child: child.pid }).catch(ignore)
  const stop = forward(child)
  const stopReaping = typeof calls === 'string' ? ignore : reapOrphans(calls, child)
  const end = await ended
  stop()
  stopReaping()
  if (typeof calls !== 'string') reap(calls, undefined)
  const { left } = await client.ask<{ left: number }>({ op: 'leave' }).catch(() => ({ left: 0 }))
  client.close()
  return { ...end, left }
}

async function endOf(child: ChildProcess): Promise<{ code: number; signal: string | undefined }> {
  const { promise, resolve } = Promise.withResolvers<{ code: number; signal: string | undefined }>()
  child.on('error', (error: NodeJS.ErrnoException) => {
    const code = error.code === 'ENOENT' ? notFound : notExecutable
    process.stderr.write(
      `sallyport: ${child.spawnfile}: ${error.code === 'ENOENT' ? 'command not found' : error.message}\n`,
    )
    resolve({ code, signal: undefined })
  })
  child.on('exit', (code, signal) => {
    const number = signal === null ? (code ?? 1) : signalBase + constants.signals[signal]
    resolve({ code: number, signal: signal ?? undefined })
  })
  return await promise
}

function forward(child: ChildProcess): () => void {
  const ask = (signal: NodeJS.Signals): void => {
    const sentToAll = fromTerminal.includes(signal) && process.stdin.isTTY === true
    if (!sentToAll) child.kill(signal)
  }
  const signals = [...fromTerminal, ...passedOn]
  for (const signal of signals) process.on(signal, ask)
  return () => {
    for (const signal of signals) process.off(signal, ask)
  }
}

/** Adopted orphans that end stay as zombies until somebody asks for their status. Node asks for its own child only. */
function reapOrphans(calls: SystemCalls, child: ChildProcess): () => void {
  const onChild = (): void => reap(calls, child.pid)
  process.on('SIGCHLD', onChild)
  return () => process.off('SIGCHLD', onChild)
}

function reap(calls: SystemCalls, own: number | undefined): void {
  for (const pid of childrenOf(process.pid)) {
    if (pid !== own) calls.reap(pid)
  }
}

function ignore(): void {
  // The broker may be gone; the command runs on, and the verb has said so.
}
