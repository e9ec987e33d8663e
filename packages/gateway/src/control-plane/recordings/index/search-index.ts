import { Buffer } from 'node:buffer'
import { decodeEntry, recordBytes, SallyportError, type DecodedRecord } from '@sallyport/core'
import type { Store } from '../../ports/store.ts'
import { readSetting, writeSetting } from '../../settings.ts'
import { storedEntries, type RecordingSources } from '../recordings.ts'
import { IndexRows, type KnownPosition, type PartChunk } from './index-rows.ts'
import { IndexedPart, keyOf } from './indexed-part.ts'
import { Rebuild } from './rebuild.ts'
import type { SearchStatus } from '../../contract/operations.ts'

/** Where a record of a journal belongs. */
export interface RecordOf {
  readonly worker: number
  readonly run: number
  readonly reference: number
}

/** What the shipper tells of what it reads. It gives each record of a part once and in order, and after a restart again. */
export interface RecordObserver {
  /** Learns what it knew of the parts of these runs. */
  open(runs: readonly { readonly worker: number; readonly run: number }[]): Promise<void>
  /** False while nothing more should be read. */
  readonly hasRoom: boolean
  take(record: DecodedRecord, of: RecordOf): void
  /** Resolves once everything taken is kept: journals may go then. */
  flush(): Promise<void>
}

/** Rows that wait; the shipper reads no more then. They are one transaction, and a revocation waits for its end. */
const pendingBytesMax = 256 * 1024
/** Of one look at the journals, so that shipping goes on beside it. */
const rebuildMsPerRound = 2000
const rebuildSetting = 'search.rebuild'

/** Keeps the index of commands in step with what is recorded: each command once, over restarts, crashes and a database that was away. */
export class SearchIndex implements RecordObserver {
  readonly #store: Store
  readonly #rows: IndexRows
  readonly #sources: () => RecordingSources
  readonly #onFault: (error: unknown) => void
  /** Parts that the journals hold, by `worker-run-reference`. */
  #parts = new Map<string, IndexedPart>()
  #known = new Map<string, KnownPosition>()
  /** By part, copies of the records behind entries whose journal is gone: after a restart those are read from the store first. */
  readonly #behindGap = new Map<string, Buffer[]>()
  /** Chunks of which it is not known whether they were written. */
  #doubtful: readonly PartChunk[] = []
  /** `fresh` forgets everything first. */
  #wanted: 'resume' | 'fresh' | undefined
  #rebuild: Rebuild | undefined
  #problem: string | undefined

  constructor(options: {
    readonly store: Store
    /** Asked for when they are read. */
    readonly sources: () => RecordingSources
    readonly onFault: (error: unknown) => void
  }) {
    this.#store = options.store
    this.#rows = new IndexRows(options.store)
    this.#sources = options.sources
    this.#onFault = options.onFault
  }

