import { visibleJson } from '@sallyport/core'
import type { RecordedEntry } from '../journal-reader.ts'
import { sessionJson } from '../print-session.ts'
import { DecisionFilter, StepPrinter } from '../steps.ts'
import type { Term } from '../index/query/query.ts'
import { CommandFilter } from './command-filter.ts'
import type { LiveSession } from './live-query.ts'
import type { Note } from '../../contract/sessions.ts'

/** How somebody wants to watch. */
export interface ViewForm {
  /** `steps`: lines of a transcript, as a player gets them; `ndjson`: the entries. */
  readonly kind: 'steps' | 'ndjson'
  readonly width: number
  readonly onlyDecisions: boolean
}

/** So much waits for one watcher. It is text, so this is at most twice as many bytes. */
const waitingCharactersMax = 1024 * 1024
/** Of a gap, so many sessions are named. */
const gapSessionsMax = 50
/** Connections that carry nothing are closed on the way, and by the one that reads. */
const aliveEveryMs = 15_000

interface Printing {
  readonly steps: StepPrinter
  readonly filter: DecisionFilter | undefined
}

/**
 * What one watcher has not read yet. Bounded: who reads too slowly or has stopped reading loses entries and is told how many,
 * before anything that comes after them. Nothing waits for a watcher.
 */
export class LiveView implements AsyncIterable<string> {
  /** Entries before this moment are not shown: who watches wants to see what happens. */
  readonly sinceMs: number
  readonly matches: (session: LiveSession) => boolean
  /** The one session that is watched; its end is the view's. */
  readonly #only: string | undefined
  readonly #form: ViewForm
  readonly #onClose: (view: LiveView) => void
  readonly #printers = new Map<string, Printing>()
  readonly #told = new Set<string>()
  /** What commands have to be; all are shown where empty. */
  readonly #commands: readonly Term[]
  readonly #filters = new Map<string, CommandFilter>()
  /** Sessions of which no command was shown yet. */
  readonly #quiet = new Map<string, LiveSession>()
  #waiting: string[] = []
  #characters = 0
  #missed = 0
  readonly #missedFrom = new Map<string, number>()
  #isEnded = false
  #isClosed = false
  #wake = Promise.withResolvers<void>()

  constructor(
    form: ViewForm,
    of: {
      readonly matches: (session: LiveSession) => boolean
      readonly sinceMs: number
      readonly only?: string
      readonly commands?: readonly Term[]
      readonly onClose: (view: LiveView) => void
    },
  ) {
    this.#form = form
    this.matches = of.matches
    this.sinceMs = of.sinceMs
    this.#only = of.only
    this.#commands = of.commands ?? []
    this.#onClose = of.onClose
  }

