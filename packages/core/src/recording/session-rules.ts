import type { Entry } from '../entry/entry.ts'
import { isLedgerId } from '../ids.ts'

/**
 * Says of each entry of a session whether it may stand where it does: a verdict before its answer, no answer without a command.
 * A ledger holds facts and nothing else, and facts stand nowhere else.
 */
export class SessionRules {
  readonly #session: string
  #position = 0
  #commands = 0
  #isClosed = false

  constructor(session: string) {
    this.#session = session
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** Returns what is wrong with the next entry, or undefined. */
  next(entry: Entry): string | undefined {
    const isFirst = this.#position === 0
    this.#position += 1
    if (this.#isClosed) return 'an entry stands behind the end of the session'
    if (isFirst !== (entry.kind === 'session.opened'))
      return isFirst ? 'the session does not begin with its opening' : 'the session is opened again'
    const isLedger = isLedgerId(this.#session)
    if (isLedger !== (entry.kind === 'fact') && !isFrame(entry))
      return isLedger ? 'the ledger holds what is no fact' : 'a fact stands outside of a ledger'
    switch (entry.kind) {
      case 'session.opened':
        return entry.session === this.#session ? undefined : 'the opening is of another session'
      case 'command':
        this.#commands += 1
        if (entry.seq === this.#commands) return undefined
        return `command ${entry.seq} stands where ${this.#commands} should`
      case 'response.data':
      case 'response.end':
      case 'masked':
      case 'lineage':
      case 'copy.data':
      case 'refused':
      case 'held':
      case 'answered':
        if (entry.seq >= 1 && entry.seq <= this.#commands) return undefined
        return `an answer belongs to command ${entry.seq}, which is not before it`
      case 'cancelled':
        return entry.seq <= this.#commands
          ? undefined
          : 'a cancel of a command that is not before it'
      case 'notice':
      case 'fact':
      case 'facts':
        return undefined
      case 'session.closed':
        this.#isClosed = true
        if (entry.commands === this.#commands) return undefined
        return `the end speaks of ${entry.commands} commands, ${this.#commands} are here`
    }
  }
}

function isFrame({ kind }: Entry): boolean {
  return kind === 'session.opened' || kind === 'session.closed'
}
