import { Buffer } from 'node:buffer'
import { recordBytes, SEGMENT_BYTES_MAX, type DecodedRecord } from '@sallyport/core'

/** Entries that will be one segment. */
export interface PendingSegment {
  readonly first: number
  count: number
  readonly fromMs: number
  toMs: number
  readonly records: Buffer[]
  bytes: number
  /** Chain hash of the last entry, hexadecimal. */
  head: string
}

/** How far a part is in the recording store, as the database keeps it. */
export interface Shipped {
  /** Position of the first entry that is not there. */
  readonly position: number
  readonly segments: number
  readonly bytes: number
  readonly head: string
  readonly previous: string
}

/** Numbers of anchors, both ends included. */
export interface AnchorRange {
  readonly first: number
  readonly last: number
}

export const nothingShipped: Shipped = {
  position: 0,
  segments: 0,
  bytes: 0,
  head: '',
  previous: '',
}

/** What identifies a part: one session in one run of one worker. */
export interface PartId {
  readonly session: string
  readonly worker: number
  readonly run: number
  readonly reference: number
}

export function partName({ worker, run, reference }: Omit<PartId, 'session'>): string {
  return `${worker}-${run}-${reference}`
}

/** What one worker's journal holds of one session: entries that wait to be shipped, and how far it is. */
export class RecordedPart {
  readonly id: PartId
  readonly name: string
  /** The session's key, or undefined where it does not open with this recording key. */
  readonly key: Buffer | undefined
  readonly wrappedKey: Uint8Array
  readonly problems: string[]
  /** The file that holds its first entry, and the one that holds its newest. */
  readonly openedIn: string
  newestIn: string
  /** How many entries its chain has, and the hash of the last one, hexadecimal. */
  entries = 0
  head = ''
  isClosed = false
  isSealed = false
  /** The store was asked whether it has more than the database knows. */
  isCompared = false
  /** Numbers of the first and the newest anchor that name it. */
  anchors: AnchorRange | undefined
  shipped: Shipped
  readonly #pending: PendingSegment[] = []
  #next: number

  constructor(
    id: PartId,
    of: {
      readonly key: Buffer | undefined
      readonly wrappedKey: Uint8Array
      readonly file: string
      readonly shipped: Shipped
      readonly problems: readonly string[]
      readonly anchors: AnchorRange | undefined
    },
  ) {
    this.id = id
    this.name = partName(id)
    this.key = of.key
    this.wrappedKey = of.wrappedKey
    this.openedIn = of.file
    this.newestIn = of.file
    this.shipped = of.shipped
    this.problems = [...of.problems]
    this.anchors = of.anchors
    this.#next = of.shipped.position
  }

  get pendingBytes(): number {
    return this.#pending.reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /** The oldest entries that wait. */
  get pending(): PendingSegment | undefined {
    return this.#pending[0]
  }

  /** True where the pending segment can't grow any more. */
  get hasWholeSegment(): boolean {
    return this.#pending.length > 1
  }

  /** Keeps a copy of an entry, unless it is in the store. */
  take(record: DecodedRecord, file: string): void {
    this.newestIn = file
    this.entries = record.position + 1
    this.head = Buffer.from(record.hash).toString('hex')
    if (record.entry.kind === 'session.closed') this.isClosed = true
    if (this.key === undefined || record.position < this.#next) return
    if (record.position > this.#next)
      this.problems.push(`entries ${this.#next} to ${record.position - 1} are missing`)
    const bytes = Buffer.from(recordBytes(record))
    const segment = this.#segmentFor(record, bytes.length)
    segment.records.push(bytes)
    segment.count += 1
    segment.bytes += bytes.length
    segment.toMs = record.timeMs
    segment.head = this.head
    this.#next = record.position + 1
  }

  /** An anchor names where it is now. */
  anchoredBy(number: number): void {
    this.anchors = { first: this.anchors?.first ?? number, last: number }
  }

  /** What is in the store by now need not be shipped, and is not missing. */
  goOnFrom(shipped: Shipped): void {
    this.isCompared = true
    if (shipped.position === this.shipped.position) return
    this.shipped = shipped
    if (shipped.position > this.entries) {
      this.entries = shipped.position
      this.head = shipped.head
    }
    this.#next = Math.max(this.#next, shipped.position)
    const waiting = this.#pending.splice(0).map((segment) => behind(segment, shipped.position))
    this.#pending.push(...waiting.filter(({ count }) => count > 0))
    const missing = this.problems.splice(0).filter((problem) => {
      const [, last] = /^entries \d+ to (\d+) are missing$/u.exec(problem) ?? []
      return last === undefined || Number(last) >= shipped.position
    })
    this.problems.push(...missing)
  }

  /** The oldest pending segment is in the store. */
  shippedOne(shipped: Shipped): void {
    this.#pending.shift()
    this.shipped = shipped
  }

  #segmentFor(record: DecodedRecord, bytes: number): PendingSegment {
    const last = this.#pending.at(-1)
    const goesOn = last !== undefined && last.first + last.count === record.position
    if (goesOn && last.bytes + bytes <= SEGMENT_BYTES_MAX) return last
    const segment: PendingSegment = {
      first: record.position,
      count: 0,
      fromMs: record.timeMs,
      toMs: record.timeMs,
      records: [],
      bytes: 0,
      head: '',
    }
    this.#pending.push(segment)
    return segment
  }
}

/** The entries of a segment from this position on. */
function behind(segment: PendingSegment, position: number): PendingSegment {
  const known = Math.min(Math.max(position - segment.first, 0), segment.count)
  if (known === 0) return segment
  const records = segment.records.slice(known)
  const bytes = records.reduce((sum, { length }) => sum + length, 0)
  return { ...segment, first: segment.first + known, count: segment.count - known, records, bytes }
}
