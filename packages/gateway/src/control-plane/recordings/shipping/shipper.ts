import { Buffer } from 'node:buffer'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { SallyportError, storeKeys, unwrapSessionKey, type DecodedRecord } from '@sallyport/core'
import type { KeyRing, RingChange } from '../../keys/key-ring.ts'
import type { RecordingStore } from '../../ports/recording-store.ts'
import { Anchors, type AnchorMemory } from './anchors.ts'
import type { RecordObserver } from '../index/search-index.ts'
import { inParallel } from './in-parallel.ts'
import { JournalFollower, type FollowedFile } from './journal-follower.ts'
import { HeldParts } from './held-parts.ts'
import { nothingShipped, partName, RecordedPart } from './recorded-part.ts'
import type { KnownPart, ShippedParts } from './shipped-parts.ts'
import { SignedObjects } from './signed-objects.ts'
import { Rest } from './rest.ts'
import { shippedInStore } from './store-ahead.ts'
import { sealOf, storeSegment } from './store-segment.ts'
import type { ShippingStatus } from '../../contract/operations.ts'

/** What the shipper needs. */
export interface ShipperOptions {
  readonly journalDir: string
  readonly recordingKey: Uint8Array
  readonly parts: Pick<ShippedParts, 'ofRuns' | 'save'>
  readonly anchors: AnchorMemory
  readonly recordings: RecordingStore
  readonly signingKeys: KeyRing
  /** Told of every record; no journal is removed before it has kept them. */
  readonly index?: RecordObserver
  /** Milliseconds since the epoch. */
  readonly now: () => number
  /** Called when shipping begins to fail, and for each recording that can't be shipped whole. */
  readonly onFault: (error: unknown) => void
}

/** Between two looks at the journals. */
const lookEveryMs = 1000
/** A store that failed is asked again after this long. */
const retryMs = 5000
/** Entries of an open session are in the store after this long, if not before. */
const shipAfterMs = 60_000
/** More is not read before some of it is shipped: the journals hold the rest. */
const pendingBytesMax = 64 * 1024 * 1024
const putsAtOnce = 4
const stopMsMax = 3000

/** Brings what workers record into the recording store: reads their journals, seals segments, and removes files that are wholly there. */
export class Shipper {
  readonly #options: ShipperOptions
  readonly #follower: JournalFollower
  readonly #objects: SignedObjects
  readonly #anchors: Anchors
  readonly #parts = new Map<string, RecordedPart>()
  /** Parts that are whole and sealed; their entries may still stand in a file. */
  readonly #sealed = new Set<string>()
  readonly #strangers = new Set<string>()
  readonly #held = new HeldParts()
  readonly #reported = new Set<string>()
  /** By the names of parts: what was shipped of them before. */
  #known = new Map<string, readonly KnownPart[]>()
  #unsaved = new Set<RecordedPart>()
  readonly #failed = new Set<RecordedPart>()
  /** Sessions that are to be shipped at once. */
  readonly #wanted = new Set<string>()
  readonly #rest = new Rest()
  #pendingBytes = 0
  #readers = 0
  #timer: NodeJS.Timeout | undefined
  #round: Promise<void> | undefined
  #last: Promise<void> | undefined
  #isStopped = false
  #endsAtMs = Infinity
  #problem: string | undefined

  constructor(options: ShipperOptions) {
    this.#options = options
    this.#follower = new JournalFollower(options.journalDir)
    this.#objects = new SignedObjects(options.recordings, options.signingKeys)
    const { anchors: memory, now } = options
    this.#anchors = new Anchors({ memory, objects: this.#objects, node: hostname(), now })
  }

  /** Learns what was shipped before. */
  async open(): Promise<void> {
    const runs = await this.#follower.runs()
    this.#known = Map.groupBy(await this.#options.parts.ofRuns(runs), ({ part }) => part)
    await this.#anchors.open()
    await this.#options.index?.open(runs)
  }

  start(): void {
    this.#later(0)
  }

