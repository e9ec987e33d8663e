import { Buffer } from 'node:buffer'
import {
  isLedgerId,
  type CommandEntry,
  type DecodedRecord,
  type Entry,
  type FactEntry,
} from '@sallyport/core'
import type { ExportFact, FactCommand, FactSession, ToldFact } from './export-fact.ts'

/** Objects and rules of one command that are told. */
const namesMax = 64
/** Characters of a text that are told, where it is. */
const textCharactersMax = 8192
/** Commands whose ends are awaited; a caller sends no more at once. */
const pendingMax = 4096

/** A command that was judged and has not ended, or that ended last: a text of several statements ends several times. */
interface Pending extends Omit<FactCommand, 'status' | 'code' | 'rows' | 'bytes'> {
  readonly masked: { rule: string; values: number }[]
  hasEnded: boolean
}

/** All that is needed to go on behind a position, as JSON. */
export interface PartState {
  readonly session: FactSession
  readonly pending: readonly Pending[]
}

/** Makes facts of the entries of one part of a recording, in order. */
export class PartFacts {
  readonly #name: string
  readonly #session: FactSession
  #pending: Pending[]
  /** Position of the first entry that was not taken. */
  next: number
  isClosed = false

  private constructor(name: string, { session, pending }: PartState, next: number) {
    this.#name = name
    this.#session = session
    this.#pending = pending.map((each) => ({ ...each, masked: [...each.masked] }))
    this.next = next
  }

  /** Begins with the first entry of a part; undefined where that is another. */
  static begin(name: string, { entry, timeMs }: DecodedRecord): PartFacts | undefined {
    if (entry.kind !== 'session.opened') return undefined
    const { connection, database, credential, chain, level, application, source } = entry
    const session = {
      id: entry.session,
      openedAtMs: timeMs,
      connection,
      database,
      credential,
      chain,
      level,
      application,
      source,
    }
    return new PartFacts(name, { session, pending: [] }, 0)
  }

  static resume(name: string, state: PartState, next: number): PartFacts {
    return new PartFacts(name, state, next)
  }

  get #isLedger(): boolean {
    return isLedgerId(this.#session.id)
  }

  get session(): string {
    return this.#session.id
  }

  get state(): PartState {
    return { session: this.#session, pending: this.#pending }
  }

  take(record: DecodedRecord, withText: boolean): ExportFact[] {
    const { entry, position, timeMs } = record
    if (position < this.next) return []
    this.next = position + 1
    switch (entry.kind) {
      case 'session.opened':
        // A ledger is nobody's session.
        return this.#isLedger ? [] : [{ ...this.#about(record), kind: 'session.opened' }]
      case 'command':
        this.#began(entry, timeMs, withText)
        return []
      case 'masked':
        this.#find(entry.seq)?.masked.push({ rule: entry.rule, values: entry.values })
        return []
      case 'refused':
        return this.#ended(record, entry.seq, { status: 'refused', code: entry.code })
      case 'response.end': {
        const { status, rows, bytes, sqlState: code } = entry
        const how = { status, rows, bytes, ...(code === undefined ? {} : { code }) }
        return this.#ended(record, entry.seq, how)
      }
      case 'session.closed':
        return this.#closed(record, entry)
      case 'fact':
        return [{ ...this.#about(record), kind: 'fact', told: toldOf(entry) }]
      case 'response.data':
      case 'copy.data':
      case 'cancelled':
      case 'held':
      case 'answered':
      case 'lineage':
      case 'notice':
      case 'facts':
        return []
    }
  }

  #began(entry: CommandEntry, startedAtMs: number, withText: boolean): void {
    const { id, seq, effect, rules, verb, objects, unit, policyVersion } = entry
    const text = withText ? { text: beginning(entry.text) } : {}
    this.#pending.push({
      id,
      seq,
      effect,
      class: entry.class,
      verb,
      unit,
      policyVersion,
      startedAtMs,
      rules: rules.slice(0, namesMax),
      objects: objects.slice(0, namesMax),
      ...text,
      masked: [],
      hasEnded: false,
    })
    if (this.#pending.length > pendingMax) this.#pending.shift()
  }

  #find(seq: number): Pending | undefined {
    return this.#pending.find((each) => each.seq === seq)
  }

  #ended(
    record: DecodedRecord,
    seq: number,
    how: Pick<FactCommand, 'status' | 'code'> & { rows?: number; bytes?: number },
  ): ExportFact[] {
    const command = this.#find(seq)
    if (command === undefined) return []
    // Answers come in the order of their commands: those before it have none, or have had their last.
    const before = this.#pending.filter((each) => each.seq < seq)
    this.#pending = this.#pending.filter((each) => each.seq >= seq)
    const facts = this.#unanswered(record, before)
    facts.push(this.#fact(record, command, how, facts.length))
    command.hasEnded = true
    command.masked.splice(0)
    return facts
  }

  #closed(
    record: DecodedRecord,
    { reason, commands, blocked, maskedValues }: Extract<Entry, { kind: 'session.closed' }>,
  ): ExportFact[] {
    this.isClosed = true
    if (this.#isLedger) return []
    const facts = this.#unanswered(record, this.#pending)
    this.#pending = []
    const counts = { commands, blocked, maskedValues }
    const about = this.#about(record, facts.length)
    return [...facts, { ...about, kind: 'session.closed', reason, ...counts }]
  }

  /** A Parse that was allowed runs nothing, and has no answer: what it prepared is told when it runs. */
  #unanswered(record: DecodedRecord, commands: readonly Pending[]): ExportFact[] {
    return commands
      .filter(
        ({ hasEnded, unit, effect }) => !hasEnded && !(unit === 'parse' && effect === 'allow'),
      )
      .map((command, nth) => this.#fact(record, command, { status: 'unknown' }, nth))
  }

  #fact(
    record: DecodedRecord,
    { hasEnded: _hasEnded, masked, ...command }: Pending,
    how: Pick<FactCommand, 'status' | 'code'> & { rows?: number; bytes?: number },
    nth: number,
  ): ExportFact {
    const told = { ...command, masked: [...masked], rows: 0, bytes: 0, ...how }
    return { ...this.#about(record, nth), kind: 'command', command: told }
  }

  /** `nth` of the facts that one entry makes. */
  #about({ position, timeMs }: DecodedRecord, nth = 0) {
    const suffix = nth === 0 ? '' : `.${nth}`
    const uid = `${this.#session.id}/${this.#name}/${position}${suffix}`
    return { uid, position, atMs: timeMs, session: this.#session }
  }
}

function toldOf({ what, by, actor, chain, subject, source, detail }: FactEntry): ToldFact {
  return { what, by, actor, chain, subject, source, detail: detailOf(detail) }
}

/** Our own journal's JSON; what is none is told as it stands. */
function detailOf(text: string): ToldFact['detail'] {
  try {
    const read: unknown = JSON.parse(text)
    return typeof read === 'object' && read !== null ? { ...read } : { text }
  } catch {
    return { text }
  }
}

function beginning(text: Uint8Array): string {
  const bytes = Buffer.from(
    text.buffer,
    text.byteOffset,
    Math.min(text.length, textCharactersMax * 4),
  )
  return bytes.toString('utf8').slice(0, textCharactersMax)
}
