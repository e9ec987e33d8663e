import { Buffer } from 'node:buffer'
import { setImmediate as turn } from 'node:timers/promises'
import {
  findDetections,
  visibleText,
  type CommandEntry,
  type Entry,
  type SessionOpenedEntry,
  type StoredRecord,
} from '@sallyport/core'
import { ResponseGrid } from '../recordings/response-grid.ts'
import { valuesMax, type Gathered } from './gathered.ts'
import type { CommandFact, ReturnedFact } from '../contract/incident-views.ts'
import { Transactions } from './transactions.ts'

const textCharactersMax = 500
/** Between two turns of the event loop: reading must not keep the gateway from its callers. */
const entriesPerTurn = 200
const changing: ReadonlySet<string> = new Set([
  'write',
  'ddl',
  'grant',
  'admin',
  'exec',
  'forward',
  'unknown',
])
const attributedLevel = 2

interface OpenCommand {
  fact: CommandFact
  readonly entry: CommandEntry
  readonly fullText: string
  rows: number
  /** By number of the column, from 1: where its values come from, of those that were masked. */
  readonly maskedColumns: Map<number, string>
  grid: ResponseGrid | undefined
}

export interface ReadRequest {
  readonly session: string
  readonly fromMs: number
  readonly untilMs: number
  /** Whether it is still open, as far as the gateway knows. */
  readonly isOpen: boolean
}

/** Reads one recording for a report. */
export async function readSession(
  request: ReadRequest,
  entries: AsyncIterable<StoredRecord>,
  into: Gathered,
): Promise<void> {
  const reader = new SessionReader(request, into)
  let count = 0
  for await (const record of entries) {
    reader.take(record)
    count += 1
    if (count % entriesPerTurn === 0) await turn()
  }
  reader.end()
}

class SessionReader {
  readonly #request: ReadRequest
  readonly #into: Gathered
  readonly #open = new Map<number, OpenCommand>()
  readonly #transactions: Transactions
  #opened: SessionOpenedEntry | undefined
  #openedMs = 0
  #closed: { readonly reason: string; readonly atMs: number } | undefined
  #columns: ResponseGrid['columns'] = []
  readonly #counts = { allowed: 0, held: 0, blocked: 0 }
  #outside = 0
  /** Something was changed by the extended protocol outside of a transaction, and something failed. */
  #hasExecuted = false
  #hasFailed = false

  constructor(request: ReadRequest, into: Gathered) {
    this.#request = request
    this.#into = into
    this.#transactions = new Transactions((change) => into.list(into.changed, change))
  }

  take({ entry, timeMs, verified }: StoredRecord): void {
    this.#into.entries += 1
    if (!verified) this.#into.unverified += 1
    switch (entry.kind) {
      case 'session.opened':
        this.#opened = entry
        this.#openedMs = timeMs
        return
      case 'session.closed':
        this.#closed = { reason: entry.reason, atMs: timeMs }
        return
      case 'command':
        return this.#command(entry, timeMs)
      case 'lineage':
        return this.#lineage(entry)
      case 'response.data':
        return this.#grid(entry.seq)?.push(entry.bytes)
      case 'masked':
        return this.#masked(entry)
      case 'refused':
        return this.#refused(entry)
      case 'response.end':
        return this.#end(entry)
      case 'answered':
        return this.#answered(entry)
      case 'held':
      case 'cancelled':
      case 'copy.data':
      case 'facts':
      case 'notice':
      case 'fact':
    }
  }