  /** Ships what is there, as much as a short time allows; the journals keep the rest. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#endsAtMs = performance.now() + stopMsMax
    clearTimeout(this.#timer)
    // A store that does not answer holds up no end.
    const last = setTimeout(() => this.#options.recordings.close(), stopMsMax)
    await this.#round
    await this.round()
    clearTimeout(last)
  }

  status(): ShippingStatus {
    let pendingSinceMs = Infinity
    for (const { pending } of this.#parts.values())
      pendingSinceMs = Math.min(pendingSinceMs, pending?.fromMs ?? Infinity)
    return {
      where: this.#options.recordings.where,
      parts: this.#parts.size,
      pendingBytes: this.#pendingBytes,
      journalFiles: this.#follower.files.length,
      anchoredAtMs: this.#anchors.anchoredAtMs,
      problems: this.#reported.size,
      ...(pendingSinceMs === Infinity ? {} : { pendingSinceMs }),
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    }
  }

  /** How far journals were read, and the parts that were open there with their sessions: from here another may read on. */
  standing(): {
    readonly files: readonly FollowedFile[]
    readonly open: ReadonlyMap<string, string>
  } {
    const open = [...this.#parts].filter(([, part]) => !part.isClosed)
    const sessions = open.map(([name, part]) => [name, part.id.session] as const)
    return { files: this.#follower.files.map((file) => ({ ...file })), open: new Map(sessions) }
  }

  /** The number of the newest anchor that is in the store; undefined until that is known. */
  get newestAnchor(): number | undefined {
    return this.#anchors.newestStored
  }

  /** No journal file is removed before this is disposed of. */
  readonly hold = (): Disposable => {
    this.#readers += 1
    let isHeld = true
    return {
      [Symbol.dispose]: () => {
        if (isHeld) this.#readers -= 1
        isHeld = false
      },
    }
  }

  #later(ms: number): void {
    if (this.#isStopped) return
    this.#timer = setTimeout(() => {
      this.#round = this.round().finally(() => {
        this.#round = undefined
        this.#later(this.#problem === undefined ? lookEveryMs : retryMs)
      })
    }, ms)
    this.#timer.unref()
  }

  /** Parts of which a journal has entries, as far as the journals were read. */
  inJournals(): ReadonlySet<string> {
    return this.#held.all()
  }

  /** Ships and anchors all that is recorded of these sessions now. Rejects where it can't be. */
  async settle(sessions: readonly string[]): Promise<void> {
    for (const session of sessions) this.#wanted.add(session)
    try {
      await this.round()
    } finally {
      for (const session of sessions) this.#wanted.delete(session)
    }
    if (this.#problem === undefined) return
    const detail = `recordings are not shipped: ${this.#problem}`
    throw new SallyportError('SP_RECORD_UNAVAILABLE', detail, { detail })
  }

  /** One look at the journals, which never rejects: what fails is told, and tried again at the next. Rounds follow each other. */
  async round(): Promise<void> {
    const next = (this.#last ?? Promise.resolve()).then(async () => await this.#look())
    this.#last = next
    await next
  }

  /** Signs with a new key from the next anchor on. Rejects, and changes nothing, where the store has to be asked and is away. */
  async rotateKey(announce: RingChange['announce']): Promise<void> {
    const rotated = (this.#last ?? Promise.resolve()).then(async () => {
      const anchor = await this.#anchors.nextNumber()
      await this.#objects.rotate({ anchor, nowMs: this.#options.now(), announce })
    })
    this.#last = rotated.catch(() => undefined)
    await rotated
  }

  async #look(): Promise<void> {
    try {
      await this.#ship()
      this.#problem = undefined
    } catch (error) {
      const wasFailing = this.#problem !== undefined
      this.#problem = error instanceof Error ? error.message : String(error)
      if (wasFailing) return
      const said = `recordings are not shipped: ${this.#problem}`
      this.#options.onFault(new SallyportError('SP_RECORD_UNAVAILABLE', said, { cause: error }))
    }
  }

  async #ship(): Promise<void> {
    let isAll = false
    const failures: unknown[] = []
    while (!isAll && this.#hasTime() && failures.length === 0) {
      const begunMs = performance.now()
      isAll = true
      await this.#follower.read(this.#take, () => {
        const hasRoom = this.#options.index?.hasRoom ?? true
        isAll = this.#pendingBytes < pendingBytesMax && hasRoom && this.#hasTime()
        return isAll
      })
      this.#reportFiles()
      failures.push(...(await this.#compare()))
      // Where there was too much to read at once, the largest make room.
      const due = isAll ? this.#due() : this.#largest()
      failures.push(...(await this.#each(due, async (part) => await this.#shipPart(part))))
      await this.#save()
      await this.#anchor()
      failures.push(...(await this.#seal()))
      await this.#options.index?.flush()
      // Under load it may take long until all is read: what goes on is told as going on, and makes room.
      if (failures.length === 0) this.#problem = undefined
      await this.#removeFiles()
      if (!isAll && !this.#isStopped && this.#wanted.size === 0)
        await sleep(this.#rest.afterWork(performance.now() - begunMs, this.#filesWaiting()))
    }
    if (failures.length > 0) throw failures[0]
  }

  #filesWaiting(): number {
    return this.#follower.files.filter(({ isFinal, isRead }) => isFinal && !isRead).length
  }

  #hasTime(): boolean {
    return performance.now() < this.#endsAtMs
  }

  readonly #take = (record: DecodedRecord, file: FollowedFile): void => {
    const of = { worker: file.worker, run: file.run ?? 0, reference: record.session }
    this.#options.index?.take(record, of)
    const name = partName(of)
    this.#held.note(file, name, record.position)
    if (this.#sealed.has(name)) return
    const part = this.#parts.get(name) ?? this.#open(name, of, record, file)
    if (part === undefined) return
    const before = part.pendingBytes
    const problems = part.problems.length
    part.take(record, file.name)
    this.#anchors.note(part)
    this.#pendingBytes += part.pendingBytes - before
    for (const problem of part.problems.slice(problems)) this.#report(part, problem)
  }

  #open(
    name: string,
    of: { readonly worker: number; readonly run: number; readonly reference: number },
    record: DecodedRecord,
    file: FollowedFile,
  ): RecordedPart | undefined {
    const all = this.#known.get(name) ?? []
    const { entry } = record
    const session = entry.kind === 'session.opened' ? entry.session : undefined
    // Of a session that is whole in the store, the file with its opening may be gone already.
    const known = all.find((each) =>
      session === undefined ? each.isSealed : each.session === session,
    )
    if (known?.isSealed === true) {
      this.#sealed.add(name)
      return undefined
    }
    if (entry.kind !== 'session.opened') {
      if (!this.#strangers.has(name))
        this.#fault(`${file.name} holds entries of a session whose opening is not there`)
      this.#strangers.add(name)
      return undefined
    }
    const key = unwrapSessionKey(this.#options.recordingKey, entry.wrappedKey, entry.session)
    const part = new RecordedPart(
      { session: entry.session, ...of },
      {
        key,
        wrappedKey: Buffer.from(entry.wrappedKey),
        file: file.name,
        shipped: known?.shipped ?? nothingShipped,
        problems: known?.problems ?? [],
        anchors: known?.anchors,
      },
    )
    if (key === undefined) this.#report(part, 'its key does not open with this recording key')
    this.#parts.set(name, part)
    return part
  }

  /** Parts with entries that should be in the store by now. */
  #due(): RecordedPart[] {
    const leaving = new Set<RecordedPart>()
    for (const file of this.#follower.files) {
      if (!file.isRead) continue
      for (const [name, last] of this.#held.in(file)) {
        const part = this.#parts.get(name)
        if (part?.pending !== undefined && part.pending.first <= last) leaving.add(part)
      }
    }
    const now = this.#options.now()
    return [...this.#parts.values()].filter((part) => {
      if (part.pending === undefined) return false
      if (part.isClosed || part.hasWholeSegment || this.#isStopped) return true
      if (this.#wanted.has(part.id.session)) return true
      return leaving.has(part) || now - part.pending.fromMs >= shipAfterMs
    })
  }

  #largest(): RecordedPart[] {
    const bySize = [...this.#parts.values()].toSorted((a, b) => b.pendingBytes - a.pendingBytes)
    let bytes = 0
    return bySize.filter((part) => {
      if (bytes > pendingBytesMax / 2 || part.pending === undefined) return false
      bytes += part.pendingBytes
      return true
    })
  }

  /** A part goes on from what is in the store, whatever the database knows of that. */
  async #compare(): Promise<readonly unknown[]> {
    const unknown = [...this.#parts.values()].filter(
      ({ key, isCompared }) => key !== undefined && !isCompared,
    )
    return await this.#each(unknown, async (part) => {
      const { pendingBytes } = part
      part.goOnFrom(await shippedInStore(this.#options.recordings, part))
      this.#pendingBytes += part.pendingBytes - pendingBytes
    })
  }

  async #shipPart(part: RecordedPart): Promise<void> {
    for (let segment = part.pending; segment !== undefined; segment = part.pending) {
      if (!this.#hasTime()) return
      await storeSegment(this.#options.recordings, part, segment)
      this.#pendingBytes -= segment.bytes
      this.#unsaved.add(part)
      this.#anchors.note(part)
    }
  }

  async #save(): Promise<void> {
    if (this.#unsaved.size === 0) return
    const parts = [...this.#unsaved]
    await this.#options.parts.save(parts)
    for (const part of parts) this.#unsaved.delete(part)
  }

  async #anchor(): Promise<void> {
    const isWanted = this.#anchors.isDue || this.#isStopped || this.#wanted.size > 0
    if (!isWanted) return
    for (const part of await this.#anchors.publish()) this.#unsaved.add(part)
    await this.#save()
  }

  /** Says, signed, what each session that ended consists of. */
  async #seal(): Promise<readonly unknown[]> {
    const whole = [...this.#parts.values()].filter(
      (part) => part.isClosed && part.key !== undefined && part.pending === undefined,
    )
    const failures = await this.#each(whole, async (part) => {
      const seal = await this.#objects.sign(sealOf(part, this.#options.now()))
      await this.#objects.put(storeKeys.seal(part.id.session), seal)
      part.isSealed = true
      this.#unsaved.add(part)
    })
    await this.#save()
    for (const part of whole.filter(({ isSealed }) => isSealed)) {
      this.#parts.delete(part.name)
      this.#sealed.add(part.name)
    }
    return failures
  }

  /** What failed before comes last, so that it keeps nothing else from being done. Returns what failed now. */
  async #each(
    parts: readonly RecordedPart[],
    work: (part: RecordedPart) => Promise<void>,
  ): Promise<readonly unknown[]> {
    const hasFailed = (part: RecordedPart): number => (this.#failed.has(part) ? 1 : 0)
    const inOrder = parts.toSorted((a, b) => hasFailed(a) - hasFailed(b))
    return await inParallel(inOrder, putsAtOnce, async (part) => {
      this.#failed.add(part)
      await work(part)
      this.#failed.delete(part)
    })
  }

  async #removeFiles(): Promise<void> {
    this.#unseal(this.#held.keepOnly(this.#follower.files))
    for (const file of this.#follower.files) {
      if (this.#readers > 0) return
      if (!file.isRead || file.isDamaged || file.problem !== undefined) continue
      const held = [...this.#held.in(file)]
      if (!held.every(([name, last]) => this.#isDone(name, last, file.name))) continue
      if (await this.#follower.remove(file)) this.#unseal(this.#held.forget(file))
    }
  }

  /** Parts that no file has entries of need not be known as sealed. */
  #unseal(parts: readonly string[]): void {
    for (const name of parts) this.#sealed.delete(name)
  }

  /** A recovery needs the first and the newest entry of a session that is open, to end it. */
  #isDone(name: string, last: number, file: string): boolean {
    if (this.#sealed.has(name)) return true
    const part = this.#parts.get(name)
    if (part === undefined || part.openedIn === file || part.newestIn === file) return false
    return part.shipped.position > last && !this.#unsaved.has(part)
  }

  #reportFiles(): void {
    for (const { name, problem } of this.#follower.files) {
      if (problem !== undefined) this.#fault(`${name}: ${problem}; it is kept`)
    }
  }

  #report(part: RecordedPart, problem: string): void {
    this.#fault(`the recording of ${part.id.session}: ${problem}`)
  }

  /** Each once: what stays wrong must not fill a log. */
  #fault(message: string): void {
    if (this.#reported.has(message)) return
    this.#reported.add(message)
    this.#options.onFault(new SallyportError('SP_RECORD_UNAVAILABLE', message))
  }
}
