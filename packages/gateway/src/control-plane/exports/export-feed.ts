import type { DecodedRecord } from '@sallyport/core'
import type { RecordObserver, RecordOf } from '../recordings/index/search-index.ts'
import type { ExportFact } from './facts/export-fact.ts'
import { PartFacts } from './facts/part-facts.ts'
import type { Outbox, PartRow } from './outbox.ts'

/** What the feed serves. */
export interface FeedWishes {
  /** From when on facts are kept for exports, in milliseconds since the epoch; undefined where none are. */
  readonly keepSinceMs: number | undefined
  /** Some export tells the texts of commands. */
  readonly withText: boolean
  /** Told of each fact once, as it is read. */
  readonly onFact: ((fact: ExportFact) => void) | undefined
}

/** Facts that wait to be kept; the shipper reads no more then. */
const pendingMax = 2000

interface Part {
  readonly facts: PartFacts
  readonly row: Pick<PartRow, 'session' | 'part' | 'worker' | 'run'>
}

/** Makes facts of what the shipper reads, and keeps them until exports have them: no journal is removed before. */
export class ExportFeed implements RecordObserver {
  readonly #outbox: Outbox
  readonly #parts = new Map<string, Part>()
  #known = new Map<string, PartRow>()
  #pending: ExportFact[] = []
  readonly #changed = new Set<Part>()
  #wishes: FeedWishes = { keepSinceMs: undefined, withText: false, onFact: undefined }

  constructor(outbox: Outbox) {
    this.#outbox = outbox
  }

  /** What is wanted from the next record on. */
  use(wishes: FeedWishes): void {
    this.#wishes = wishes
    if (wishes.keepSinceMs === undefined) this.#pending = []
  }

  async open(runs: readonly { readonly worker: number; readonly run: number }[]): Promise<void> {
    this.#known = await this.#outbox.parts(runs)
  }

  get hasRoom(): boolean {
    return this.#pending.length < pendingMax && !this.#outbox.isFull
  }

  take(record: DecodedRecord, of: RecordOf): void {
    const name = `${of.worker}-${of.run}-${of.reference}`
    const part = this.#parts.get(name) ?? this.#begin(name, of, record)
    if (part === undefined) return
    const { keepSinceMs, withText, onFact } = this.#wishes
    const { next } = part.facts
    for (const fact of part.facts.take(record, withText)) {
      onFact?.(fact)
      if (keepSinceMs !== undefined && fact.atMs >= keepSinceMs) this.#pending.push(fact)
    }
    if (part.facts.next > next) this.#changed.add(part)
    if (part.facts.isClosed) this.#parts.delete(name)
  }

  async flush(): Promise<void> {
    if (this.#wishes.keepSinceMs === undefined) return this.#changed.clear()
    this.#outbox.checkRoom()
    if (this.#changed.size === 0) return
    const facts = this.#pending
    const parts = [...this.#changed]
    await this.#outbox.write(
      facts,
      parts.map(({ row, facts: { next, state, isClosed } }) => ({
        ...row,
        position: next,
        ...(isClosed ? {} : { state }),
      })),
    )
    // Nothing is taken while this waits: rounds of the shipper follow each other.
    this.#pending = this.#pending.slice(facts.length)
    this.#changed.clear()
  }

  #begin(name: string, { worker, run }: RecordOf, record: DecodedRecord): Part | undefined {
    const begun = PartFacts.begin(name, record)
    if (begun === undefined) return undefined
    const row = { session: begun.session, part: name, worker, run }
    const known = this.#known.get(`${row.session}/${name}`)
    // Of one that has ended nothing more can come.
    if (known !== undefined && known.state === undefined) return undefined
    const facts =
      known?.state === undefined ? begun : PartFacts.resume(name, known.state, known.position)
    const part = { facts, row }
    this.#parts.set(name, part)
    return part
  }
}
