import { Buffer } from 'node:buffer'
import fs from 'node:fs/promises'
import path from 'node:path'
import {
  ByteWriter,
  decodeEntry,
  encodeEntry,
  EntryChain,
  JournalScanner,
  LEDGER_WORKER,
  parseJournalFileName,
  unwrapSessionKey,
  type DecodedRecord,
  type FileHeader,
} from '@sallyport/core'
import { readRecovered, writeRecovered } from './recovered-files.ts'

const CHUNK_BYTES = 256 * 1024

/** What was done to a folder of journals. */
export interface RecoveryReport {
  readonly filesRead: number
  readonly sessionsClosed: number
  /** Files whose last, torn entry was cut off. */
  readonly tornFiles: readonly string[]
  /** How much was cut off them. */
  readonly bytesCut: number
  /** Files that were set aside as `<name>.damaged`, or could not even be renamed. */
  readonly damaged: readonly { readonly file: string; readonly reason: string }[]
}

interface OpenSession {
  readonly key: Buffer
  head: Buffer | undefined
  length: number
  timeMs: number
  commands: number
  blocked: number
  maskedValues: number
}

/** One run of a worker: its sessions go on from file to file. */
interface Run {
  readonly live: boolean
  readonly sessions: Map<number, OpenSession>
  lastFile: string | undefined
  /** Names of the files that were read whole. */
  readonly files: string[]
}

export interface RecoveryDeps {
  readonly recordingKey: Uint8Array
  /** Only this worker's files, and those from number `andFrom` on; those of all workers where absent. */
  readonly worker?: number
  readonly andFrom?: number
  now(): number
}

/**
 * Mends what earlier runs left: cuts one torn entry at most off each file and closes sessions that have no end, with
 * reason `aborted`. Runs that own one of `liveFiles` are left alone. A file that can't be read is set aside. Files that
 * an earlier recovery has seen to are not read again.
 */
export async function recoverJournals(
  dir: string,
  liveFiles: readonly string[],
  deps: RecoveryDeps,
): Promise<RecoveryReport> {
  const recovery = new Recovery(dir, deps)
  return recovery.run(new Set(liveFiles.map((file) => path.basename(file))))
}

class Recovery {
  readonly #dir: string
  readonly #deps: RecoveryDeps
  readonly #runs = new Map<string, Run>()
  /** `worker-run` of the runs that go on: they may have begun files since the list of their files was made. */
  readonly #liveRuns = new Set<string>()
  readonly #torn: string[] = []
  readonly #damaged: { file: string; reason: string }[] = []
  #bytesCut = 0
  #filesRead = 0
  #closed = 0

  constructor(dir: string, deps: RecoveryDeps) {
    this.#dir = dir
    this.#deps = deps
  }

