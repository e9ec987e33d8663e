import type { CommandId } from '@sallyport/core'

type Mint = (commandId: CommandId, seq: number) => StoredEntry

/** Proof that a command's entry is stored with the durability that was asked for. Only the journal can make one. */
export class StoredEntry {
  static #claimed = false
  readonly commandId: CommandId
  /** Number of the command in its session, from 1. */
  readonly seq: number

  private constructor(commandId: CommandId, seq: number) {
    this.commandId = commandId
    this.seq = seq
  }

  /** Hands out the one way to make entries, once: the journal takes it when it is loaded. */
  static claimMint(): Mint {
    if (StoredEntry.#claimed) throw new TypeError('only the journal makes stored entries')
    StoredEntry.#claimed = true
    return (commandId, seq) => new StoredEntry(commandId, seq)
  }
}
