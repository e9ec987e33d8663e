import { SallyportError } from '@sallyport/core'
import type { FactFields, LedgerJournal } from '../../boundary/ledger-journal.ts'
import { networkOf } from '../agents/network-of.ts'
import { FactCounts } from './fact-counts.ts'
import { FACTS, type FactKind, type FactName } from './facts.ts'
import { gatewayBy, type Fact, type Ledger } from './ledger.ts'
import { requestSource } from './request-source.ts'
import { smallJson, smallText } from './small-json.ts'

/** Facts that wait for a ledger that can't be written; more are counted. */
const waitingMax = 1000
const lookEveryMs = 1000

interface Waiting {
  readonly fields: FactFields
  readonly atMs: number
}

interface Options {
  readonly journal: LedgerJournal
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Told when facts begin to wait, and not for each. */
  readonly onFault: (error: unknown) => void
}

/** The ledger of this run of the gateway. */
export class JournalLedger implements Ledger {
  readonly #options: Options
  readonly #counts = new FactCounts<Fact>()
  readonly #waiting: Waiting[] = []
  readonly #timer: NodeJS.Timeout
  #lost = 0
  #isClosed = false

  constructor(options: Options) {
    this.#options = options
    this.#timer = setInterval(() => this.look(), lookEveryMs)
    this.#timer.unref()
  }

  /** `l_…` */
  get id(): string {
    return this.#options.journal.id
  }

  write(fact: Fact): Promise<void> {
    const located = { ...fact, source: fact.source ?? requestSource() }
    switch (FACTS[fact.what].rule) {
      case 'refuse':
        return this.#append(located)
      case 'anyway':
        this.#insist(located)
        return Promise.resolve()
      case 'counted':
        this.#count(located)
        return Promise.resolve()
    }
  }

  /** Writes what waits, and what was counted whose time is over. Called every second. */
  look(): void {
    this.#writeCounted(this.#options.now())
    this.#drain()
  }

  /** Writes all that was counted and waits, and ends the ledger. */
  async close(reason: string): Promise<void> {
    if (this.#isClosed) return
    clearInterval(this.#timer)
    this.#writeCounted()
    this.#drain()
    this.#isClosed = true
    // A gateway that cannot write must be able to end; the next start says that this run has no end.
    await this.#options.journal.close(reason).catch(this.#options.onFault)
  }

  #append(fact: Fact): Promise<void> {
    // What happened before it stands before it.
    this.#drain()
    if (this.#waiting.length > 0)
      throw new SallyportError('SP_RECORD_UNAVAILABLE', 'the ledger could not be written')
    const { journal, now } = this.#options
    return journal.append(fieldsOf(fact), { evenWhenLow: false, atMs: now() })
  }

  #insist(fact: Fact): void {
    this.#drain()
    const next = { fields: fieldsOf(fact), atMs: this.#options.now() }
    if (this.#waiting.length === 0 && this.#tryAppend(next)) return
    if (this.#waiting.length < waitingMax) this.#waiting.push(next)
    else this.#lost += 1
  }

  #count(fact: Fact): void {
    const now = this.#options.now()
    const { minutes = 1 }: FactKind = FACTS[fact.what]
    // Of IPv6 anybody has as many addresses as they like, in one network.
    const key = `${fact.what} ${networkOf(fact.source ?? '')}`
    const taken = this.#counts.take(key, fact, now, minutes * 60_000)
    if (taken !== undefined) this.#insist(taken.fact)
  }

  #writeCounted(nowMs?: number): void {
    for (const { fact, count, isOfOthers } of this.#counts.due(nowMs)) {
      const detail = { ...fact.detail, count, ...(isOfOthers ? { sources: 'many' } : {}) }
      this.#insist({ ...fact, detail })
    }
  }

  #drain(): void {
    if (this.#isClosed) return
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      if (!this.#tryAppend(next)) return
      this.#waiting.shift()
    }
    if (this.#lost === 0) return
    const fact = fieldsOf({
      what: 'ledger.lost' satisfies FactName,
      actor: gatewayBy(),
      subject: this.id,
      detail: { facts: this.#lost },
      source: '',
    })
    if (this.#tryAppend({ fields: fact, atMs: this.#options.now() })) this.#lost = 0
  }

  #tryAppend({ fields, atMs }: Waiting): boolean {
    try {
      void this.#options.journal.append(fields, { evenWhenLow: true, atMs })
      return true
    } catch (error) {
      if (this.#waiting.length === 0) this.#options.onFault(error)
      return false
    }
  }
}

function fieldsOf({ what, actor, subject, detail = {}, source = '' }: Fact): FactFields {
  return {
    what,
    by: actor.by,
    actor: smallText(actor.name),
    chain: actor.chain ?? [],
    subject: smallText(subject),
    source,
    detail: smallJson(detail),
  }
}
