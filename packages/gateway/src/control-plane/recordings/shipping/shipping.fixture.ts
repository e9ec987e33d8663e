import { Buffer } from 'node:buffer'
import { appendFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  ByteWriter,
  encodeEntry,
  encodeFileHeader,
  EntryChain,
  journalFileName,
  recoveredListName,
  verifyRecordings,
  wrapSessionKey,
  type Entry,
  type SessionId,
  type Verification,
} from '@sallyport/core'
import { DirectoryRecordingStore } from '../../adapters/directory-recording-store.ts'
import { KeyRing } from '../../keys/key-ring.ts'
import type { RecordingStore } from '../../ports/recording-store.ts'
import type { Store } from '../../ports/store.ts'
import { readRecordings, sessionKeyOf, type RecordingSources } from '../recordings.ts'
import type { LastAnchor } from './anchors.ts'
import { ShippedParts } from './shipped-parts.ts'
import type { RecordObserver } from '../index/search-index.ts'
import { Shipper } from './shipper.ts'

export const recordingKey = Buffer.alloc(32, 4)

/** Writes a worker's journal as the data plane does, entry by entry, where a test says. */
export class JournalWriter {
  readonly #dir: string
  readonly #worker: number
  readonly #sessions = new Map<
    string,
    { reference: number; chain: EntryChain; entries: string[] }
  >()
  #sequence = 0
  #run = 0
  #references = 0
  #timeMs = 1000

  constructor(dir: string, worker = 0) {
    this.#dir = dir
    this.#worker = worker
  }

