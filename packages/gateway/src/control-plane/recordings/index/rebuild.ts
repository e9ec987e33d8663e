import type { DecodedRecord } from '@sallyport/core'
import { storedEntries, type RecordingSources } from '../recordings.ts'
import { JournalFollower, type FollowedFile } from '../shipping/journal-follower.ts'
import type { KnownPosition, PartChunk } from './index-rows.ts'
import { IndexedPart, keyOf, type IndexedPartId } from './indexed-part.ts'

/** Between two looks at the clock. */
const entriesAtOnce = 500

/**
 * Reads all that is recorded, the store first and the journals behind it, a piece at a time.
 *
 * It is done only when one step has reached the end of the journals. Whatever the shipper had read before that step
 * stood in them, so that nothing falls between the two.
 */
export class Rebuild implements Disposable {
  readonly #known: Map<string, KnownPosition>
  readonly #held: Disposable | undefined
  readonly #stored: AsyncGenerator<void>
  readonly #follower: JournalFollower
  readonly #parts = new Map<string, IndexedPart>()
  readonly #ready: PartChunk[] = []
  #isStoreRead = false
  #partsRead = 0

  constructor(sources: RecordingSources, known: Map<string, KnownPosition>) {
    this.#known = known
    this.#held = sources.hold?.()
    this.#stored = this.#readStore(sources)
    this.#follower = new JournalFollower(sources.journalDir)
  }

  get partsRead(): number {
    return this.#partsRead
  }

  /** Reads for about `ms`, or until that many bytes of rows wait; true when there is no more. */
  async step(ms: number, bytesMax: number): Promise<boolean> {
    const endsAt = performance.now() + ms
    const mayGoOn = (): boolean => performance.now() < endsAt && this.#bytes() < bytesMax
    while (!this.#isStoreRead && mayGoOn()) {
      const { done } = await this.#stored.next()
      this.#isStoreRead = done === true
    }
    if (!this.#isStoreRead) return false
    let isAll = true
    await this.#follower.read(this.#take, () => {
      isAll = mayGoOn()
      return isAll
    })
    return isAll
  }

  /** What was read since the last call. */
  cut(): PartChunk[] {
    const chunks = this.#ready.splice(0)
    for (const [name, part] of this.#parts) {
      chunks.push(...this.#cutPart(part))
      if (part.isClosed) this.#parts.delete(name)
    }
    return chunks
  }

  /** Parts that go on. */
  open(): Map<string, IndexedPart> {
    return this.#parts
  }

  /** Reads no more of a part. */
  setAside(id: IndexedPartId): void {
    this.#known.set(keyOf(id), { position: 0, aside: true })
    if (this.#parts.get(id.part)?.id.session === id.session) this.#parts.delete(id.part)
  }

  [Symbol.dispose](): void {
    this.#held?.[Symbol.dispose]()
  }

  async *#readStore(sources: RecordingSources): AsyncGenerator<void> {
    let count = 0
    for await (const { session, part, entries } of storedEntries(sources)) {
      const [worker = 0, run = 0] = part.split('-').map(Number)
      const indexed = this.#begin({ session, part, worker, run })
      for await (const record of entries) {
        indexed?.take(record)
        count += 1
        if (count % entriesAtOnce === 0) yield
      }
      yield
    }
  }

  readonly #take = (record: DecodedRecord, { worker, run = 0 }: FollowedFile): void => {
    const part = `${worker}-${run}-${record.session}`
    const { entry } = record
    const session = entry.kind === 'session.opened' ? entry.session : undefined
    const going = this.#parts.get(part)
    const indexed =
      session === undefined || going?.id.session === session
        ? going
        : this.#begin({ session, part, worker, run })
    indexed?.take(record)
  }

  #begin(id: IndexedPartId): IndexedPart | undefined {
    const before = this.#parts.get(id.part)
    if (before !== undefined) this.#ready.push(...this.#cutPart(before))
    this.#parts.delete(id.part)
    this.#partsRead += 1
    const known = this.#known.get(keyOf(id))
    if (known?.aside === true) return undefined
    const indexed = new IndexedPart(id, known?.position ?? 0)
    this.#parts.set(id.part, indexed)
    return indexed
  }

  #bytes(): number {
    let bytes = 0
    for (const part of this.#parts.values()) bytes += part.bytes
    for (const { chunk } of this.#ready) bytes += chunk.bytes
    return bytes
  }

  /** Journals may hold entries again that the store has. */
  #cutPart(part: IndexedPart): PartChunk[] {
    const chunk = part.cut()
    if (chunk === undefined) return []
    this.#known.set(keyOf(part.id), { position: part.next, aside: false })
    return [{ id: part.id, chunk }]
  }
}
