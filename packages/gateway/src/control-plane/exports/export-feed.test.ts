import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import fc from 'fast-check'
import { sql } from 'kysely'
import { skipReason, startPostgres, type TestPostgres } from '@sallyport/testkit'
import { openPgliteStore } from '../adapters/pglite-store.ts'
import { openPostgresStore } from '../adapters/postgres-store.ts'
import type { Store } from '../ports/store.ts'
import { commandEntry, endEntry } from '../recordings/index/search.fixture.ts'
import { JournalWriter, ShippingRig } from '../recordings/shipping/shipping.fixture.ts'
import { ExportFeed } from './export-feed.ts'
import { Outbox } from './outbox.ts'

/** Journals, a shipper and an outbox over a database that may fail or lose its answer. */
class FeedRig implements AsyncDisposable {
  readonly shipping: ShippingRig
  failing: 'before' | 'after' | undefined
  outbox: Outbox
  readonly #store: Store
  readonly #max: number | undefined

  private constructor(shipping: ShippingRig, store: Store, max: number | undefined) {
    this.shipping = shipping
    this.#store = store
    this.#max = max
    this.outbox = new Outbox(this.#failingStore(), max)
  }

  static async make(store: Store, max?: number): Promise<FeedRig> {
    await sql`truncate export_event, export_cursor, export_part, recording_part`.execute(store.db)
    const rig = new FeedRig(await ShippingRig.make(store), store, max)
    await rig.restart()
    return rig
  }

  /** As after a kill: all that is not stored is forgotten. */
  async restart(names = ['one']): Promise<void> {
    this.outbox = new Outbox(this.#failingStore(), this.#max)
    await this.outbox.open()
    await this.outbox.useExports(names, 0)
    const feed = new ExportFeed(this.outbox)
    feed.use({ keepSinceMs: await this.outbox.since(), withText: false, onFact: undefined })
    this.shipping.restart()
    this.shipping.index = feed
  }

  /** Takes all that waits for an export, as a receiver does. */
  async take(name = 'one', most = 3): Promise<string[]> {
    const taken: string[] = []
    for (;;) {
      const facts = await this.outbox.read(name, most)
      const last = facts.at(-1)
      if (last === undefined) return taken
      taken.push(...facts.map(({ fact }) => fact.uid))
      await this.outbox.told(name, last.id)
    }
  }

  async count(table: 'export_event' | 'export_part'): Promise<number> {
    const { rows } = await sql<{
      n: string
    }>`select count(*) as n from ${sql.table(table)}`.execute(this.#store.db)
    return Number(rows[0]?.n)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.shipping[Symbol.asyncDispose]()
  }

  #failingStore(): Store {
    return {
      ...this.#store,
      db: this.#store.db,
      durable: async (change) => {
        const { failing } = this
        if (failing === 'before') throw new Error('the database is away')
        const result = await this.#store.durable(change)
        if (failing === 'after') throw new Error('the answer was lost')
        return result
      },
    }
  }
}

async function session(writer: JournalWriter, name: string, commands: number): Promise<void> {
  await writer.open(name)
  for (let seq = 1; seq <= commands; seq += 1) {
    await writer.add(name, commandEntry(seq, 'select 1'))
    await writer.add(name, endEntry(seq))
  }
  await writer.close(name)
}

/** Places of the facts of a session with so many commands. */
function uidsOf(name: string, reference: number, commands: number): string[] {
  const places = [0, ...Array.from({ length: commands }, (_, n) => 2 * n + 2), 2 * commands + 1]
  return places.map((place) => `${name}/0-1-${reference}/${place}`)
}

const databases = ['embedded', 'server'] as const
for (const kind of databases) {
  suite(`the feed of exports, ${kind} database`, { skip: skipReason() }, () => {
    let dir: string
    let postgres: TestPostgres | undefined
    let store: Store
    before(async () => {
      dir = await mkdtemp(join(tmpdir(), 'sallyport-feed-'))
      if (kind === 'embedded') store = await openPgliteStore(dir)
      else {
        postgres = await startPostgres()
        store = await openPostgresStore(
          `postgresql://postgres:${postgres.password}@127.0.0.1:${postgres.port}/postgres`,
        )
      }
    })
    after(async () => {
      await store.close()
      await postgres?.stop()
      await rm(dir, { recursive: true })
    })

    test('tells each fact once, in order, over any restarts and failures of the database', async () => {
      const step = fc.record({
        do: fc.constantFrom(
          ...(['write', 'write', 'round', 'restart', 'rotate'] as const),
          ...(['take', 'away', 'lost', 'back'] as const),
        ),
        commands: fc.nat(4),
      })
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
          await using rig = await FeedRig.make(store)
          const writer = new JournalWriter(rig.shipping.journalDir)
          await writer.newRun()
          const expected: string[] = []
          const taken: string[] = []
          let sessions = 0
          for (const each of steps) {
            if (each.do === 'write') {
              sessions += 1
              await session(writer, `s_${sessions}`, each.commands)
              expected.push(...uidsOf(`s_${sessions}`, sessions, each.commands))
            } else if (each.do === 'round') await rig.shipping.round()
            else if (each.do === 'rotate') await writer.rotate()
            else if (each.do === 'take') {
              rig.failing = undefined
              taken.push(...(await rig.take()))
            } else if (each.do === 'away') rig.failing = 'before'
            else if (each.do === 'lost') rig.failing = 'after'
            else if (each.do === 'back') rig.failing = undefined
            else {
              rig.failing = undefined
              await rig.restart()
            }
          }
          rig.failing = undefined
          await rig.shipping.round()
          taken.push(...(await rig.take()))
          // An answer that was lost may bring a fact again; without that, none comes twice.
          const once = [...new Set(taken)]
          assert.deepEqual(once, expected)
          if (!steps.some((each) => each.do === 'lost')) assert.deepEqual(taken, expected)
          assert.equal(await rig.count('export_event'), 0)
        }),
        { numRuns: kind === 'embedded' ? 25 : 40 },
      )
    })

    test('keeps journals until the facts in them are kept', async () => {
      await using rig = await FeedRig.make(store)
      const writer = new JournalWriter(rig.shipping.journalDir)
      await writer.newRun()
      await session(writer, 's_1', 1)
      await writer.rotate()
      rig.failing = 'before'
      const shipper = await rig.shipping.round()
      assert.equal(shipper.status().journalFiles, 2)
      assert.match(shipper.status().problem ?? '', /away/)
      rig.failing = undefined
      await rig.shipping.round()
      assert.equal(shipper.status().problem, undefined)
      await rig.shipping.round()
      assert.equal(shipper.status().journalFiles, 1)
      assert.deepEqual(await rig.take(), uidsOf('s_1', 1, 1))
    })

    test('takes no more when too much waits, drops nothing, and goes on when there is room', async () => {
      await using rig = await FeedRig.make(store, 4)
      const writer = new JournalWriter(rig.shipping.journalDir)
      await writer.newRun()
      await session(writer, 's_1', 4)
      const shipper = await rig.shipping.round()
      assert.equal(await rig.count('export_event'), 6)
      await session(writer, 's_2', 1)
      await writer.rotate()
      await rig.shipping.round()
      assert.match(shipper.status().problem ?? '', /6 events wait for exports/)
      assert.equal(await rig.count('export_event'), 6)
      assert.deepEqual(await rig.take(), uidsOf('s_1', 1, 4))
      await rig.shipping.round()
      assert.equal(shipper.status().problem, undefined)
      assert.deepEqual(await rig.take(), uidsOf('s_2', 2, 1))
    })

    test('tells a new export what happens from then on, and keeps a fact until all have it', async () => {
      await using rig = await FeedRig.make(store)
      const writer = new JournalWriter(rig.shipping.journalDir)
      await writer.newRun()
      await session(writer, 's_1', 1)
      await rig.shipping.round()
      await rig.outbox.useExports(['one', 'two'], 0)
      await session(writer, 's_2', 0)
      await rig.shipping.round()
      assert.deepEqual(await rig.take('two'), uidsOf('s_2', 2, 0))
      assert.equal(await rig.count('export_event'), 5)
      assert.deepEqual(await rig.take('one'), [...uidsOf('s_1', 1, 1), ...uidsOf('s_2', 2, 0)])
      assert.equal(await rig.count('export_event'), 0)
    })

    test('forgets what waits for an export that is gone', async () => {
      await using rig = await FeedRig.make(store)
      const writer = new JournalWriter(rig.shipping.journalDir)
      await writer.newRun()
      await session(writer, 's_1', 1)
      await rig.shipping.round()
      await rig.outbox.useExports([], 0)
      assert.deepEqual([await rig.count('export_event'), await rig.count('export_part')], [0, 0])
    })

    test('takes any text: NUL, halves of pairs, what looks like an escape', async () => {
      await using rig = await FeedRig.make(store)
      const texts = ['a\0b', 'half \ud800', '\\u0000', '"', 'a'.repeat(8191) + '😀']
      const fact = (n: number, text: string) => ({
        kind: 'session.closed' as const,
        uid: `u${n}`,
        position: n,
        atMs: 1,
        reason: text,
        commands: 0,
        blocked: 0,
        maskedValues: 0,
        session: {
          id: 's_1',
          openedAtMs: 1,
          connection: 'shop',
          database: text,
          credential: 'c',
          chain: [],
          level: 0,
          application: text,
          source: '',
        },
      })
      await rig.outbox.write(
        texts.map((text, n) => fact(n, text)),
        [],
      )
      const found = await rig.outbox.read('one', 10)
      assert.deepEqual(
        found.map(({ fact: { session: of } }) => of.database),
        ['a\u{fffd}b', 'half \u{fffd}', '\\u0000', '"', 'a'.repeat(8191) + '😀'],
      )
    })
  })
}
