import { Buffer } from 'node:buffer'
import type {
  CommandEntry,
  Entry,
  FactEntry,
  ObjectName,
  SessionOpenedEntry,
} from '@sallyport/core'
import { ColumnScanner } from './column-scanner.ts'
import {
  commandTerms,
  maskTerms,
  namesMax,
  plain,
  term,
  verdictOf,
  type IndexedVerdict,
} from './terms.ts'

/** Bytes of a command's text that are searched. */
export const textBytesMax = 8192
/** Commands whose answers are awaited; a caller sends no more at once. */
const answersMax = 4096
/** Texts of which the columns are remembered, for executions that describe nothing. */
const textsMax = 64

/** One entry, from a journal or from the store. */
export interface IndexedRecord {
  readonly entry: Entry
  readonly position: number
  readonly timeMs: number
}

/** What is known of how a command went. */
export interface Outcome {
  status?: string
  code?: string
  rows: number
  bytes: number
  columns: string[]
  masks: string[]
  mask_values: number[]
  terms: string[]
}

/** A command as a row. */
export interface NewCommand extends Outcome {
  readonly at: number
  readonly seq: number
  readonly id: string
  readonly decision: string
  readonly verdict: IndexedVerdict
  readonly rules: readonly string[]
  readonly class: string
  readonly verb: string
  readonly objects: readonly ObjectName[]
  readonly text: string
  readonly text_bytes: number
}

/** What became of a command that has its row. `at` is known unless the gateway was started since. */
export interface CommandChange extends Outcome {
  readonly seq: number
  readonly at: number | undefined
}

/** A fact of a ledger as a row. */
export interface NewFact {
  readonly at: number
  readonly position: number
  readonly what: string
  readonly by: string
  readonly actor: string
  readonly chain: readonly string[]
  readonly path: readonly string[]
  readonly subject: string
  readonly source: string
  readonly detail: unknown
}

/** What a part adds to the index, all or nothing. */
export interface Chunk {
  readonly opened?: { readonly entry: SessionOpenedEntry; readonly timeMs: number }
  readonly closed?: { readonly entry: Extract<Entry, { kind: 'session.closed' }>; timeMs: number }
  readonly commands: Map<number, NewCommand>
  readonly changes: Map<number, CommandChange>
  readonly facts: NewFact[]
  /** Position behind the last entry of it. */
  to: number
  bytes: number
}

/** Where a part belongs. */
export interface IndexedPartId {
  readonly session: string
  readonly part: string
  readonly worker: number
  readonly run: number
}

/** Names a part among those of all sessions: numbers of runs may come again in another folder of journals. */
export function keyOf({ session, part }: Pick<IndexedPartId, 'session' | 'part'>): string {
  return `${session}/${part}`
}

/** Turns the entries of one part into rows, in order. Those before `next` are read for what later ones need, and add nothing. */
export class IndexedPart {
  readonly id: IndexedPartId
  isClosed = false
  #next: number
  #seen = -1
  #chunk: Chunk | undefined
  readonly #answers = new Map<number, { at: number; text: string; scanner: ColumnScanner }>()
  readonly #columnsOf = new Map<string, string[]>()

  constructor(id: IndexedPartId, next: number) {
    this.id = id
    this.#next = next
  }

  /** Bytes that wait. */
  get bytes(): number {
    return this.#chunk?.bytes ?? 0
  }

  /** Position of the first entry that was not taken. */
  get next(): number {
    return this.#next
  }

  /** What was taken since the last call. */
  cut(): Chunk | undefined {
    const chunk = this.#chunk
    this.#chunk = undefined
    return chunk
  }

  /** True where entries before this one are missing. */
  misses(position: number): boolean {
    return position > this.#seen + 1
  }

