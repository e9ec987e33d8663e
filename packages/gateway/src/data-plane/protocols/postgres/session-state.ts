import type { Socket } from 'node:net'
import type { SessionJournal } from '../../journal/session-journal.ts'
import type { ConnectionMeter } from '../../meters/worker-meter.ts'
import type { Awaited } from './awaited.ts'
import type { Names } from './names.ts'
import type { Outlet } from './outlet.ts'

/** What both directions of one session share. `session.ts` makes it; each field has one writer, named here. */
export interface SessionState {
  readonly journal: SessionJournal
  readonly meter: ConnectionMeter
  readonly names: Names
  /** Replies that the target owes. The caller's reader pushes, the target's reader takes. */
  readonly fifo: Fifo
  readonly toTarget: Outlet
  readonly toCaller: Outlet
  readonly target: Socket
  readonly caller: Socket
  /** The COPY that the target reads from the caller; set by the target's reader, ended by the caller's. */
  copyIn: { readonly seq: number } | undefined
  /** The target drops all up to the next Sync, which is not sent yet; set by the target's reader, ended by the caller's. */
  isSkipping: boolean
  /** The target has said in its own words why it ends. */
  targetSaidFatal: boolean
  /** As the last ReadyForQuery said. */
  transactionStatus: 'I' | 'T' | 'E'
  readonly isClosed: boolean
  /** The agent was taken away: nothing more may leave. Set by the session alone. */
  readonly isTaken: boolean
  /** Masked columns were met: what comes without a command of its own may speak of them. Set by the target's reader. */
  hasMetMasked: boolean
  /** The target has said that it cancelled what ran; set by the target's reader. */
  wasCancelled: boolean
  /** True when `text` can be classified at once: its parse is not too large, and the catalog is fresh. Else work begins. `runs` is false for a Parse. */
  isReadyFor(text: string, runs: boolean): boolean
  /** True when `text` is judged by what earlier definitions came to, so that their answers must be there. */
  waitsForDefinitions(text: string): boolean
  /** The largest message that a caller may send. */
  readonly messageBytesMax: number
  /** True while the agent is frozen: nothing leaves. Throws where that takes too long. */
  mustWait(): boolean
  /** Grows with every event that `progress` tells of. */
  readonly progressCount: number
  /** Resolves when the target has answered something, or what `isReadyFor` waited for is there, or the session ended. */
  progress(): Promise<void>
  /** Resolves when the target's socket takes more, or the session ended. */
  targetDrained(): Promise<void>
  end(reason: string): void
}

/** First in, first out, without moving the rest. */
export class Fifo {
  #items: Awaited[] = []
  #head = 0

  get isEmpty(): boolean {
    return this.#head === this.#items.length
  }

  /** True where replies are owed to more than one batch. */
  get hasLaterBatch(): boolean {
    return this.#items.at(-1)?.batch !== this.front?.batch
  }

  get length(): number {
    return this.#items.length - this.#head
  }

  get front(): Awaited | undefined {
    return this.#items[this.#head]
  }

  push(awaited: Awaited): void {
    this.#items.push(awaited)
  }

  shift(): Awaited | undefined {
    const item = this.#items[this.#head]
    if (item === undefined) return undefined
    this.#head += 1
    if (this.#head === this.#items.length) {
      this.#items = []
      this.#head = 0
    } else if (this.#head > 1024) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  /** A Sync is among what was sent. */
  get owesSync(): boolean {
    return this.#items.some(({ kind }, index) => index >= this.#head && kind === 'sync')
  }

  get syncsAfterFront(): number {
    let count = 0
    while (this.#items[this.#head + 1 + count]?.kind === 'sync') count += 1
    return count
  }

  /** Takes out the Syncs before the next other item after the front: a target that copies in ignores them. */
  dropSyncsAfterFront(): void {
    const at = this.#head + 1
    while (this.#items[at]?.kind === 'sync') this.#items.splice(at, 1)
  }
}
