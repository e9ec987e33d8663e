import { hash } from 'node:crypto'
import { storeKeys } from '@sallyport/core'
import type { RecordedPart } from './recorded-part.ts'
import type { SignedObjects } from './signed-objects.ts'

/** The newest anchor, as the database remembers it. */
export interface LastAnchor {
  readonly number: number
  readonly jws: string
}

/** Where the newest anchor is remembered: it must be there before anyone can see the anchor. */
export interface AnchorMemory {
  load(): Promise<LastAnchor | undefined>
  save(last: LastAnchor): Promise<void>
}

interface AnchorsOptions {
  readonly memory: AnchorMemory
  readonly objects: SignedObjects
  readonly node: string
  /** Milliseconds since the epoch. */
  readonly now: () => number
}

/** An open session's newest entries are anchored after this long. */
const anchorEveryMs = 60_000

/**
 * Signs where the chains of all sessions stand. Anchors are numbered, and each names the one before it, so that none can be left
 * out; and every session is in one, so that no session can be.
 */
export class Anchors {
  readonly #options: AnchorsOptions
  readonly #changed = new Set<RecordedPart>()
  #last: LastAnchor | undefined
  #anchoredAtMs = 0
  /** False while the newest anchor may be missing in the store. */
  #isThere = false
  #isCompared = false

  constructor(options: AnchorsOptions) {
    this.#options = options
  }

  /** Learns of the newest anchor. */
  async open(): Promise<void> {
    this.#last = await this.#options.memory.load()
    this.#anchoredAtMs = this.#options.now()
  }

  /** The number of the newest anchor that is in the store; undefined until that is known. */
  get newestStored(): number | undefined {
    if (this.#last === undefined) return undefined
    return this.#isThere ? this.#last.number : this.#last.number - 1
  }

  /** The number of the anchor that is signed next. */
  async nextNumber(): Promise<number> {
    if (!this.#isCompared) await this.#goOnFromStore()
    return (this.#last?.number ?? -1) + 1
  }

  /** A part has new entries, or more of them are in the store. */
  note(part: RecordedPart): void {
    this.#changed.add(part)
  }

  /** When the newest one was signed; the start of this run where none was since. */
  get anchoredAtMs(): number {
    return this.#anchoredAtMs
  }

  /** True when something is to be said: a session has ended, or a minute is over. */
  get isDue(): boolean {
    if (this.#changed.size === 0) return false
    if (this.#options.now() - this.#anchoredAtMs >= anchorEveryMs) return true
    for (const part of this.#changed) if (part.isClosed) return true
    return false
  }

  /** Signs and publishes where all parts are that have changed, and returns these. */
  async publish(): Promise<readonly RecordedPart[]> {
    const { memory, objects, node, now } = this.#options
    if (!this.#isCompared) await this.#goOnFromStore()
    // The last run may have ended before it was put. It is put as it was signed: someone may have seen it.
    if (this.#last !== undefined && !this.#isThere) await this.#put(this.#last)
    if (this.#changed.size === 0) return []
    const changed = [...this.#changed]
    const jws = await objects.sign({
      type: 'sallyport.anchor.1',
      node,
      number: (this.#last?.number ?? -1) + 1,
      at: new Date(now()).toISOString(),
      previous: this.#last === undefined ? '' : hash('sha256', this.#last.jws),
      parts: changed.map(({ id, name, entries, head, shipped, isClosed }) => ({
        session: id.session,
        part: name,
        entries,
        head,
        shipped: shipped.position,
        closed: isClosed,
      })),
    })
    const next = { number: (this.#last?.number ?? -1) + 1, jws }
    await memory.save(next)
    this.#last = next
    this.#isThere = false
    for (const part of changed) {
      part.anchoredBy(next.number)
      this.#changed.delete(part)
    }
    this.#anchoredAtMs = now()
    await this.#put(next)
    return changed
  }

  /** Where the database is an older copy, the store has anchors that it does not know, and none may be written over. */
  async #goOnFromStore(): Promise<void> {
    for (;;) {
      const number = (this.#last?.number ?? -1) + 1
      const jws = await this.#options.objects.own(storeKeys.anchor(number))
      if (jws === undefined) break
      this.#last = { number, jws }
      this.#isThere = true
    }
    this.#isCompared = true
  }

  async #put({ number, jws }: LastAnchor): Promise<void> {
    await this.#options.objects.put(storeKeys.anchor(number), jws)
    this.#isThere = true
  }
}
