import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import fs from 'node:fs/promises'
import {
  ByteWriter,
  encodeEntry,
  EntryChain,
  SallyportError,
  wrapSessionKey,
  type AnsweredEntry,
  type CommandEntry,
  type CommandId,
  type Entry,
  type SessionOpenedEntry,
} from '@sallyport/core'
import type { JournalConfig } from '../../boundary/messages.ts'
import { JournalFiles } from './journal-files.ts'
import { nodeJournalFs, type JournalFs } from './journal-fs.ts'
import { SessionJournal, type CommandDurability, type EntrySink } from './session-journal.ts'
import { SpaceGuard } from './space-guard.ts'
import { StoredEntry } from './stored-entry.ts'

const mintStoredEntry = StoredEntry.claimMint()

/** A file of this size ships and verifies in about a second, and a node makes few enough of them. */
const ROTATE_BYTES = 64 * 1024 * 1024
/** A journal that is full consists of at least so many files: only those that are written to their end can be shipped and removed. */
const FILES_MIN = 8
/** More than this is written at once, not at the end of the turn: large answers must not pile up. */
const FLUSH_BYTES = 64 * 1024
/** Reads reach the disk within 5 ms in durability `auto`; one is left for the timer to be late. */
const BACKGROUND_SYNC_MS = 4
/** Answers wait this long for a command that shares its write with them: a write each would double the cost of a small statement. */
const NOTE_WAIT_MS = 2
/** A disk that failed is asked again after this long: neither in a hot loop, nor only after a restart. */
const RETRY_MS = 1000

/** What the journal needs from outside. The optional parts are for tests and the worker's name. */
export interface JournalDeps {
  /** Milliseconds since the epoch. */
  now(): number
  /** Called when the journal starts to fail, not for every command that it then refuses. */
  onFault(error: Error): void
  /** The disk has taken what it was given, after this time. */
  onSynced?(ms: number): void
  readonly node?: string
  readonly fs?: JournalFs
  readonly rotateBytes?: number
}

/** Facts of a session that is about to start; the journal adds its worker and its key. */
export type OpenedFields = Omit<SessionOpenedEntry, 'kind' | 'worker' | 'wrappedKey'>

export interface JournalStats {
  readonly entries: number
  readonly writes: number
  readonly syncs: number
  readonly bytes: number
  readonly usedBytes: number
  readonly failing: boolean
  readonly openSessions: number
  /** Files of this run, oldest first: what `recoverJournals` must leave alone. */
  readonly files: readonly string[]
}

interface Waiter {
  readonly session: SessionJournal
  readonly commandId: CommandId
  readonly seq: number
  readonly onDisk: boolean
  readonly resolve: (stored: StoredEntry) => void
  readonly reject: (error: Error) => void
}

/** The append-only record of one worker. Commands of one event-loop turn share a write, and those of one moment a sync. */
export class Journal implements EntrySink {
  readonly #config: JournalConfig
  readonly #worker: number
  readonly #deps: JournalDeps
  readonly #recordingKey: Buffer
  readonly #files: JournalFiles
  readonly #space: SpaceGuard
  readonly #out = new ByteWriter(4 * FLUSH_BYTES)
  readonly #sessions = new Set<SessionJournal>()
  #nextReference = 1
  #unwritten: Waiter[] = []
  #unsynced: Waiter[] = []
  #flushScheduled = false
  #noteTimer: NodeJS.Timeout | undefined
  #syncTimer: NodeJS.Timeout | undefined
  #syncing: Promise<void> | undefined
  #failedAtMs: number | undefined
  #retryTimer: NodeJS.Timeout | undefined
  #closed = false
  #isRotated = false
  #entries = 0
  #writes = 0
  #syncs = 0
  #bytes = 0

