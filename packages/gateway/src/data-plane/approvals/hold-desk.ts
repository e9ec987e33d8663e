import { createHash } from 'node:crypto'
import {
  describeDemands,
  keyOfDemands,
  withinOf,
  type ApprovalId,
  type Command,
  type Refusal,
  type SessionId,
  type Verdict,
} from '@sallyport/core'
import {
  heldTextMax,
  type HoldAnswer,
  type HoldAsked,
  type TargetQuestions,
} from '../../boundary/approvals.ts'
import type { SessionAgent } from '../agents/session-agent.ts'
import type { SessionJournal } from '../journal/session-journal.ts'
import type { StoredEntry } from '../journal/stored-entry.ts'
import { pooledId } from '../random-pool.ts'
import { bindingOf } from './binding.ts'
import type { Holds, OpenHold } from './holds.ts'

const tellEveryMs = 30_000
const parameterCharsMax = 256
const parametersMax = 64

/** What a desk needs to know of its session. */
export interface HoldDeskOptions {
  readonly holds: Holds
  readonly journal: SessionJournal
  readonly agent: SessionAgent
  readonly session: SessionId
  readonly connection: string
  readonly target: readonly string[]
  readonly database: string
  readonly application: string
  readonly source: string
  /** What the connection allows of the time that rules give. */
  readonly holdMaxMs: number
  readonly holdInTransactionMaxMs: number
  now(): number
  /** Where persons answer; undefined where nobody can log in. */
  linkOf(id: ApprovalId): string | undefined
  /** Tells the caller why it waits, where its protocol has a way. */
  tell(notice: HoldNotice): void
}

/** What a caller reads while it waits. */
export interface HoldNotice {
  readonly message: string
  readonly detail?: string
  readonly hint?: string
}

/** A command that has to be asked for. */
export interface HeldCommand {
  readonly command: Command
  readonly entry: StoredEntry
  readonly verdict: Extract<Verdict, { effect: 'approve' }>
  readonly parameters: readonly (Uint8Array | null)[]
  readonly formats: readonly number[]
  /** What the session has set that changes what a text means. */
  readonly settings: readonly string[]
  /** What the text does beyond its words. */
  readonly meaning: readonly string[]
  /** What may be asked of the target, for whoever decides to see what it would do. */
  readonly questions: TargetQuestions
  /** Milliseconds since the epoch; a command that is asked for again has no more time than at first. */
  readonly untilMs?: number
}

/** Somebody has said yes. */
export interface Approved {
  readonly approval: ApprovalId
  readonly answer: HoldAnswer
  readonly untilMs: number
}

/** Where the commands of one session wait for an approval, one at a time. */
export class HoldDesk {
  readonly #options: HoldDeskOptions
  #open: { readonly hold: OpenHold; readonly seq: number; readonly id: ApprovalId } | undefined

  constructor(options: HoldDeskOptions) {
    this.#options = options
  }

  get isOpen(): boolean {
    return this.#open !== undefined
  }

  /** Until when a command may wait that is asked for now. Milliseconds since the epoch. */
  untilMs({ command, verdict }: Pick<HeldCommand, 'command' | 'verdict'>): number {
    const { holdMaxMs, holdInTransactionMaxMs } = this.#options
    // Locks are held while a transaction waits, so that it may not wait for long.
    const inTransactionMs = command.inTransaction ? holdInTransactionMaxMs : Infinity
    const nowMs = this.#options.now()
    return nowMs + Math.min(withinOf(verdict.demands), holdMaxMs, inTransactionMs)
  }

