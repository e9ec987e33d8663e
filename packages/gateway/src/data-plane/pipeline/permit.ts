import type { StoredEntry } from '../journal/stored-entry.ts'

/** Proof that a command was judged and its verdict stored. `forward` takes one, so an unrecorded command cannot compile. */
export class Permit {
  readonly entry: StoredEntry
  #spent = false

  private constructor(entry: StoredEntry) {
    this.entry = entry
  }

  /** Only `run-command.ts` calls this; a test over the source checks that. */
  static issue(entry: StoredEntry): Permit {
    return new Permit(entry)
  }

  /** Works once: a permit is for one passage. */
  spend(): void {
    if (this.#spent)
      throw new Error(`the permit of command ${this.entry.commandId} was already spent`)
    this.#spent = true
  }
}
