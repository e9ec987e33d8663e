import assert from 'node:assert/strict'
import { Buffer } from 'node:buffer'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { sql } from 'kysely'
import { DirectoryRecordingStore } from '../../adapters/directory-recording-store.ts'
import { inBothStores } from '../../adapters/both-stores.fixture.ts'
import { KeyRing } from '../../keys/key-ring.ts'
import type { Store } from '../../ports/store.ts'
import type { LastAnchor } from '../shipping/anchors.ts'
import { ShippedParts } from '../shipping/shipped-parts.ts'
import { Shipper } from '../shipping/shipper.ts'
import { JournalWriter, recordingKey } from '../shipping/shipping.fixture.ts'
import { SearchIndex } from './search-index.ts'
import { commandEntry, describedRows, endEntry } from './search.fixture.ts'

/** Journals, a recording store and an index over a database that may fail. */
class IndexRig implements AsyncDisposable {
  readonly dir: string
  readonly faults: string[] = []
  nowMs = 1000
  /** What becomes of the next changes of the database. */
  failing: 'before' | 'after' | undefined
  readonly #store: Store
  readonly #recordings: DirectoryRecordingStore
  #lastAnchor: LastAnchor | undefined
  #shipper: Shipper | undefined
  #index: SearchIndex | undefined

  private constructor(dir: string, store: Store) {
    this.dir = dir
    this.#store = store
    this.#recordings = new DirectoryRecordingStore(join(dir, 'recordings'))
  }

  static async make(store: Store): Promise<IndexRig> {
    const rig = new IndexRig(await mkdtemp(join(tmpdir(), 'sallyport-index-')), store)
    await mkdir(rig.journalDir)
    await sql`truncate recording_part, session`.execute(store.db)
    await rig.reindex()
    return rig
  }

  get journalDir(): string {
    return join(this.dir, 'journal')
  }

  restart(): void {
    this.#shipper = undefined
  }

  async reindex(): Promise<void> {
    await (await this.#started()).index.rebuild()
  }

  async round(): Promise<void> {
    await (await this.#started()).shipper.round()
  }

  status(): ReturnType<SearchIndex['status']> | undefined {
    return this.#index?.status()
  }

  /** What the index says was run, in order. */
  async found(): Promise<object[]> {
    const rows = await this.#store.db
      .selectFrom('command')
      .select(['session_id', 'seq', 'text', 'status', 'rows', 'columns', 'masks', 'mask_values'])
      .orderBy('session_id')
      .orderBy('seq')
      .execute()
    return rows.map(({ rows: count, mask_values, ...row }) => ({
      ...row,
      rows: Number(count),
      mask_values: mask_values.map(Number),
    }))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.dir, { recursive: true, force: true })
  }

  async #started(): Promise<{ shipper: Shipper; index: SearchIndex }> {
    if (this.#shipper === undefined || this.#index === undefined) {
      const store = this.#failingStore()
      const { journalDir } = this
      const recordings = this.#recordings
      const onFault = (error: unknown): void => {
        this.faults.push(error instanceof Error ? error.message : String(error))
      }
      const hold = (): Disposable => shipper.hold()
      const sources = { journalDir, recordingKey, recordings, hold }
      const index = new SearchIndex({ store, sources: () => sources, onFault })
      const shipper: Shipper = new Shipper({
        journalDir,
        recordingKey,
        parts: new ShippedParts(this.#store),
        anchors: {
          load: async () => await Promise.resolve(this.#lastAnchor),
          save: async (last) => {
            this.#lastAnchor = await Promise.resolve(last)
          },
        },
        recordings,
        signingKeys: await KeyRing.open(this.dir),
        index,
        now: () => this.nowMs,
        onFault,
      })
      await shipper.open()
      this.#shipper = shipper
      this.#index = index
    }
    return { shipper: this.#shipper, index: this.#index }
  }

  #failingStore(): Store {
    const store = this.#store
    return {
      ...store,
      durable: async (change) => {
        if (this.failing === 'before') throw new Error('the database is away')
        const value = await store.durable(change)
        if (this.failing === 'after') throw new Error('the answer to the commit was lost')
        return value
      },
    }
  }
}

const steps = fc.array(
  fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom('command', 'end', 'masked', 'close', 'rotate') },
    { weight: 5, arbitrary: fc.constantFrom('round', 'restart', 'late', 'away', 'lost') },
    { weight: 1, arbitrary: fc.constantFrom('before', 'after', 'works', 'reindex') },
  ),
  { maxLength: 60, size: 'max' },
)