  get file(): string {
    return journalFileName(this.#worker, this.#sequence)
  }

  /** What was written of each session, as text. */
  written(): Map<string, string[]> {
    return new Map([...this.#sessions].map(([id, { entries }]) => [id, entries]))
  }

  async newRun(run = this.#sequence + 1): Promise<void> {
    this.#run = run
    await this.rotate()
  }

  async rotate(): Promise<void> {
    this.#sequence += 1
    const header = encodeFileHeader({ node: 'n', worker: this.#worker, run: this.#run })
    await writeFile(join(this.#dir, this.file), header)
  }

  async open(session: string): Promise<void> {
    const key = Buffer.alloc(32, session)
    this.#references += 1
    const chain = new EntryChain(key)
    this.#sessions.set(session, { reference: this.#references, chain, entries: [] })
    await this.add(session, {
      kind: 'session.opened',
      session: session as SessionId,
      worker: this.#worker,
      connection: 'shop',
      database: 'main',
      credential: 'cr_1',
      chain: [{ id: 'a_1', name: 'dana' }],
      level: 2,
      application: 'psql',
      source: '127.0.0.1',
      tls: true,
      wrappedKey: wrapSessionKey(recordingKey, key, session),
    })
  }

  async note(session: string, text: string): Promise<void> {
    await this.add(session, { kind: 'notice', text })
  }

  async close(session: string): Promise<void> {
    const counts = { commands: 0, blocked: 0, maskedValues: 0 }
    await this.add(session, { kind: 'session.closed', reason: 'ended', ...counts })
  }

  async add(session: string, entry: Entry): Promise<void> {
    const of = this.#sessions.get(session)
    if (of === undefined) throw new Error(`no session ${session}`)
    const out = new ByteWriter()
    this.#timeMs += 1
    encodeEntry(out, entry, { session: of.reference, timeMs: this.#timeMs }, of.chain)
    of.entries.push(textOf(entry))
    await appendFile(join(this.#dir, this.file), out.view())
  }

  /** As a recovery does: says that these files need no further look. */
  async recovered(files: readonly string[]): Promise<void> {
    const list = JSON.stringify(files.map((file) => [file, 0]))
    await writeFile(join(this.#dir, recoveredListName(this.#worker)), list)
  }
}

/** A gateway's journals, recording store and shipper, without the gateway. */
export class ShippingRig implements AsyncDisposable {
  readonly dir: string
  readonly journalDir: string
  readonly recordings: DirectoryRecordingStore
  readonly faults: string[] = []
  nowMs = 1000
  /** Puts that fail until this is empty again: by the beginning of their keys. */
  failingPuts: string | undefined
  failsToSave = false
  /** Called before and after each write, to the store and to the database; what it throws is thrown there. */
  onWrite: (() => void) | undefined
  lastAnchor: LastAnchor | undefined
  /** Told of each entry, as the index is. */
  index: RecordObserver | undefined
  readonly #store: Store
  #shipper: Shipper | undefined

  private constructor(dir: string, store: Store) {
    this.dir = dir
    this.journalDir = join(dir, 'journal')
    this.recordings = new DirectoryRecordingStore(join(dir, 'recordings'))
    this.#store = store
  }

  static async make(store: Store): Promise<ShippingRig> {
    const rig = new ShippingRig(await mkdtemp(join(tmpdir(), 'sallyport-shipping-')), store)
    await mkdir(rig.journalDir)
    await store.db.deleteFrom('recording_part').execute()
    return rig
  }

  get sources(): RecordingSources {
    return { journalDir: this.journalDir, recordingKey, recordings: this.recordings }
  }

  /** The shipper forgets all that is not stored, as a control plane that was killed does. */
  restart(): void {
    this.#shipper = undefined
  }

  async round(): Promise<Shipper> {
    this.#shipper ??= await this.#start()
    await this.#shipper.round()
    return this.#shipper
  }

  /** Every entry that can be read, by session, as text; problems as `!! …`. */
  async read(): Promise<Map<string, string[]>> {
    const read = new Map<string, string[]>()
    for await (const item of readRecordings(this.sources)) {
      const session = item.session ?? 'unknown'
      const text =
        item.kind === 'problem'
          ? `!! ${item.reason}`
          : `${textOf(item.entry)}${item.verified ? '' : ' (not verified)'}`
      read.set(session, [...(read.get(session) ?? []), text])
    }
    return read
  }

  async verify(): Promise<Verification> {
    const { recordings } = this
    const keyOf = async (session: string) => await sessionKeyOf(recordings, recordingKey, session)
    return await verifyRecordings({ source: recordings, keyOf })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.dir, { recursive: true, force: true })
  }

  async #start(): Promise<Shipper> {
    const parts = new ShippedParts(this.#store)
    const shipper = new Shipper({
      journalDir: this.journalDir,
      recordingKey,
      parts: {
        ofRuns: async (runs) => await parts.ofRuns(runs),
        save: async (rows) => {
          if (this.failsToSave) throw new Error('the database is away')
          this.onWrite?.()
          await parts.save(rows)
          this.onWrite?.()
        },
      },
      anchors: {
        load: async () => await Promise.resolve(this.lastAnchor),
        save: async (last) => {
          if (this.failsToSave) throw new Error('the database is away')
          this.onWrite?.()
          this.lastAnchor = await Promise.resolve(last)
          this.onWrite?.()
        },
      },
      recordings: this.#failing(),
      signingKeys: await KeyRing.open(this.dir),
      now: () => this.nowMs,
      ...(this.index === undefined ? {} : { index: this.index }),
      onFault: (error) => this.faults.push(error instanceof Error ? error.message : String(error)),
    })
    await shipper.open()
    return shipper
  }

  #failing(): RecordingStore {
    const { recordings } = this
    return {
      where: recordings.where,
      put: async (key, bytes) => {
        if (this.failingPuts !== undefined && key.startsWith(this.failingPuts))
          throw new Error('the store is away')
        this.onWrite?.()
        await recordings.put(key, bytes)
        this.onWrite?.()
      },
      get: async (key) => await recordings.get(key),
      list: (prefix) => recordings.list(prefix),
      remove: async (key) => await recordings.remove(key),
      close: () => recordings.close(),
    }
  }
}

function textOf(entry: Entry): string {
  return entry.kind === 'notice' ? entry.text : entry.kind
}
