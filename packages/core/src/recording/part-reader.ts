import { Buffer } from 'node:buffer'
import { ChainVerifier } from '../entry/entry-chain.ts'
import type { Entry } from '../entry/entry.ts'
import { decodeEntry } from '../entry/record.ts'
import { openSegment, parseSegment, segmentHash, type SealedSegment } from './segment.ts'
import { SessionRules } from './session-rules.ts'
import { storeKeys } from './store-keys.ts'

/** Where objects are read from: a folder, a bucket, an archive. */
export interface ObjectSource {
  /** Undefined where there is no such object. Rejects with a RangeError that says why where one can't be an object of a store. */
  get(key: string): Promise<Uint8Array | undefined>
  /** All keys that begin with `prefix`, in order. */
  list(prefix: string): AsyncIterable<string>
}

/** Something that is not as it should be. */
export interface Finding {
  /** The object it was found in. */
  readonly where: string
  /** Byte of the object's contents, where there is one. */
  readonly offset?: number
  readonly what: string
}

/** One entry as it stands in the store. `verified` says that the chain is whole up to here. */
export interface StoredRecord {
  readonly kind: 'entry'
  readonly position: number
  readonly timeMs: number
  readonly verified: boolean
  readonly entry: Entry
}

/** What a reader gives: entries, and what is wrong with them. */
export type PartItem = StoredRecord | ({ readonly kind: 'finding' } & Finding)

/** One part of a session, as far as it could be read. */
export interface PartSummary {
  readonly session: string
  readonly part: string
  readonly segments: number
  readonly entries: number
  readonly bytes: number
  /** Chain hash of the last entry, and SHA-256 of the last segment; hexadecimal. */
  readonly head: string
  readonly last: string
  readonly isClosed: boolean
}

/** What is to be read. Without a key, only what stands in clear is. */
export interface PartOfSession {
  readonly session: string
  readonly part: string
  readonly key: Uint8Array | undefined
}

/** Reads one part of a session, and checks its segments' places and seals, its chain, and the order of its entries. */
export class PartReader {
  readonly #source: ObjectSource
  readonly #of: PartOfSession
  readonly #rules: SessionRules
  /** Goes on behind the last entry that was read. */
  readonly verifier: ChainVerifier | undefined
  #segments = 0
  #entries = 0
  #bytes = 0
  #head = ''
  #last = ''
  #isBroken = false

  constructor(source: ObjectSource, of: PartOfSession) {
    this.#source = source
    this.#of = of
    this.#rules = new SessionRules(of.session)
    this.verifier = of.key === undefined ? undefined : new ChainVerifier(of.key)
  }

  /** What was read so far. */
  get summary(): PartSummary {
    return {
      session: this.#of.session,
      part: this.#of.part,
      segments: this.#segments,
      entries: this.#entries,
      bytes: this.#bytes,
      head: this.#head,
      last: this.#last,
      isClosed: this.#rules.isClosed,
    }
  }

  /** Reads these segments, ascending. Those that are missing before and between them are told. */
  async *read(indexes: readonly number[]): AsyncGenerator<PartItem> {
    for await (const items of this.batches(indexes)) yield* items
  }

  /** As `read`, a segment at a time: asking for each item by itself costs more than reading it. */
  async *batches(indexes: readonly number[]): AsyncGenerator<readonly PartItem[]> {
    let next = 0
    for (const index of indexes) {
      // A name costs nothing, so a whole gap is one finding.
      if (index > next) {
        const where = storeKeys.segment(this.#of.session, this.#of.part, next)
        const more = index - next === 1 ? '' : `, and ${index - next - 1} behind it`
        yield [finding(where, `the segment is missing${more}`)]
      }
      yield await this.#segment(index)
      next = index + 1
    }
  }

  async #segment(index: number): Promise<readonly PartItem[]> {
    const where = storeKeys.segment(this.#of.session, this.#of.part, index)
    let file: Uint8Array | undefined
    try {
      file = await this.#source.get(where)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      return [finding(where, error.message)]
    }
    if (file === undefined) return [finding(where, 'the segment is missing')]
    const bytes = Buffer.from(file.buffer, file.byteOffset, file.length)
    const items: PartItem[] = []
    let segment: SealedSegment
    let records: Buffer | undefined
    try {
      segment = parseSegment(bytes)
      const misplaced = this.#misplaced(segment, index)
      if (misplaced !== undefined) items.push(finding(where, misplaced))
      if (this.#of.key !== undefined) records = await openSegment(segment, this.#of.key)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      items.push(finding(where, error.message))
      return items
    } finally {
      this.#last = segmentHash(bytes)
    }
    this.#segments += 1
    this.#bytes += bytes.length
    const { header } = segment
    const end = header.first + header.count
    if (records === undefined) this.#entries = end
    else {
      for (const item of this.#records(where, records)) items.push(item)
      if (this.#head !== header.head)
        items.push(finding(where, 'the header names another last hash'))
      if (this.#entries !== end)
        items.push(finding(where, 'the header names another number of entries'))
    }
    this.#head = header.head
    return items
  }

  *#records(where: string, records: Buffer): Generator<PartItem> {
    let last: Uint8Array | undefined
    try {
      for (let at = 0; at < records.length;) {
        const found = decodeEntry(records, at)
        if (found.kind !== 'record') {
          const what = found.kind === 'bad' ? found.reason : 'an entry is cut short'
          return yield finding(where, what, at)
        }
        const { entry, position, timeMs } = found
        const verified = this.verifier?.accept(found) ?? false
        // After the first break nothing is accepted any more, which needs to be said once.
        if (!verified && !this.#isBroken)
          yield finding(where, `the chain is broken at entry ${position}`, at)
        const wrong = this.#rules.next(entry)
        if (wrong !== undefined && !this.#isBroken) yield finding(where, wrong, at)
        this.#isBroken ||= !verified
        this.#entries = position + 1
        last = found.hash
        yield { kind: 'entry', position, timeMs, verified, entry }
        at = found.next
      }
    } finally {
      if (last !== undefined) this.#head = Buffer.from(last).toString('hex')
    }
  }

  #misplaced({ header }: SealedSegment, index: number): string | undefined {
    const { session, part } = this.#of
    if (header.session !== session || header.part !== part)
      return 'the segment belongs to another session'
    if (header.index !== index) return `the segment is number ${header.index}, not ${index}`
    if (header.previous !== this.#last) return 'the segment follows another one than the one here'
    if (header.first === this.#entries) return undefined
    return `entries ${this.#entries} to ${header.first - 1} are missing`
  }
}

function finding(where: string, what: string, offset?: number): PartItem {
  return { kind: 'finding', where, what, ...(offset === undefined ? {} : { offset }) }
}
