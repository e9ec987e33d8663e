import { randomBytes } from 'node:crypto'
import {
  ByteWriter,
  encodeEntry,
  EntryChain,
  LEDGER_WORKER,
  makeId,
  SallyportError,
  SharedSync,
  wrapSessionKey,
  type Entry,
  type SessionId,
} from '@sallyport/core'
import type { FactFields, LedgerJournal, LedgerOpening } from '../../boundary/ledger-journal.ts'
import type { JournalConfig } from '../../boundary/messages.ts'
import { JournalFiles } from './journal-files.ts'
import { nodeJournalFs, type JournalFs } from './journal-fs.ts'
import { recoverJournals } from './recover-journals.ts'
import { SpaceGuard } from './space-guard.ts'

/** As for the journals of workers. */
const ROTATE_BYTES = 64 * 1024 * 1024

/** What the ledger's journal needs from outside. The optional parts are for tests. */
export interface LedgerJournalDeps {
  /** Milliseconds since the epoch. */
  readonly now: () => number
  readonly fs?: JournalFs
  readonly rotateBytes?: number
}

/** Mends what the run before left, and begins the ledger of this one. */
export async function openLedgerJournal(
  config: JournalConfig,
  opening: LedgerOpening,
  deps: LedgerJournalDeps,
): Promise<LedgerJournal> {
  const recordingKey = Buffer.from(config.recordingKey, 'base64')
  const { now } = deps
  await recoverJournals(config.dir, [], { recordingKey, worker: LEDGER_WORKER, now })
  const ledger = new FactJournal(config, opening.node, deps)
  ledger.open(opening, recordingKey)
  return ledger
}

interface Chain {
  readonly key: Buffer
  head: Buffer
  length: number
}

/**
 * Facts are few, and each is awaited by whoever acts: so every one is written at once, and the chain goes on only when the
 * write was whole. A fact that could not be written leaves nothing behind, and the act that it would have told of is refused.
 */
class FactJournal implements LedgerJournal {
  readonly id = makeId<SessionId>('l', randomBytes)
  /** The one session of a run. Where somebody removed the journals, runs are counted anew, and parts must not be taken for one. */
  readonly #reference = randomBytes(4).readUInt32LE()
  readonly #config: JournalConfig
  readonly #files: JournalFiles
  readonly #space: SpaceGuard
  readonly #out = new ByteWriter(4096)
  readonly #now: () => number
  readonly #chain: Chain = { key: randomBytes(32), head: Buffer.alloc(32), length: 0 }
  readonly #synced = new SharedSync(async () => await this.#sync())
  #isClosed = false

  constructor(config: JournalConfig, node: string, deps: LedgerJournalDeps) {
    const use = deps.fs ?? nodeJournalFs
    this.#config = config
    this.#now = deps.now
    this.#space = new SpaceGuard(use, LEDGER_WORKER, config)
    this.#files = new JournalFiles(use, {
      dir: config.dir,
      worker: LEDGER_WORKER,
      node,
      rotateBytes: deps.rotateBytes ?? ROTATE_BYTES,
    })
  }

  open({ application, node, owner }: LedgerOpening, recordingKey: Uint8Array): void {
    this.#write(
      {
        kind: 'session.opened',
        session: this.id,
        worker: LEDGER_WORKER,
        connection: '',
        database: '',
        credential: '',
        chain: [{ id: 'owner', name: owner }],
        level: 0,
        application,
        source: node,
        tls: false,
        wrappedKey: wrapSessionKey(recordingKey, this.#chain.key, this.id),
      },
      this.#now(),
    )
  }

  append(
    fact: FactFields,
    { evenWhenLow, atMs }: { readonly evenWhenLow: boolean; readonly atMs: number },
  ): Promise<void> {
    if (this.#isClosed) throw new SallyportError('SP_SHUTTING_DOWN', 'the ledger is closed')
    const refusal = evenWhenLow ? undefined : this.#space.refusal('command', this.#now())
    if (refusal !== undefined) throw refusal
    this.#write({ kind: 'fact', ...fact }, atMs)
    const stored = this.#config.durability === 'process' ? Promise.resolve() : this.#synced.next()
    // Whoever waits for it is told; one that nobody waits for must not end the process.
    stored.catch(() => undefined)
    return stored
  }

  async close(reason: string): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    const counts = { commands: 0, blocked: 0, maskedValues: 0 }
    try {
      this.#write({ kind: 'session.closed', reason, ...counts }, this.#now())
      if (this.#config.durability !== 'process') await this.#synced.next()
    } finally {
      await this.#synced.idle()
      this.#files.close()
    }
  }

  #write(entry: Entry, timeMs: number): void {
    const { key, head, length } = this.#chain
    const chain = new EntryChain(key, head, length)
    try {
      encodeEntry(this.#out, entry, { session: this.#reference, timeMs }, chain)
      this.#space.wrote(this.#files.append(this.#out.view()))
    } catch (cause) {
      const said = 'the ledger could not be written'
      throw new SallyportError('SP_RECORD_UNAVAILABLE', said, { cause })
    } finally {
      this.#out.clear()
    }
    this.#chain.head = chain.head
    this.#chain.length = chain.length
  }

  async #sync(): Promise<void> {
    try {
      await this.#files.sync()
    } catch (cause) {
      // The kernel may have dropped pages of this file: what follows goes into a new one.
      this.#files.abandon()
      const said = 'the ledger could not be put on disk'
      throw new SallyportError('SP_RECORD_UNAVAILABLE', said, { cause })
    }
  }
}