  /** Tells of a session that is open, or opens, and matches; once. */
  opened(session: LiveSession): void {
    if (this.#told.has(session.id) || this.#characters > waitingCharactersMax) return
    const isQuiet = this.#commands.length > 0 && this.#filters.get(session.id)?.hasShown !== true
    if (isQuiet) return void this.#quiet.set(session.id, session)
    this.#quiet.delete(session.id)
    this.#told.add(session.id)
    const { id, chain, connection, database, level } = session
    this.#note({ kind: 'session', id, chain, connection, database, level })
  }

  take(item: RecordedEntry): void {
    const { entry, session } = item
    // What was lost is told first, and nothing comes before that.
    if (this.#commands.length > 0) this.#takeFiltered(item)
    else if (this.#missed > 0) this.#miss(item)
    else this.#add(this.#print(item), item)
    if (entry.kind !== 'session.closed') return
    this.#printers.delete(session)
    this.#told.delete(session)
    this.#filters.delete(session)
    this.#quiet.delete(session)
    if (session === this.#only) this.end('the session is over')
  }

  /** Entries that nobody can show any more. */
  lost(session: string, entries: number): void {
    this.#missed += entries
    this.#missedFrom.set(session, this.#missedFrom.get(session) ?? 1)
    this.#wake.resolve()
  }

  /** No more comes; what waits can still be read. */
  end(reason: string): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#note({ kind: 'end', reason })
  }

  /** Resolves when all that came was read, or nobody reads. */
  get isDrained(): boolean {
    return this.#isClosed || (this.#waiting.length === 0 && this.#missed === 0)
  }

  [Symbol.asyncIterator](): AsyncIterator<string> {
    return {
      next: async () => await this.#next(),
      // Not a generator's: whoever leaves must not have to wait until something happens.
      return: async () => {
        this.#close()
        return await Promise.resolve({ done: true, value: undefined })
      },
    }
  }

  async #next(): Promise<IteratorResult<string>> {
    for (;;) {
      if (this.#isClosed) return { done: true, value: undefined }
      const value = this.#flush()
      if (value !== '') return { done: false, value }
      if (this.#isEnded) {
        this.#close()
        continue
      }
      this.#wake = Promise.withResolvers()
      const alive = setTimeout(() => {
        this.#note({ kind: 'alive' })
      }, aliveEveryMs)
      await this.#wake.promise
      clearTimeout(alive)
    }
  }

  #flush(): string {
    const text = this.#waiting.join('')
    this.#waiting = []
    this.#characters = 0
    if (this.#missed === 0) return text
    const sessions = [...this.#missedFrom]
      .slice(0, gapSessionsMax)
      .map(([session, seq]) => ({ session, seq }))
    const gap: Note = { kind: 'gap', entries: this.#missed, sessions }
    this.#missed = 0
    this.#missedFrom.clear()
    return text + lineOf(gap)
  }

  #close(): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#waiting = []
    this.#printers.clear()
    this.#wake.resolve()
    this.#onClose(this)
  }

  #print(item: RecordedEntry): string {
    if (this.#form.kind === 'ndjson') return `${sessionJson(item)}\n`
    const printing = this.#printers.get(item.session) ?? this.#newPrinting(item.session)
    const step = printing.steps.print(item)
    if (step === undefined) return ''
    const shown = printing.filter === undefined ? [step] : printing.filter.take(step)
    return shown.map(lineOf).join('')
  }

  #takeFiltered(item: RecordedEntry): void {
    const { session } = item
    const filter = this.#filters.get(session) ?? new CommandFilter(this.#commands, session)
    this.#filters.set(session, filter)
    const { text, lost } = filter.take(item, this.#print(item))
    if (text === '' && lost === 0) return
    const quiet = this.#quiet.get(session)
    if (quiet !== undefined) this.opened(quiet)
    if (this.#missed > 0) this.#miss(item)
    else this.#add(text, item)
    for (let entries = lost; entries > 0; entries -= 1) this.#miss(item)
  }

  #newPrinting(session: string): Printing {
    const printing = {
      steps: new StepPrinter(this.#form.width),
      filter: this.#form.onlyDecisions ? new DecisionFilter() : undefined,
    }
    this.#printers.set(session, printing)
    return printing
  }

  #add(text: string, item: RecordedEntry): void {
    if (text === '') return
    if (this.#characters + text.length > waitingCharactersMax) return this.#miss(item)
    this.#push(text)
  }

  /** Of a session with a gap, answers that are half there are not put together any more. */
  #miss({ session, entry }: RecordedEntry): void {
    this.#missed += 1
    if (!this.#missedFrom.has(session) && this.#missedFrom.size <= gapSessionsMax)
      this.#missedFrom.set(session, 'seq' in entry ? Math.max(1, entry.seq) : 1)
    this.#printers.delete(session)
    this.#wake.resolve()
  }

  /** Notes are few and small. */
  #note(note: Note): void {
    this.#push(lineOf(note))
  }

  #push(text: string): void {
    if (this.#isClosed) return
    this.#waiting.push(text)
    this.#characters += text.length
    this.#wake.resolve()
  }
}

function lineOf(value: object): string {
  return `${visibleJson(JSON.stringify(value))}\n`
}
