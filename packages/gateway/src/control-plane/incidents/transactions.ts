import type { ChangeFact } from '../contract/incident-views.ts'

type Open = Omit<ChangeFact, 'outcome'>

/** Follows the transactions of one session, to say what became of its changes. */
export class Transactions {
  readonly #take: (change: ChangeFact) => void
  /** Changes of the transaction that is open. */
  #open: Open[] | undefined
  #isPartlyBack = false

  constructor(take: (change: ChangeFact) => void) {
    this.#take = take
  }

  /** A command that the target has answered with this tag; `change` where it changed something. */
  done(tag: string, text: string, change: Open | undefined): void {
    if (change !== undefined) {
      if (this.#open === undefined) this.#take({ ...change, outcome: 'done' })
      else this.#open.push(change)
    }
    if (tag === 'BEGIN' || tag === 'START TRANSACTION') this.#open ??= []
    else if (tag === 'COMMIT' || tag === 'PREPARE TRANSACTION') this.#close('committed')
    else if (tag === 'ROLLBACK') {
      // The tag of ROLLBACK TO SAVEPOINT is the same, and the transaction goes on.
      if (/\brollback\b[^;]*\bto\b/iu.test(text)) this.#isPartlyBack = true
      else this.#close('rolled back')
    }
  }

  /** The target takes back what was not committed; where no end is recorded, nobody knows. */
  ended(isKnown: boolean): void {
    this.#close(isKnown ? 'rolled back' : 'unknown')
  }

  #close(outcome: 'committed' | 'rolled back' | 'unknown'): void {
    const isUnsure = this.#isPartlyBack && outcome === 'committed'
    for (const change of this.#open ?? [])
      this.#take({ ...change, outcome: isUnsure ? 'unknown' : outcome })
    this.#open = undefined
    this.#isPartlyBack = false
  }
}
