import type { Buffer } from 'node:buffer'
import {
  ChainVerifier,
  decodeEntry,
  openSegment,
  parseSegment,
  segmentHash,
  unwrapSessionKey,
  type SealedSegment,
  type SessionId,
} from '@sallyport/core'
import type { RecordingStore } from '../ports/recording-store.ts'
import type { RecordedEntry, RecordingProblem } from './journal-reader.ts'
import { storeKeys } from './store-keys.ts'

/** The session's key, or undefined where it was erased or does not open. */
export async function sessionKeyOf(
  recordings: RecordingStore,
  recordingKey: Uint8Array,
  session: string,
): Promise<Buffer | undefined> {
  const wrapped = await recordings.get(storeKeys.sessionKey(session))
  return wrapped === undefined ? undefined : unwrapSessionKey(recordingKey, wrapped, session)
}

/** One part of a session as it stands in the recording store, read segment by segment. */
export class SegmentReader {
  readonly #recordings: RecordingStore
  readonly #session: SessionId
  readonly #part: string
  readonly #key: Buffer
  readonly verifier: ChainVerifier
  /** Position of the first entry that was not read. */
  next = 0
  #previous = ''
  #isBroken = false

  constructor(recordings: RecordingStore, session: SessionId, part: string, key: Buffer) {
    this.#recordings = recordings
    this.#session = session
    this.#part = part
    this.#key = key
    this.verifier = new ChainVerifier(key)
  }

  /** All entries of the first `segments` segments, checked one by one, and what is wrong. */
  async *read(segments: number): AsyncGenerator<RecordedEntry | RecordingProblem> {
    for (let index = 0; index < segments; index += 1) yield* this.#segment(index)
  }

  async *#segment(index: number): AsyncGenerator<RecordedEntry | RecordingProblem> {
    const file = storeKeys.segment(this.#session, this.#part, index)
    const problem = (reason: string, offset = 0): RecordingProblem => {
      this.#isBroken = true
      return { kind: 'problem', file, offset, session: this.#session, reason }
    }
    const bytes = await this.#recordings.get(file)
    if (bytes === undefined) return yield problem('the segment is missing')
    let records: Buffer
    try {
      const segment = parseSegment(bytes)
      const misplaced = this.#misplaced(segment, index)
      if (misplaced !== undefined) yield problem(misplaced)
      records = await openSegment(segment, this.#key)
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
      return yield problem(error.message)
    } finally {
      this.#previous = segmentHash(bytes)
    }
    for (let at = 0; at < records.length;) {
      const found = decodeEntry(records, at)
      if (found.kind !== 'record')
        return yield problem(found.kind === 'bad' ? found.reason : 'an entry is cut short', at)
      const { entry, position, timeMs } = found
      const verified = this.verifier.accept(found)
      if (!verified && !this.#isBroken) yield problem('the chain of the session is broken here', at)
      yield { kind: 'entry', session: this.#session, position, timeMs, verified, entry }
      this.next = position + 1
      at = found.next
    }
  }

  #misplaced({ header }: SealedSegment, index: number): string | undefined {
    if (header.session !== this.#session || header.part !== this.#part)
      return 'the segment belongs to another session'
    if (header.index !== index) return `the segment is number ${header.index}, not ${index}`
    if (header.previous !== this.#previous)
      return 'the segment follows another one than the one here'
    return undefined
  }
}