  /** Asks, and resolves with the yes, or with why the command may not run. Whoever gets a yes records it by `goOn`. */
  async ask(held: HeldCommand): Promise<Approved | Refusal> {
    const { journal, holds } = this.#options
    const { verdict, entry } = held
    const untilMs = held.untilMs ?? this.untilMs(held)
    const id = pooledId<ApprovalId>('ap')
    const wants = describeDemands(verdict.demands)
    journal.note({ kind: 'held', seq: entry.seq, approval: id, wants, untilMs })
    const asked = this.#asked(held, id, untilMs)
    const hold = holds.ask(asked, held.questions, (text) => this.#options.tell({ message: text }))
    this.#open = { hold, seq: entry.seq, id }
    if (asked.wait === 'hold') this.#tellHeld(asked, wants)
    const timer = setInterval(() => {
      const seconds = Math.round((this.#options.now() - asked.askedAtMs) / 1000)
      this.#options.tell({ message: `${id} still waiting (${seconds} s)` })
    }, tellEveryMs)
    const answer = await hold.answer
    clearInterval(timer)
    this.#open = undefined
    const approval = answer.insteadOf ?? id
    if (answer.outcome === 'approved') return { approval, answer, untilMs }
    if (!journal.closed && answer.outcome !== 'withdrawn') this.#note(entry.seq, id, answer)
    return refusalOf(approval, answer, held, wants)
  }

  /** Records that a command goes on. Resolves when that is stored as durably as a write has to be. */
  async goOn(held: HeldCommand, { approval, answer }: Approved): Promise<StoredEntry> {
    const { outcome, by, note } = answer
    const { seq } = held.entry
    const entry = { kind: 'answered', seq, approval, outcome, by, note } as const
    const stored = await this.#options.journal.answered(held.entry, entry)
    this.#options.tell({ message: `approved by ${by.join(', ')} (${approval})` })
    return stored
  }

  /** Records that a command was approved in vain: why it does not go on stands in `why`. */
  inVain(held: HeldCommand, { approval }: Approved, why: string): void {
    if (!this.#options.journal.closed)
      this.#note(held.entry.seq, approval, { outcome: 'withdrawn', by: [], note: why })
  }

  /** The command that waits is not to run any more, whatever anybody answers. False where none waits. */
  withdraw(why: string): boolean {
    if (this.#open === undefined) return false
    const { hold, seq, id } = this.#open
    this.#open = undefined
    if (!this.#options.journal.closed)
      this.#note(seq, id, { outcome: 'withdrawn', by: [], note: why })
    hold.withdraw(why)
    return true
  }

  #note(seq: number, approval: ApprovalId, { outcome, by, note }: HoldAnswer): void {
    this.#options.journal.note({ kind: 'answered', seq, approval, outcome, by, note })
  }

  #asked(held: HeldCommand, id: ApprovalId, untilMs: number): HoldAsked {
    const { options, command, verdict } = { options: this.#options, ...held }
    const { agent } = options
    const { effects, text } = command
    const { demands, policyVersion } = verdict
    return {
      id,
      session: options.session,
      seq: held.entry.seq,
      connection: options.connection,
      database: options.database,
      agent: agent.id,
      path: agent.path,
      chain: agent.chain.agents.map(({ name }) => name),
      level: agent.chain.level,
      application: options.application,
      source: options.source,
      text: cut(text, heldTextMax),
      textLength: text.length,
      parameters: shownAll(held),
      class: effects.class,
      verb: effects.verb,
      objects: effects.objects,
      unbounded: effects.unbounded,
      opaque: effects.opaque,
      inTransaction: command.inTransaction,
      demands,
      ...('text' in held.questions.shape
        ? { shape: atTarget(held.questions.shape.text, options.target) }
        : {}),
      ...(held.questions.outline === undefined ? {} : { outline: held.questions.outline }),
      policyVersion,
      binding: bindingOf({
        agent: agent.id,
        connection: options.connection,
        target: options.target,
        database: options.database,
        settings: held.settings,
        meaning: held.meaning,
        demands: keyOfDemands(demands),
        text,
        parameters: held.parameters,
        formats: held.formats,
        objects: effects.objects,
        policyVersion,
      }),
      wait: demands.some(({ demand }) => demand.wait === 'return') ? 'return' : 'hold',
      askedAtMs: options.now(),
      untilMs,
    }
  }

  #tellHeld(
    { id, demands, verb, objects, untilMs, askedAtMs, inTransaction }: HoldAsked,
    wants: string,
  ): void {
    const names = objects.map((object) => object.join('.')).join(', ')
    const seconds = Math.round((untilMs - askedAtMs) / 1000)
    const within = seconds >= 120 ? `${Math.round(seconds / 60)} min` : `${seconds} s`
    const locks = inTransaction ? ' Its transaction stays open, with its locks, for so long.' : ''
    const why = demands.map(({ message }) => message).filter((message) => message !== '')
    this.#options.tell({
      message: `held for approval ${id} (${wants}) ${this.#options.linkOf(id) ?? `sallyport approve ${id}`}`,
      detail: [`${verb.toUpperCase()}${names === '' ? '' : ` on ${names}`}.`, ...why].join(' '),
      hint: `Ctrl-C cancels. The request expires in ${within}.${locks}`,
    })
  }
}

/** The same words at another target are of another shape, also where its connection has kept its name. */
function atTarget(shape: string, target: readonly string[]): string {
  return createHash('sha256')
    .update(JSON.stringify([shape, target]))
    .digest('hex')
}

/** Of more values than are shown, who approves reads how many more there are. */
function shownAll({ parameters, formats }: HeldCommand): (string | null)[] {
  const first = parameters
    .slice(0, parametersMax)
    .map((value, n) => shown(value, (formats[n] ?? formats[0]) === 1))
  const more = parameters.length - first.length
  return more === 0 ? first : [...first, `… and ${more} more values, which are not shown`]
}

/** Values in the protocol's binary form stand in hexadecimal. */
function shown(value: Uint8Array | null, isBinary: boolean): string | null {
  if (value === null) return null
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length)
  const text = isBinary ? `\\x${bytes.toString('hex')}` : bytes.toString('utf8')
  return cut(text, parameterCharsMax)
}

/** What databases and JSON take: no NUL, no half of a character. */
function cut(text: string, max: number): string {
  const kept = text.length > max ? `${text.slice(0, max)}…` : text
  return kept.toWellFormed().replaceAll('\0', '\u{fffd}')
}

function refusalOf(
  id: ApprovalId,
  { outcome, by, note }: HoldAnswer,
  { verdict, command }: HeldCommand,
  wants: string,
): Refusal {
  const said = note === '' ? '' : `: ${JSON.stringify(note)}`
  const sent = 'Not executed.'
  const about = `Decision ${verdict.id}, approval ${id}.`
  switch (outcome) {
    case 'denied':
      return {
        code: 'SP_APPROVAL_DENIED',
        message: `denied by ${by.join(', ')}${said}`,
        detail: sent,
        hint: `Change it; do not resend it unchanged. ${about} (SP_APPROVAL_DENIED)`,
      }
    case 'pending':
      return {
        code: 'SP_APPROVAL_PENDING',
        message: `waiting for ${id} (${wants})`,
        detail: note === '' ? 'Not executed yet.' : `Not executed yet. ${note}.`,
        hint: `Send the same again later; do not change it. ${about} (SP_APPROVAL_PENDING)`,
      }
    case 'expired': {
      const limit = command.inTransaction ? ', and its transaction could not wait longer' : ''
      return {
        code: 'SP_APPROVAL_EXPIRED',
        message: `nobody answered ${id} in time (${wants})${limit}`,
        detail: sent,
        hint: `Ask a person before trying again. ${about} (SP_APPROVAL_EXPIRED)`,
      }
    }
    case 'withdrawn':
    case 'approved':
      return {
        code: 'SP_APPROVAL_WITHDRAWN',
        message: `the request for approval ${id} was withdrawn${note === '' ? '' : `: ${note}`}`,
        detail: sent,
        hint: `${about} (SP_APPROVAL_WITHDRAWN)`,
      }
  }
}
