import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

/** One process as the kernel tells it. Its number may be used again; number and start together are not. */
export interface ProcessFacts {
  readonly pid: number
  readonly parent: number
  /** Number of the session leader. */
  readonly session: number
  /** Clock ticks since boot. */
  readonly startTime: number
  readonly name: string
  /** Has ended, and waits for its parent to ask how. */
  readonly ended: boolean
}

/** What tells a process from a later one of the same number. */
export interface ProcessKey {
  readonly pid: number
  readonly startTime: number
}

/** What the gateway records of the process that opened a session. */
export interface Evidence extends ProcessKey {
  readonly uid: number
  readonly exe: string
  readonly argvSha256: string
  readonly cgroup: string
  readonly ancestry: readonly { pid: number; startTime: number; name: string }[]
}

/** Nothing sane nests deeper; a loop of reused numbers must end. */
const ancestryMax = 256
const ancestryTries = 3

/** Reads the text of `/proc/<pid>/stat`. The name stands in brackets and may itself hold brackets and blanks. */
export function parseStat(text: string): ProcessFacts | undefined {
  const open = text.indexOf('(')
  const close = text.lastIndexOf(')')
  if (open < 0 || close < open) return undefined
  const fields = text.slice(close + 2).split(' ')
  const numbers = [text.slice(0, open), fields[1], fields[3], fields[19]].map(Number)
  const [pid = Number.NaN, parent = Number.NaN, session = Number.NaN, startTime = Number.NaN] =
    numbers
  if (numbers.some((each) => !Number.isSafeInteger(each))) return undefined
  const ended = fields[0] === 'Z' || fields[0] === 'X'
  return { pid, parent, session, startTime, name: text.slice(open + 1, close), ended }
}

/** The facts of a live process. */
export function readProcess(pid: number): ProcessFacts | undefined {
  const text = readOrEmpty(`/proc/${pid}/stat`)
  return text === '' ? undefined : parseStat(text)
}

/**
 * The process and all above it, itself first. Undefined when no consistent walk was possible: a link that vanishes
 * meanwhile is walked again, three times.
 */
export function ancestryOf(
  pid: number,
  read: (pid: number) => ProcessFacts | undefined = readProcess,
): readonly ProcessFacts[] | undefined {
  for (let tries = 0; tries < ancestryTries; tries += 1) {
    const walked = walk(pid, read)
    if (walked !== undefined) return walked
  }
  return undefined
}

function walk(
  pid: number,
  read: (pid: number) => ProcessFacts | undefined,
): readonly ProcessFacts[] | undefined {
  const found: ProcessFacts[] = []
  // Number 0 is what the kernel calls a parent outside of this process namespace.
  for (let next = pid; next > 0 && found.length < ancestryMax;) {
    const facts = read(next)
    const below = found.at(-1)
    // A parent that is younger than its child is another process that got the number.
    if (facts === undefined || (below !== undefined && facts.startTime > below.startTime)) {
      return undefined
    }
    found.push(facts)
    next = facts.parent
  }
  return found.length === 0 ? undefined : found
}

export function isAlive(key: ProcessKey): boolean {
  const facts = readProcess(key.pid)
  return facts?.startTime === key.startTime && !facts.ended
}

/** The children of a process, of all its threads. */
export function childrenOf(pid: number): number[] {
  let threads: string[]
  try {
    threads = readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
  return threads
    .flatMap((thread) => readOrEmpty(`/proc/${pid}/task/${thread}/children`).split(' '))
    .filter((text) => text !== '')
    .map(Number)
}

/** What can be said of a process for the record; parts that cannot be read are empty. */
export function evidenceOf(ancestry: readonly ProcessFacts[], uid: number): Evidence | undefined {
  const [self] = ancestry
  if (self === undefined) return undefined
  const { pid, startTime } = self
  const argv = readOrEmpty(`/proc/${pid}/cmdline`)
  const cgroup = readOrEmpty(`/proc/${pid}/cgroup`)
    .split('\n')
    .find((line) => line.startsWith('0::'))
  return {
    pid,
    startTime,
    uid,
    exe: linkOrEmpty(`/proc/${pid}/exe`),
    argvSha256: createHash('sha256').update(argv).digest('hex'),
    cgroup: cgroup?.slice('0::'.length) ?? '',
    ancestry: ancestry.slice(1).map((each) => ({
      pid: each.pid,
      startTime: each.startTime,
      name: each.name,
    })),
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1')
  } catch {
    return ''
  }
}

function linkOrEmpty(path: string): string {
  try {
    return readlinkSync(path)
  } catch {
    return ''
  }
}