  private constructor(config: JournalConfig, worker: number, deps: JournalDeps) {
    const use = deps.fs ?? nodeJournalFs
    this.#config = config
    this.#worker = worker
    this.#deps = deps
    this.#recordingKey = Buffer.from(config.recordingKey, 'base64')
    if (this.#recordingKey.length !== 32) {
      throw new SallyportError('SP_CONFIG_INVALID', 'the recording key must have 32 bytes')
    }
    this.#space = new SpaceGuard(use, worker, config)
    this.#files = new JournalFiles(use, {
      dir: config.dir,
      worker,
      node: deps.node ?? '',
      rotateBytes: deps.rotateBytes ?? Math.min(ROTATE_BYTES, config.maxBytes / FILES_MIN),
    })
  }

  /** Starts a new file in `config.dir`, whatever is left there by earlier runs. */
  static async open(config: JournalConfig, worker: number, deps: JournalDeps): Promise<Journal> {
    await fs.mkdir(config.dir, { recursive: true, mode: 0o700 })
    return new Journal(config, worker, deps)
  }

  get bufferedBytes(): number {
    return this.#out.length
  }

  /** Starts the recording of a session. Throws SP_RECORD_UNAVAILABLE when there is no room for another one. */
  openSession(opened: OpenedFields): SessionJournal {
    this.#admit('session')
    const key = randomBytes(32)
    const session = new SessionJournal(
      this,
      opened.session,
      this.#nextReference++,
      new EntryChain(key),
    )
    this.append(session, {
      kind: 'session.opened',
      ...opened,
      worker: this.#worker,
      wrappedKey: wrapSessionKey(this.#recordingKey, key, opened.session),
    })
    this.#sessions.add(session)
    return session
  }

  stats(): JournalStats {
    return {
      entries: this.#entries,
      writes: this.#writes,
      syncs: this.#syncs,
      bytes: this.#bytes,
      usedBytes: this.#space.usedBytes,
      failing: this.#failedAtMs !== undefined,
      openSessions: this.#sessions.size,
      files: [...this.#files.names],
    }
  }

  /** Writes what waits, puts it on disk unless durability is `process`, and closes the files. Sessions are closed by their owners. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    clearTimeout(this.#syncTimer)
    clearTimeout(this.#noteTimer)
    clearTimeout(this.#retryTimer)
    this.#flush()
    while (this.#syncing !== undefined) await this.#syncing
    if (this.#config.durability !== 'process' && this.#files.dirty) await this.#sync()
    const lost = new SallyportError('SP_RECORD_UNAVAILABLE', 'the journal was closed')
    for (const waiter of [...this.#unwritten, ...this.#unsynced]) waiter.reject(lost)
    this.#files.close()
  }

  append(session: SessionJournal, entry: Entry): void {
    if (this.#closed) throw new SallyportError('SP_SHUTTING_DOWN', 'the journal is closed')
    const at = { session: session.reference, timeMs: this.#deps.now() }
    encodeEntry(this.#out, entry, at, session.chain)
    this.#entries += 1
    if (this.#out.length > FLUSH_BYTES && this.#mayTry()) this.#flush()
    else if (entry.kind === 'command' || entry.kind === 'answered') this.#scheduleFlush()
    else this.#scheduleNotes()
  }

  appendVerdict(
    session: SessionJournal,
    entry: CommandEntry | AnsweredEntry,
    commandId: CommandId,
    durability: CommandDurability,
  ): Promise<StoredEntry> {
    const mode = this.#config.durability
    const onDisk = mode === 'disk' || (mode === 'auto' && durability === 'write')
    const { promise, resolve, reject } = Promise.withResolvers<StoredEntry>()
    const waiter = { session, commandId, seq: entry.seq, onDisk, resolve, reject }
    // The waiter goes first, since `append` may write at once.
    this.#unwritten.push(waiter)
    try {
      this.append(session, entry)
    } catch (error) {
      this.#unwritten.splice(this.#unwritten.indexOf(waiter), 1)
      throw error
    }
    return promise
  }

  admit(): void {
    this.#admit('command')
  }

  ended(session: SessionJournal): void {
    this.#sessions.delete(session)
  }

  #admit(what: 'session' | 'command'): void {
    if (this.#closed) throw new SallyportError('SP_SHUTTING_DOWN', 'the journal is closed')
    if (!this.#mayTry()) {
      throw new SallyportError('SP_RECORD_UNAVAILABLE', 'the journal could not be written')
    }
    const refusal = this.#space.refusal(what, this.#deps.now())
    if (refusal === undefined) {
      this.#isRotated = false
      return
    }
    this.#rotate()
    throw refusal
  }

  /** Where there is no room, the file that is being written has to be one that can be removed. Once each time: notes go on. */
  #rotate(): void {
    if (this.#isRotated) return
    try {
      this.#space.wrote(this.#files.rotate())
      this.#isRotated = true
      if (this.#config.durability === 'process') this.#files.closeRetired(true)
      else this.#scheduleSync()
    } catch {
      // Not even an empty file finds room; the next command that is refused tries again.
    }
  }

  #mayTry(): boolean {
    return this.#failedAtMs === undefined || this.#deps.now() - this.#failedAtMs >= RETRY_MS
  }

  #scheduleFlush(): void {
    if (this.#flushScheduled) return
    this.#flushScheduled = true
    setImmediate(() => {
      this.#flushScheduled = false
      if (!this.#closed && this.#mayTry()) this.#flush()
    })
  }

  #scheduleNotes(): void {
    this.#noteTimer ??= setTimeout(() => {
      this.#noteTimer = undefined
      if (!this.#closed && this.#mayTry()) this.#flush()
    }, NOTE_WAIT_MS)
  }

  #flush(): void {
    if (this.#out.length === 0) return
    try {
      const grown = this.#files.append(this.#out.view())
      this.#space.wrote(grown)
      this.#bytes += grown
    } catch (error) {
      this.#fail(error, this.#unwritten.splice(0))
      return
    }
    this.#writes += 1
    this.#out.clear()
    this.#failedAtMs = undefined
    this.#settleWritten()
  }

  #settleWritten(): void {
    const written = this.#unwritten
    this.#unwritten = []
    for (const waiter of written) {
      if (waiter.onDisk) this.#unsynced.push(waiter)
      else waiter.resolve(mintStoredEntry(waiter.commandId, waiter.seq))
    }
    if (this.#config.durability === 'process') this.#files.closeRetired(true)
    else if (this.#unsynced.length > 0) this.#startSync()
    else this.#scheduleSync()
  }

  #scheduleSync(): void {
    if (this.#syncTimer !== undefined || this.#syncing !== undefined || this.#closed) return
    this.#syncTimer = setTimeout(() => {
      this.#syncTimer = undefined
      this.#startSync()
    }, BACKGROUND_SYNC_MS)
  }

  /** One sync at a time; who comes while it runs shares the next one. */
  #startSync(): void {
    if (this.#syncing !== undefined || this.#closed) return
    this.#syncing = this.#sync().finally(() => {
      this.#syncing = undefined
      if (this.#unsynced.length > 0) this.#startSync()
      else if (this.#files.dirty) this.#scheduleSync()
    })
  }

  async #sync(): Promise<void> {
    const group = this.#unsynced
    this.#unsynced = []
    const startedMs = performance.now()
    try {
      await this.#files.sync()
    } catch (error) {
      this.#files.abandon()
      // Those who wrote while the sync ran stand in the same file, whose pages may be gone.
      this.#fail(error, group.concat(this.#unsynced.splice(0)))
      return
    }
    this.#syncs += 1
    this.#deps.onSynced?.(performance.now() - startedMs)
    for (const waiter of group) waiter.resolve(mintStoredEntry(waiter.commandId, waiter.seq))
  }

  /**
   * Refuses the commands that wait, and keeps what is buffered: the same bytes are written when the disk is back, so no
   * chain has a gap. Each refused command is followed by an entry that says it did not run.
   */
  #fail(cause: unknown, waiters: readonly Waiter[]): void {
    const error = new SallyportError('SP_RECORD_UNAVAILABLE', 'the journal could not be written', {
      cause,
    })
    const wasFailing = this.#failedAtMs !== undefined
    this.#failedAtMs = this.#deps.now()
    for (const waiter of waiters) {
      this.#refuse(waiter)
      waiter.reject(error)
    }
    this.#scheduleRetry()
    if (!wasFailing) this.#deps.onFault(error)
  }

  #refuse(waiter: Waiter): void {
    if (waiter.session.closed) return
    const entry = {
      kind: 'refused',
      seq: waiter.seq,
      code: 'SP_RECORD_UNAVAILABLE',
      message: 'not stored in time, so not forwarded',
    } as const
    const at = { session: waiter.session.reference, timeMs: this.#deps.now() }
    encodeEntry(this.#out, entry, at, waiter.session.chain)
  }

  /** Notes wait for the disk too, and no command may come that would try again. */
  #scheduleRetry(): void {
    if (this.#closed) return
    clearTimeout(this.#retryTimer)
    this.#retryTimer = setTimeout(() => {
      if (!this.#closed) this.#flush()
    }, RETRY_MS).unref()
  }
}