  /** The recording is over. */
  end(): void {
    const { session, isOpen } = this.#request
    for (const { fact } of this.#open.values()) {
      this.#into.list(this.#into.commands, fact)
      if (fact.verdict === 'allowed')
        this.#unknown('no end of its answer is recorded: what it did is not known', fact.seq)
    }
    this.#transactions.ended(this.#closed !== undefined && this.#closed.reason !== 'aborted')
    const opened = this.#opened
    if (opened === undefined) return this.#unknown('the beginning of the recording is missing')
    this.#into.sessions.push({
      session,
      agent: opened.chain.at(-1)?.id ?? '',
      chain: chainOf(opened),
      connection: opened.connection,
      database: opened.database,
      level: opened.level,
      source: opened.source,
      application: opened.application,
      openedAt: iso(this.#openedMs),
      ...(this.#closed === undefined
        ? {}
        : { closedAt: iso(this.#closed.atMs), reason: this.#closed.reason }),
      commands: this.#counts,
    })
    if (opened.level < attributedLevel)
      this.#unknown(`attribution is L${opened.level}: who held the credential is not proven`)
    if (this.#closed === undefined)
      this.#unknown(
        isOpen ? 'the session is open and goes on' : 'the recording was cut: it has no end',
      )
    else if (this.#closed.reason === 'aborted')
      this.#unknown('the session was cut: its worker died, and what ran last may have gone on')
    if (this.#hasExecuted && this.#hasFailed)
      this.#unknown(
        'what is told as done was taken back where a command failed that was sent along with it: which were sent together is not recorded',
      )
    if (this.#outside > 0)
      this.#unknown(`${this.#outside} commands are outside of the incident's time, and not counted`)
  }

  #command(entry: CommandEntry, timeMs: number): void {
    const { fromMs, untilMs, session } = this.#request
    if (timeMs < fromMs || timeMs >= untilMs) {
      this.#outside += 1
      return
    }
    const verdict = ({ allow: 'allowed', approve: 'held', block: 'blocked' } as const)[entry.effect]
    this.#counts[verdict] += 1
    const fullText = Buffer.from(entry.text).toString('utf8')
    const fact: CommandFact = {
      session,
      seq: entry.seq,
      at: iso(timeMs),
      agent: this.#opened?.chain.at(-1)?.id ?? '',
      connection: this.#opened?.connection ?? '',
      verdict,
      rules: entry.rules,
      class: entry.class,
      verb: entry.verb,
      objects: entry.objects.map((name) => name.join('.')),
      text: visibleText(fullText.slice(0, textCharactersMax).replaceAll(/\s+/gu, ' ')),
      rows: 0,
    }
    if (entry.class === 'unknown')
      this.#unknown('the statement could not be read: what it would do is not known', entry.seq)
    this.#open.set(entry.seq, {
      fact,
      entry,
      fullText: fullText.slice(0, textCharactersMax),
      rows: 0,
      maskedColumns: new Map(),
      grid: undefined,
    })
  }

  /** `column 2 email: public.customers.email, masked with redact by guard/emails`. */
  #lineage({ seq, text }: Extract<Entry, { kind: 'lineage' }>): void {
    const command = this.#open.get(seq)
    for (const line of text.split('\n')) {
      const [, number, from] = /^column (\d+)[^:]*: (.*?), masked with /su.exec(line) ?? []
      if (number !== undefined && from !== undefined)
        command?.maskedColumns.set(Number(number), from)
    }
  }