/** What a row of the index should be. */
interface Expected {
  session_id: string
  seq: number
  text: string
  status: string | null
  rows: number
  columns: string[]
  masks: string[]
  mask_values: number[]
}

/** Writes what the steps say, and keeps what should be found of it. */
class Story {
  readonly expected: Expected[] = []
  readonly #writer: JournalWriter
  #sessions = 0
  #isOpen = false
  #seq = 0

  constructor(writer: JournalWriter) {
    this.#writer = writer
  }

  get #session(): string {
    return `s_${String(this.#sessions).padStart(3, '0')}`
  }

  async command(): Promise<void> {
    if (!this.#isOpen) {
      this.#sessions += 1
      this.#isOpen = true
      this.#seq = 0
      await this.#writer.open(this.#session)
    }
    this.#seq += 1
    const text = `select ${this.#seq} from orders`
    await this.#writer.add(this.#session, commandEntry(this.#seq, text))
    const none = { status: null, rows: 0, columns: [], masks: [], mask_values: [] }
    this.expected.push({ session_id: this.#session, seq: this.#seq, text, ...none })
  }

  async masked(): Promise<void> {
    const row = this.#running()
    if (row === undefined) return
    await this.#writer.add(this.#session, {
      kind: 'masked',
      seq: row.seq,
      rule: 'p/email',
      values: 3,
    })
    row.masks.push('p/email')
    row.mask_values.push(3)
  }

  async end(): Promise<void> {
    const row = this.#running()
    if (row === undefined) return
    const data = describedRows('id', 'email')
    await this.#writer.add(this.#session, endEntry(row.seq, { rows: 2, bytes: 20, data }))
    Object.assign(row, { status: 'complete', rows: 2, columns: ['id', 'email'] })
  }

  async close(): Promise<void> {
    if (this.#isOpen) await this.#writer.close(this.#session)
    this.#isOpen = false
  }

  #running(): Expected | undefined {
    if (!this.#isOpen) return undefined
    return this.expected.find((row) => row.session_id === this.#session && row.status === null)
  }
}

async function play(rig: IndexRig, story: Story, writer: JournalWriter, step: string) {
  switch (step) {
    case 'command':
      return await story.command()
    case 'end':
      return await story.end()
    case 'masked':
      return await story.masked()
    case 'close':
      return await story.close()
    case 'rotate':
      return await writer.rotate()
    case 'late':
      rig.nowMs += 120_000
      return
    case 'round':
      return await rig.round()
    case 'restart':
      return rig.restart()
    case 'away':
    case 'lost':
      rig.failing = step === 'away' ? 'before' : 'after'
      await rig.round()
      rig.failing = undefined
      return
    case 'before':
    case 'after':
      rig.failing = step
      return
    case 'works':
      rig.failing = undefined
      return
    case 'reindex':
      if (rig.failing === undefined) await rig.reindex()
  }
}

async function settled(rig: IndexRig): Promise<void> {
  rig.failing = undefined
  for (let rounds = 0; rounds < 3 || rig.status()?.rebuilding !== undefined; rounds += 1) {
    assert.ok(rounds < 100, 'the rebuild does not end')
    await rig.round()
  }
}

function sharedTests(storeOf: () => Store): void {
  test('each command is found once, whatever fails and whenever the gateway is started again', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (chosen) => {
        await using rig = await IndexRig.make(storeOf())
        const writer = new JournalWriter(rig.journalDir)
        await writer.newRun()
        const story = new Story(writer)
        await settled(rig)
        for (const step of chosen) await play(rig, story, writer, step)
        await settled(rig)
        assert.deepEqual(await rig.found(), story.expected)
      }),
      {
        numRuns: Number(process.env['SALLYPORT_TEST_RUNS'] ?? 60),
        // An answer that goes on in a later journal, after the one of its command is gone.
        examples: [
          [['command', 'rotate', 'command', 'rotate', 'command', 'round', 'end', 'restart']],
        ],
      },
    )
  })

  test('a command is found before its answer ends, and what came back after that', async () => {
    await using rig = await IndexRig.make(storeOf())
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    await settled(rig)
    const story = new Story(writer)
    await story.command()
    await rig.round()
    assert.deepEqual(await rig.found(), story.expected)
    await story.masked()
    await story.end()
    rig.restart()
    await rig.round()
    assert.equal(story.expected[0]?.status, 'complete')
    assert.deepEqual(await rig.found(), story.expected)
  })

  test('a recording that the database does not take is set aside and told, and others are found', async () => {
    await using rig = await IndexRig.make(storeOf())
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    await settled(rig)
    await writer.open('s_bad')
    await writer.add('s_bad', { ...commandEntry(2 ** 32 - 1, 'select 1') })
    await writer.open('s_good')
    await writer.add('s_good', commandEntry(1, 'select 2'))
    await rig.round()
    const sessions = async () => (await rig.found()).map((row) => Reflect.get(row, 'session_id'))
    assert.deepEqual(await sessions(), ['s_good'])
    assert.match(rig.faults.join('\n'), /s_bad cannot be searched: /)
    assert.equal(rig.status()?.problem, undefined)
    await writer.add('s_bad', commandEntry(2, 'select 3'))
    await writer.add('s_good', commandEntry(2, 'select 4'))
    rig.restart()
    await rig.round()
    assert.deepEqual(await sessions(), ['s_good', 's_good'])
  })

  test('texts that are long, cut in a character or hold a NUL are indexed', async () => {
    await using rig = await IndexRig.make(storeOf())
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    await writer.open('s_one')
    const long = Buffer.from(`${'x'.repeat(8191)}ü and more`)
    await writer.add('s_one', commandEntry(1, long))
    await writer.add('s_one', commandEntry(2, 'a\0b', { objects: [['a\0', 'b'.repeat(5000)]] }))
    await writer.add('s_one', commandEntry(3, Buffer.from([0xff, 0x80, 0x41])))
    await settled(rig)
    const { rows } = await sql<{ text: string; text_bytes: number }>`
      select text, text_bytes from command order by seq`.execute(storeOf().db)
    assert.deepEqual(rows, [
      { text: 'x'.repeat(8191), text_bytes: long.length },
      { text: 'a\u{fffd}b', text_bytes: 3 },
      { text: '\u{fffd}\u{fffd}A', text_bytes: 3 },
    ])
    assert.deepEqual(rig.faults, [])
  })

  test('sessions that the database has lost are listed again after a rebuild', async () => {
    await using rig = await IndexRig.make(storeOf())
    const writer = new JournalWriter(rig.journalDir)
    await writer.newRun()
    const story = new Story(writer)
    await story.command()
    await story.close()
    await settled(rig)
    const { db } = storeOf()
    await sql`truncate session, command, indexed_part`.execute(db)
    await rig.reindex()
    await settled(rig)
    assert.deepEqual(await rig.found(), story.expected)
    const rows = await db.selectFrom('session').select(['id', 'reason', 'path']).execute()
    assert.deepEqual(rows, [{ id: 's_001', reason: 'ended', path: ['a_1'] }])
  })
}

inBothStores('the index', sharedTests)