  async run(live: ReadonlySet<string>): Promise<RecoveryReport> {
    for (const name of live) {
      const header = await headerOf(path.join(this.#dir, name))
      if (header !== undefined) this.#liveRuns.add(`${header.worker}-${header.run}`)
    }
    const recovered = await readRecovered(this.#dir)
    const done = new Map<string, number>()
    for (const name of await journalNames(this.#dir, this.#deps)) {
      try {
        const { size } = await fs.stat(path.join(this.#dir, name))
        if (recovered.get(name) === size) {
          done.set(name, size)
          continue
        }
        await this.#file(name, live)
      } catch (error) {
        if (isMissing(error)) continue
        await this.#setAside(name, error instanceof Error ? error.message : String(error))
      }
    }
    for (const run of this.#runs.values()) {
      if (run.live || run.lastFile === undefined) continue
      try {
        await this.#closeSessions(run, run.lastFile)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        this.#damaged.push({ file: run.lastFile, reason })
      }
    }
    await this.#remember(done)
    return {
      filesRead: this.#filesRead,
      sessionsClosed: this.#closed,
      tornFiles: this.#torn,
      bytesCut: this.#bytesCut,
      damaged: this.#damaged,
    }
  }

  /** A run whose sessions could not be closed is read again next time. */
  async #remember(done: Map<string, number>): Promise<void> {
    const failed = new Set(this.#damaged.map(({ file }) => path.basename(file)))
    for (const run of this.#runs.values()) {
      if (run.live || run.files.some((name) => failed.has(name))) continue
      for (const name of run.files) {
        const size = await sizeOf(path.join(this.#dir, name))
        if (size !== undefined) done.set(name, size)
      }
    }
    await writeRecovered(this.#dir, this.#deps.worker ?? 0, done)
  }

  async #file(name: string, live: ReadonlySet<string>): Promise<void> {
    const file = path.join(this.#dir, name)
    const handle = await fs.open(file, 'r')
    let outcome: ScanOutcome
    try {
      outcome = await this.#scan(handle, name, live)
    } finally {
      await handle.close()
    }
    if (outcome.kind === 'live') return
    this.#filesRead += 1
    if (outcome.kind === 'empty') return fs.unlink(file)
    if (outcome.kind === 'damaged') {
      // Sessions may have entries behind the damage: their heads are unknown until a later file shows them.
      for (const session of outcome.run?.sessions.values() ?? []) session.head = undefined
      return this.#setAside(name, outcome.reason)
    }
    if (outcome.kind === 'torn') {
      await fs.truncate(file, outcome.offset)
      this.#torn.push(name)
      this.#bytesCut += outcome.bytes
    }
    outcome.run.files.push(name)
    outcome.run.lastFile = file
  }

  async #scan(
    handle: fs.FileHandle,
    name: string,
    live: ReadonlySet<string>,
  ): Promise<ScanOutcome> {
    const scanner = new JournalScanner()
    const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
    let run: Run | undefined
    for (;;) {
      const found = scanner.next()
      if (found.kind === 'header') {
        run = this.#runOf(name, found.header, live)
        if (run.live) return { kind: 'live' }
      } else if (found.kind === 'record') {
        if (run !== undefined) this.#follow(run, found)
      } else if (found.kind === 'bad') {
        if (run === undefined) return { kind: 'damaged', reason: found.reason, run }
        return tailOutcome(handle, scanner.offset, run, found.reason)
      } else {
        const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES)
        if (bytesRead > 0) scanner.push(chunk.subarray(0, bytesRead))
        else if (run === undefined) return live.has(name) ? { kind: 'live' } : { kind: 'empty' }
        else if (scanner.clean) return { kind: 'whole', run }
        else return tailOutcome(handle, scanner.offset, run, 'an entry is cut short')
      }
    }
  }

  #runOf(name: string, header: FileHeader, live: ReadonlySet<string>): Run {
    const id = `${header.worker}-${header.run}`
    const known = this.#runs.get(id)
    if (known !== undefined) return known
    const owned = live.has(name) || this.#liveRuns.has(id)
    const run: Run = { live: owned, sessions: new Map(), lastFile: undefined, files: [] }
    this.#runs.set(id, run)
    return run
  }

  #follow(run: Run, record: DecodedRecord): void {
    const { entry } = record
    if (entry.kind === 'session.opened') {
      const key = unwrapSessionKey(this.#deps.recordingKey, entry.wrappedKey, entry.session)
      if (key === undefined) return
      const counts = { commands: 0, blocked: 0, maskedValues: 0 }
      const head = Buffer.from(record.hash)
      run.sessions.set(record.session, { key, head, length: 1, timeMs: record.timeMs, ...counts })
      return
    }
    if (entry.kind === 'session.closed') {
      run.sessions.delete(record.session)
      return
    }
    const session = run.sessions.get(record.session)
    if (session === undefined) return
    session.head = Buffer.from(record.hash)
    session.length = record.position + 1
    // Files that were shipped may be gone, so what is counted here is at least that much.
    if (entry.kind === 'command') session.commands = entry.seq
    if (entry.kind === 'command' && entry.effect === 'block') session.blocked += 1
    if (entry.kind === 'masked') session.maskedValues += entry.values
  }

  async #closeSessions(run: Run, file: string): Promise<void> {
    const out = new ByteWriter()
    let closed = 0
    for (const [reference, session] of run.sessions) {
      if (session.head === undefined) continue
      const chain = new EntryChain(session.key, session.head, session.length)
      const { commands, blocked, maskedValues } = session
      const entry = { kind: 'session.closed', reason: 'aborted' } as const
      const counts = { commands, blocked, maskedValues }
      const at = { session: reference, timeMs: this.#deps.now() }
      encodeEntry(out, { ...entry, ...counts }, at, chain)
      closed += 1
    }
    if (closed === 0) return
    const handle = await fs.open(file, 'a')
    try {
      await handle.appendFile(out.view())
      await handle.datasync()
    } finally {
      await handle.close()
    }
    this.#closed += closed
  }

  async #setAside(name: string, reason: string): Promise<void> {
    this.#damaged.push({ file: name, reason })
    const file = path.join(this.#dir, name)
    // Where even the rename fails the report still names the file, and the others go on.
    await fs.rename(file, `${file}.damaged`).catch(() => undefined)
  }
}

type ScanOutcome =
  | { readonly kind: 'live' }
  | { readonly kind: 'empty' }
  | { readonly kind: 'whole'; readonly run: Run }
  | { readonly kind: 'torn'; readonly run: Run; readonly offset: number; readonly bytes: number }
  | { readonly kind: 'damaged'; readonly reason: string; readonly run: Run | undefined }

/** Torn, when nothing behind the bad place is a record any more; damaged, when cutting there would lose entries. */
async function tailOutcome(
  handle: fs.FileHandle,
  offset: number,
  run: Run,
  reason: string,
): Promise<ScanOutcome> {
  const { size } = await handle.stat()
  const tail = Buffer.alloc(size - offset)
  await handle.read(tail, 0, tail.length, offset)
  for (let at = 1; at < tail.length; at += 1) {
    if (decodeEntry(tail, at).kind === 'record') return { kind: 'damaged', reason, run }
  }
  return { kind: 'torn', run, offset, bytes: tail.length }
}

async function journalNames(
  dir: string,
  { worker, andFrom = Infinity }: RecoveryDeps,
): Promise<string[]> {
  const names = await fs.readdir(dir)
  const isOurs = (name: string): boolean => {
    const parsed = parseJournalFileName(name)
    if (parsed === undefined || parsed.damaged) return false
    if (worker === undefined || parsed.worker === worker) return true
    // The ledger is written by the control plane, which sees to it itself.
    return parsed.worker >= andFrom && parsed.worker !== LEDGER_WORKER
  }
  return names.filter(isOurs).toSorted()
}

/** Undefined where the file has been shipped and removed meanwhile. */
/** Undefined where the file is gone, or its header is not whole yet. */
async function headerOf(file: string): Promise<FileHeader | undefined> {
  const scanner = new JournalScanner()
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  try {
    await using handle = await fs.open(file, 'r')
    const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES, 0)
    scanner.push(chunk.subarray(0, bytesRead))
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
  const found = scanner.next()
  return found.kind === 'header' ? found.header : undefined
}

async function sizeOf(file: string): Promise<number | undefined> {
  try {
    return (await fs.stat(file)).size
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