  #masked({ seq, rule, values }: Extract<Entry, { kind: 'masked' }>): void {
    const command = this.#open.get(seq)
    if (command === undefined || values === 0) return
    this.#returned('masked', rule, [...command.maskedColumns.values()], values, seq)
  }

  /** What was approved runs like what nobody had to be asked for. */
  #answered({ seq, outcome, by, approval }: Extract<Entry, { kind: 'answered' }>): void {
    const command = this.#open.get(seq)
    if (command === undefined || outcome !== 'approved') return
    command.fact = { ...command.fact, verdict: 'allowed', approved: { by, approval } }
  }

  #refused({ seq, code, message }: Extract<Entry, { kind: 'refused' }>): void {
    const command = this.#open.get(seq)
    if (command === undefined) return
    this.#open.delete(seq)
    const fact = { ...command.fact, refused: { code, message } }
    this.#into.list(this.#into.commands, fact)
    this.#into.list(this.#into.stopped, fact)
    if (code === 'SP_RECORD_UNAVAILABLE' || command.fact.verdict !== 'allowed') return
    if (command.rows > 0) this.#unknown('it was stopped after a part of its answer had come', seq)
  }

  #end(entry: Extract<Entry, { kind: 'response.end' }>): void {
    const command = this.#open.get(entry.seq)
    if (command === undefined) return
    if (entry.data !== undefined) this.#grid(entry.seq)?.push(entry.data)
    if (command.grid !== undefined) this.#columns = command.grid.columns
    command.rows += entry.rows
    if (entry.status === 'suspended') return
    this.#open.delete(entry.seq)
    const { tag, sqlState, status } = entry
    const fact: CommandFact = {
      ...command.fact,
      status,
      ...(tag === '' ? {} : { tag }),
      ...(sqlState === undefined ? {} : { sqlState }),
      rows: command.rows,
    }
    this.#into.list(this.#into.commands, fact)
    if (fact.verdict !== 'allowed') return this.#into.list(this.#into.stopped, fact)
    this.#changed(command, fact)
    if (command.rows > 0 && command.grid === undefined)
      this.#unknown('its answer is not recorded: only rows and bytes were kept', entry.seq)
    else if (tag.startsWith('COPY') && fact.class === 'read')
      this.#unknown('its answer is copy data: no detector has looked at it', entry.seq)
  }

  #changed({ entry, fullText }: OpenCommand, fact: CommandFact): void {
    // A statement that is prepared changes nothing yet.
    if (entry.unit === 'parse') return
    const { tag = '', status } = fact
    const isChange = changing.has(entry.class)
    const rows = /(\d+)$/u.exec(tag)?.[1]
    if (entry.unit === 'execute') {
      this.#hasExecuted ||= isChange && status === 'complete'
      this.#hasFailed ||= status === 'error'
    }
    const change = { ...fact, ...(rows === undefined ? {} : { changed: Number(rows) }) }
    if (status === 'complete') this.#transactions.done(tag, fullText, isChange ? change : undefined)
    else if (isChange)
      this.#into.list(this.#into.changed, {
        ...change,
        outcome: status === 'error' ? 'failed' : 'unknown',
      })
  }

  #grid(seq: number): ResponseGrid | undefined {
    const command = this.#open.get(seq)
    if (command === undefined) return undefined
    command.grid ??= new ResponseGrid(this.#columns, (row, columns) =>
      this.#row(command, row, columns),
    )
    return command.grid
  }

  #row(
    { maskedColumns, fact }: OpenCommand,
    row: readonly string[],
    columns: ResponseGrid['columns'],
  ): void {
    for (const [at, cell] of row.entries()) {
      if (maskedColumns.has(at + 1) || this.#into.values >= valuesMax) continue
      this.#into.values += 1
      const names = new Set(findDetections(cell, ['pii', 'secret']).map(({ name }) => name))
      for (const name of names)
        this.#returned('clear', name, [columns[at]?.name ?? `column ${at + 1}`], 1, fact.seq)
    }
  }

  #returned(
    how: ReturnedFact['how'],
    what: string,
    columns: readonly string[],
    values: number,
    seq: number,
  ): void {
    const opened = this.#opened
    this.#into.came({
      session: this.#request.session,
      seq,
      agent: opened?.chain.at(-1)?.id ?? '',
      chain: opened === undefined ? '' : chainOf(opened),
      connection: opened?.connection ?? '',
      how,
      what,
      columns: columns.map(visibleText),
      values,
    })
  }

  #unknown(what: string, seq?: number): void {
    const { session } = this.#request
    this.#into.say({ what, session, ...(seq === undefined ? {} : { seq }) })
  }
}

function chainOf({ chain }: SessionOpenedEntry): string {
  return chain.map(({ name }) => visibleText(name)).join(' › ')
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
