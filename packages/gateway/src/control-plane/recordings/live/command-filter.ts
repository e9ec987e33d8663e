import type { Entry } from '@sallyport/core'
import { IndexedPart, type CommandChange, type NewCommand } from '../index/indexed-part.ts'
import { matchesCommand, type KnownCommand } from '../index/query/match-command.ts'
import type { Term } from '../index/query/query.ts'
import type { RecordedEntry } from '../journal-reader.ts'

/** What a filter lets through now. */
export interface Shown {
  readonly text: string
  /** Entries of a command that is shown, which had no room while it was not known whether it would be. */
  readonly lost: number
}

/** Of commands that may yet be left out, so much is kept, and of each so much. */
const keptCharactersMax = 512 * 1024
const keptOfOneMax = 64 * 1024
/** A caller may send as many at once without waiting. */
const undecidedMax = 1000

interface FilteredCommand {
  known: KnownCommand
  /** Undefined while that is open. */
  isShown: boolean | undefined
  kept: string
  lost: number
}

/** Lets the commands of one session through that a search would find, each with its answer, and the frame of the session around them. */
export class CommandFilter {
  readonly #terms: readonly Term[]
  readonly #part: IndexedPart
  readonly #commands = new Map<number, FilteredCommand>()
  /** What stands before the first command that is shown; undefined after it. */
  #frame: string | undefined = ''
  #kept = 0

  constructor(terms: readonly Term[], session: string) {
    this.#terms = terms
    this.#part = new IndexedPart({ session, part: '', worker: 0, run: 0 }, 0)
  }

  /** True once a command was shown. */
  get hasShown(): boolean {
    return this.#frame === undefined
  }

  /** Takes an entry with the text that stands for it. */
  take({ entry, position, timeMs }: RecordedEntry, text: string): Shown {
    this.#learn(entry, { position, timeMs })
    // What a command would do stands before it, of those that are left out too.
    if (entry.kind === 'facts' && entry.about === 'effects') return nothing
    if (!('seq' in entry) || entry.seq === 0) return this.#aside(text)
    const command = this.#commands.get(entry.seq)
    // Of one that began before somebody watched, too little is known.
    if (command === undefined) return nothing
    command.isShown ??= matchesCommand(this.#terms, command.known)
    if (command.known.isOver) this.#commands.delete(entry.seq)
    if (command.isShown === true) return this.#show(command, text)
    if (command.isShown === undefined) this.#keep(command, text)
    else this.#forget(command)
    return nothing
  }

  #learn(entry: Entry, at: { readonly position: number; readonly timeMs: number }): void {
    this.#part.take({ entry, ...at })
    const chunk = this.#part.cut()
    for (const [seq, command] of chunk?.commands ?? []) this.#add(seq, command)
    for (const [seq, change] of chunk?.changes ?? []) this.#change(seq, change)
    const command = 'seq' in entry ? this.#commands.get(entry.seq) : undefined
    if (command !== undefined && isEnd(entry)) command.known = { ...command.known, isOver: true }
  }

  #add(seq: number, { terms, text, rows, bytes }: NewCommand): void {
    const known = { terms: new Set(terms), text, rows, bytes, isOver: false }
    this.#commands.set(seq, { known, isShown: undefined, kept: '', lost: 0 })
    if (this.#commands.size <= undecidedMax) return
    const [oldest] = this.#commands
    if (oldest === undefined) return
    this.#forget(oldest[1])
    this.#commands.delete(oldest[0])
  }

  #change(seq: number, { terms, rows, bytes }: CommandChange): void {
    const command = this.#commands.get(seq)
    if (command === undefined) return
    const { known } = command
    command.known = {
      ...known,
      terms: new Set([...known.terms, ...terms]),
      rows: known.rows + rows,
      bytes: known.bytes + bytes,
    }
  }

  /** What belongs to no command is shown once one was. */
  #aside(text: string): Shown {
    if (this.#frame === undefined) return { text, lost: 0 }
    if (this.#frame.length + text.length <= keptOfOneMax) this.#frame += text
    return nothing
  }

  #show(command: FilteredCommand, text: string): Shown {
    const shown = { text: (this.#frame ?? '') + command.kept + text, lost: command.lost }
    this.#frame = undefined
    this.#forget(command)
    return shown
  }

  #keep(command: FilteredCommand, text: string): void {
    const hasRoom =
      command.kept.length + text.length <= keptOfOneMax &&
      this.#kept + text.length <= keptCharactersMax
    if (!hasRoom) command.lost += 1
    else {
      command.kept += text
      this.#kept += text.length
    }
  }

  #forget(command: FilteredCommand): void {
    this.#kept -= command.kept.length
    command.kept = ''
    command.lost = 0
  }
}

const nothing: Shown = { text: '', lost: 0 }

function isEnd(entry: Entry): boolean {
  return entry.kind === 'refused' || (entry.kind === 'response.end' && entry.status !== 'suspended')
}