  take({ entry, position, timeMs }: IndexedRecord): void {
    if (position <= this.#seen) return
    if (this.misses(position)) for (const { scanner } of this.#answers.values()) scanner.lose()
    this.#seen = position
    const chunk = position < this.#next ? undefined : this.#grown(position)
    switch (entry.kind) {
      case 'session.opened':
        if (chunk !== undefined) Object.assign(chunk, { opened: { entry, timeMs } })
        return
      case 'command':
        return this.#command(entry, timeMs, chunk)
      case 'response.data':
        return this.#answers.get(entry.seq)?.scanner.push(entry.bytes)
      case 'response.end':
        return this.#end(entry, chunk)
      case 'masked':
        return this.#masked(entry, chunk)
      case 'refused':
        if (chunk !== undefined)
          Object.assign(this.#outcome(chunk, entry.seq), { status: 'refused', code: entry.code })
        this.#answers.delete(entry.seq)
        return
      case 'answered':
        if (chunk !== undefined)
          addNew(this.#outcome(chunk, entry.seq).terms, [term('verdict', entry.outcome)])
        return
      case 'session.closed':
        this.isClosed = true
        if (chunk !== undefined) Object.assign(chunk, { closed: { entry, timeMs } })
        return
      case 'fact':
        return chunk === undefined ? undefined : addFact(chunk, entry, position, timeMs)
      case 'copy.data':
      case 'cancelled':
      case 'held':
      case 'lineage':
      case 'notice':
      case 'facts':
    }
  }

  #grown(position: number): Chunk {
    this.#chunk ??= { commands: new Map(), changes: new Map(), facts: [], to: 0, bytes: 0 }
    this.#next = position + 1
    this.#chunk.to = this.#next
    this.#chunk.bytes += rowBytes
    return this.#chunk
  }

  #command(entry: CommandEntry, timeMs: number, chunk: Chunk | undefined): void {
    const text = beginning(entry.text)
    if (entry.effect !== 'block') {
      this.#answers.set(entry.seq, { at: timeMs, text, scanner: new ColumnScanner() })
      const [oldest] = this.#answers.keys()
      if (this.#answers.size > answersMax && oldest !== undefined) this.#answers.delete(oldest)
    }
    if (chunk === undefined) return
    const terms = [...new Set(commandTerms(entry))]
    chunk.bytes += text.length + terms.length * rowBytes
    chunk.commands.set(entry.seq, {
      at: timeMs,
      seq: entry.seq,
      id: entry.id,
      decision: entry.decision,
      verdict: verdictOf(entry),
      rules: entry.rules.map(plain),
      class: entry.class,
      verb: plain(entry.verb),
      objects: entry.objects.slice(0, namesMax).map((name) => name.map(plain)),
      text,
      text_bytes: entry.text.length,
      ...nothingYet(),
      terms,
    })
  }

  #end(entry: Extract<Entry, { kind: 'response.end' }>, chunk: Chunk | undefined): void {
    const answer = this.#answers.get(entry.seq)
    if (entry.data !== undefined) answer?.scanner.push(entry.data)
    const described = answer?.scanner.columns
    if (answer !== undefined && described !== undefined) this.#remember(answer.text, described)
    if (chunk !== undefined) {
      const outcome = this.#outcome(chunk, entry.seq)
      outcome.status = entry.status
      if (entry.sqlState !== undefined) outcome.code = plain(entry.sqlState)
      outcome.rows += entry.rows
      outcome.bytes += entry.bytes
      const columns = entry.rows > 0 ? (described ?? this.#columnsOf.get(answer?.text ?? '')) : []
      addNew(outcome.columns, columns ?? [])
      addNew(outcome.terms, columns?.map((name) => term('column', name)) ?? [])
    }
    if (entry.status !== 'suspended') this.#answers.delete(entry.seq)
  }

  #masked(entry: Extract<Entry, { kind: 'masked' }>, chunk: Chunk | undefined): void {
    if (chunk === undefined || entry.values === 0) return
    const outcome = this.#outcome(chunk, entry.seq)
    outcome.masks.push(plain(entry.rule))
    outcome.mask_values.push(entry.values)
    addNew(outcome.terms, maskTerms(entry.rule))
  }

  #outcome(chunk: Chunk, seq: number): Outcome {
    const known = chunk.commands.get(seq) ?? chunk.changes.get(seq)
    if (known !== undefined) return known
    const change = { seq, at: this.#answers.get(seq)?.at, ...nothingYet() }
    chunk.changes.set(seq, change)
    return change
  }

  #remember(text: string, columns: string[]): void {
    this.#columnsOf.delete(text)
    this.#columnsOf.set(text, columns)
    const [oldest] = this.#columnsOf.keys()
    if (this.#columnsOf.size > textsMax && oldest !== undefined) this.#columnsOf.delete(oldest)
  }
}

/** About what a row takes beside its text. */
const rowBytes = 64

function nothingYet(): Outcome {
  return { rows: 0, bytes: 0, columns: [], masks: [], mask_values: [], terms: [] }
}

function addNew(list: string[], words: readonly string[]): void {
  const known = new Set(list)
  list.push(...words.filter((word) => !known.has(word)))
}

function addFact(chunk: Chunk, entry: FactEntry, position: number, timeMs: number): void {
  chunk.bytes += entry.detail.length
  chunk.facts.push({
    at: timeMs,
    position,
    what: plain(entry.what),
    by: entry.by,
    actor: plain(entry.actor),
    chain: entry.chain.map(({ name }) => plain(name)),
    path: entry.chain.map(({ id }) => plain(id)),
    subject: plain(entry.subject),
    source: plain(entry.source),
    detail: detailOf(plain(entry.detail)),
  })
}

/** As it was written; a text where it is no JSON, which nobody writes. */
function detailOf(json: string): unknown {
  try {
    // An escape may stand for what the database takes in no text.
    return JSON.parse(json, (_, value: unknown) =>
      typeof value === 'string' ? plain(value.toWellFormed()) : value,
    )
  } catch {
    return json
  }
}

/** The beginning of a text, cut between characters. */
function beginning(text: Uint8Array): string {
  const bytes = Buffer.from(text.buffer, text.byteOffset, text.length)
  if (bytes.length <= textBytesMax) return plain(bytes.toString('utf8'))
  let end = textBytesMax
  // 10xxxxxx continues a character (RFC 3629).
  while (end > textBytesMax - 4 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1
  return plain(bytes.toString('utf8', 0, end))
}
