import type {
  AnsweredEntry,
  CommandEntry,
  CommandId,
  Entry,
  EntryChain,
  SessionId,
} from '@sallyport/core'
import { SallyportError } from '@sallyport/core'
import type { StoredEntry } from './stored-entry.ts'

/** What a command's entry has to survive before the command may run: `read` and `write` differ in durability `auto`. */
export type CommandDurability = 'read' | 'write'

/** The fields of a command's entry; the journal gives it its number. */
export type CommandFields = Omit<CommandEntry, 'kind' | 'seq'>

/** Entries that follow a command. */
export type NoteEntry = Exclude<Entry, { kind: 'session.opened' | 'command' | 'session.closed' }>

/** What a session's journal needs of the worker's. */
export interface EntrySink {
  readonly bufferedBytes: number
  append(session: SessionJournal, entry: Entry): void
  /** Appends what a command waits for before it may run. */
  appendVerdict(
    session: SessionJournal,
    entry: CommandEntry | AnsweredEntry,
    command: CommandId,
    durability: CommandDurability,
  ): Promise<StoredEntry>
  /** Throws when there is no room for another command now. */
  admit(): void
  ended(session: SessionJournal): void
}

/** Data entries are cut to this size, so that readers need a small window only. */
const DATA_BYTES_MAX = 256 * 1024

/** The recording of one session. */
export class SessionJournal {
  readonly id: SessionId
  readonly reference: number
  readonly chain: EntryChain
  readonly #sink: EntrySink
  #commands = 0
  #blocked = 0
  #maskedValues = 0
  #closed = false

  constructor(sink: EntrySink, id: SessionId, reference: number, chain: EntryChain) {
    this.#sink = sink
    this.id = id
    this.reference = reference
    this.chain = chain
  }

  /** Bytes that wait to be written, of all sessions of the worker. Above a bound of its own, a caller pauses its sources. */
  get bufferedBytes(): number {
    return this.#sink.bufferedBytes
  }

  get closed(): boolean {
    return this.#closed
  }

  /**
   * Records a command. Resolves when the entry is stored as durably as asked for, and rejects with SP_RECORD_UNAVAILABLE
   * when it can't be: then the command must not run, and where its entry is written later, a `refused` entry follows it.
   */
  async command(fields: CommandFields, durability: CommandDurability): Promise<StoredEntry> {
    this.#mustBeOpen()
    this.#sink.admit()
    const seq = this.#commands + 1
    const stored = this.#sink.appendVerdict(
      this,
      { ...fields, kind: 'command', seq },
      fields.id,
      durability,
    )
    this.#commands = seq
    if (fields.effect === 'block') this.#blocked += 1
    return stored
  }

  /** Records that a command which was held may run. As `command`, and as durably as a write. */
  async answered(command: StoredEntry, entry: AnsweredEntry): Promise<StoredEntry> {
    this.#mustBeOpen()
    this.#sink.admit()
    return await this.#sink.appendVerdict(this, entry, command.commandId, 'write')
  }

  /** Records what follows a command, in order. Written with the next command, and after a few milliseconds at the latest. */
  note(entry: NoteEntry): void {
    this.#mustBeOpen()
    if (entry.kind === 'response.data' || entry.kind === 'copy.data') return this.#data(entry)
    this.#sink.append(this, entry)
    if (entry.kind === 'masked') this.#maskedValues += entry.values
  }

  /** Records the session's end. Further calls do nothing. */
  close(reason: string): void {
    if (this.#closed) return
    this.#sink.append(this, { kind: 'session.closed', reason, ...this.counts() })
    this.#closed = true
    this.#sink.ended(this)
  }

  counts(): { commands: number; blocked: number; maskedValues: number } {
    return {
      commands: this.#commands,
      blocked: this.#blocked,
      maskedValues: this.#maskedValues,
    }
  }

  #data(
    entry: Extract<NoteEntry, { bytes: Uint8Array; kind: 'response.data' | 'copy.data' }>,
  ): void {
    const { bytes } = entry
    if (bytes.length <= DATA_BYTES_MAX) return this.#sink.append(this, entry)
    for (let start = 0; start < bytes.length; start += DATA_BYTES_MAX) {
      const part = bytes.subarray(start, start + DATA_BYTES_MAX)
      this.#sink.append(this, { ...entry, bytes: part })
    }
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new SallyportError('SP_INTERNAL', 'entry for a session that is closed')
  }
}