  async open(runs: readonly { readonly worker: number; readonly run: number }[]): Promise<void> {
    this.#known = await this.#rows.positions(runs)
    const wanted = await readSetting(this.#store, rebuildSetting)
    if (wanted === 'resume' || wanted === 'fresh') this.#wanted = wanted
  }

  get hasRoom(): boolean {
    const isWaiting = this.#doubtful.length > 0 || this.#behindGap.size > 0
    return !isWaiting && this.#pendingBytes() < pendingBytesMax
  }

  status(): SearchStatus {
    const isRebuilding = this.#wanted !== undefined
    return {
      pendingBytes: this.#pendingBytes(),
      ...(isRebuilding ? { rebuilding: { parts: this.#rebuild?.partsRead ?? 0 } } : {}),
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    }
  }

  /** Makes the index anew from what is recorded, beside all else; `status` tells when it is done. */
  async rebuild(): Promise<void> {
    await writeSetting(this.#store, rebuildSetting, 'fresh')
    this.#wanted = 'fresh'
  }

  take(record: DecodedRecord, of: RecordOf): void {
    // A rebuild reads the journals itself, to their ends.
    if (this.#wanted !== undefined) return
    const part = `${of.worker}-${of.run}-${of.reference}`
    const known = this.#parts.get(part) ?? this.#begin(part, of, record)
    if (known === undefined) return
    const waiting = this.#behindGap.get(part)
    if (waiting !== undefined) waiting.push(Buffer.from(recordBytes(record)))
    else if (known.misses(record.position))
      this.#behindGap.set(part, [Buffer.from(recordBytes(record))])
    else known.take(record)
    if (known.isClosed && known.bytes === 0) this.#parts.delete(part)
  }

  async flush(): Promise<void> {
    try {
      await this.#settle()
      await this.#fillGaps()
      if (this.#wanted === undefined) await this.#write(cutAll(this.#parts))
      else await this.#rebuildSome(this.#wanted)
      await this.#rows.analyze()
      this.#problem = undefined
    } catch (error) {
      this.#problem = error instanceof Error ? error.message : String(error)
      throw error
    }
  }

  #begin(part: string, of: RecordOf, { entry }: DecodedRecord): IndexedPart | undefined {
    if (entry.kind !== 'session.opened') return undefined
    const id = { session: entry.session, part, worker: of.worker, run: of.run }
    const known = this.#known.get(keyOf(id))
    if (known?.aside === true) return undefined
    const begun = new IndexedPart(id, known?.position ?? 0)
    this.#parts.set(part, begun)
    return begun
  }

  #pendingBytes(): number {
    let bytes = 0
    for (const part of this.#parts.values()) bytes += part.bytes
    return bytes
  }

  /** A journal is removed when all of it is in the store, while an answer that began in it may go on in a later one. */
  async #fillGaps(): Promise<void> {
    for (const [name, records] of this.#behindGap) {
      const part = this.#parts.get(name)
      if (part !== undefined) {
        for await (const stored of storedEntries(this.#sources(), part.id.session)) {
          if (stored.session !== part.id.session || stored.part !== name) continue
          for await (const record of stored.entries) part.take(record)
        }
        for (const bytes of records) {
          const record = decodeEntry(bytes, 0)
          if (record.kind === 'record') part.take(record)
        }
      }
      this.#behindGap.delete(name)
    }
  }

  /** A commit whose answer was lost has happened or not: what stands in the table says which. */
  async #settle(): Promise<void> {
    if (this.#doubtful.length === 0) return
    const stored = await this.#rows.positions(this.#doubtful.map(({ id }) => id))
    const missing = this.#doubtful.filter(
      ({ id, chunk }) => (stored.get(keyOf(id))?.position ?? 0) < chunk.to,
    )
    await this.#write(missing)
  }

  async #write(chunks: readonly PartChunk[]): Promise<void> {
    this.#doubtful = chunks
    if (chunks.length > 0) await this.#writeAll(chunks)
    this.#doubtful = []
    for (const [name, part] of this.#parts)
      if (part.isClosed && part.bytes === 0) this.#parts.delete(name)
  }

  async #writeAll(chunks: readonly PartChunk[]): Promise<void> {
    try {
      await this.#rows.write(chunks)
    } catch (error) {
      if (!isOfTheData(error)) throw error
      // One recording that the database does not take must not keep the others from being found.
      for (const each of chunks) await this.#writeOne(each)
    }
  }

  async #writeOne(each: PartChunk): Promise<void> {
    try {
      await this.#rows.write([each])
    } catch (error) {
      if (!isOfTheData(error)) throw error
      const why = error instanceof Error ? error.message : String(error)
      await this.#rows.setAside(each, why)
      this.#known.set(keyOf(each.id), { position: each.chunk.to, aside: true })
      this.#parts.delete(each.id.part)
      this.#rebuild?.setAside(each.id)
      const said = `the recording of ${each.id.session} cannot be searched: ${why}`
      this.#onFault(new SallyportError('SP_RECORD_UNAVAILABLE', said, { cause: error }))
    }
  }

  async #rebuildSome(wanted: 'resume' | 'fresh'): Promise<void> {
    if (wanted === 'fresh') {
      this.#rebuild?.[Symbol.dispose]()
      this.#rebuild = undefined
      await this.#rows.clear()
      await writeSetting(this.#store, rebuildSetting, 'resume')
      this.#wanted = 'resume'
    }
    this.#rebuild ??= new Rebuild(this.#sources(), await this.#rows.positions())
    const rebuild = this.#rebuild
    const isDone = await rebuild.step(rebuildMsPerRound, pendingBytesMax)
    await this.#write(rebuild.cut())
    if (!isDone || this.#wanted !== 'resume') return
    await this.#store.db.deleteFrom('setting').where('name', '=', rebuildSetting).execute()
    this.#known = new Map()
    this.#parts = rebuild.open()
    rebuild[Symbol.dispose]()
    this.#rebuild = undefined
    this.#wanted = undefined
  }
}

function cutAll(parts: ReadonlyMap<string, IndexedPart>): PartChunk[] {
  return [...parts.values()].flatMap((part) => {
    const chunk = part.cut()
    return chunk === undefined ? [] : [{ id: part.id, chunk }]
  })
}

/** Data exceptions, violated constraints and limits: the same rows would fail again. */
function isOfTheData(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return error instanceof RangeError || /^(?:22|23|54)[0-9A-Z]{3}$/u.test(code)
}
