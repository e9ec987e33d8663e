import {
  effectsFactsJson,
  sessionFactsJson,
  type Chain,
  type Command,
  type CommandFacts,
  type Effects,
  type SessionFacts,
} from '@sallyport/core'
import type { SessionJournal } from '../journal/session-journal.ts'

/** Of effects that many commands share, the text is made once. */
const effectsJson = new WeakMap<Effects, string>()

/** Records what rules read of one session's commands, so that a decision can be explained and made again later. */
export class FactRecorder {
  readonly #journal: SessionJournal
  readonly #about: Omit<SessionFacts, 'chain'>
  readonly #chains = new WeakMap<Chain, number>()
  readonly #effects = new WeakMap<Effects, number>()
  #last = 0

  constructor(journal: SessionJournal, about: Omit<SessionFacts, 'chain'>) {
    this.#journal = journal
    this.#about = about
  }

  /** Notes what is new, and says where the facts of a command stand. */
  factsOf(command: Command, chain: Chain, askedAtMs: number | undefined): CommandFacts {
    const { effects, inTransaction, bytes } = command
    const place = { session: this.#sessionOf(chain), effects: this.#effectsOf(effects) }
    const facts = { ...place, inTransaction, bytes }
    return askedAtMs === undefined ? facts : { ...facts, askedAtMs }
  }

  #sessionOf(chain: Chain): number {
    const known = this.#chains.get(chain)
    if (known !== undefined) return known
    const number = this.#note('session', sessionFactsJson({ ...this.#about, chain }))
    this.#chains.set(chain, number)
    return number
  }

  #effectsOf(effects: Effects): number {
    const known = this.#effects.get(effects)
    if (known !== undefined) return known
    let json = effectsJson.get(effects)
    if (json === undefined) {
      json = effectsFactsJson(effects)
      effectsJson.set(effects, json)
    }
    const number = this.#note('effects', json)
    this.#effects.set(effects, number)
    return number
  }

  #note(about: 'session' | 'effects', json: string): number {
    this.#last += 1
    // A session that is closed records no command either, and says so itself.
    if (!this.#journal.closed) {
      this.#journal.note({ kind: 'facts', number: this.#last, about, json })
    }
    return this.#last
  }
}
