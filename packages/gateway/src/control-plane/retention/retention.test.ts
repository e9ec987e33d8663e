import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { sql } from 'kysely'
import fc from 'fast-check'
import { openLedgerJournal } from '../../data-plane/journal/ledger-journal.ts'
import { openPgliteStore } from '../adapters/pglite-store.ts'
import { JournalLedger } from '../ledger/journal-ledger.ts'
import { type FactBy, type Ledger } from '../ledger/ledger.ts'
import type { RecordingStore } from '../ports/recording-store.ts'
import type { Store } from '../ports/store.ts'
import {
  JournalWriter,
  recordingKey,
  ShippingRig,
} from '../recordings/shipping/shipping.fixture.ts'
import { dueSessions } from './due-sessions.ts'
import { readRetention } from './retention-config.ts'
import { Retention, type RetentionOptions } from './retention.ts'

const dayMs = 86_400_000
const dana: FactBy = { by: 'owner', name: 'dana' }

const head = 'apiVersion: sallyport.dev/v1\nkind: Retention\n'

test('rules are read with their floor, and what is wrong is told with line and caret', () => {
  const ok = readRetention(
    'retention.yaml',
    `${head}spec:\n  default: 365d\n  floor: 7d\n  job: true\n  approvals: 90d\n  connections: {shop: 30d, audit: forever}\n`,
  )
  assert.equal(ok.kind, 'ok')
  if (ok.kind === 'ok')
    assert.deepEqual(ok.rules, {
      defaultMs: 365 * dayMs,
      floorMs: 7 * dayMs,
      connections: new Map([
        ['shop', 30 * dayMs],
        ['audit', undefined],
      ]),
      approvalsMs: 90 * dayMs,
      job: true,
    })
  for (const [text, message, line] of [
    [`${head}spec:\n  default: 1d\n  floor: 7d\n`, /spec\.default is less than the floor/u, 4],
    [
      `${head}spec:\n  default: 9d\n  floor: 7d\n  connections: {shop: 6d}\n`,
      /spec\.connections\.shop is less than the floor/u,
      6,
    ],
    [
      `${head}spec:\n  default: 9d\n  floor: 7d\n  approvals: 6d\n`,
      /spec\.approvals is less than the floor/u,
      6,
    ],
    [`${head}spec:\n  defualt: 1d\n`, /unknown field "defualt"/u, 4],
    [`${head}spec:\n  floor: 1d\n`, /missing field "default"/u, 4],
    [`${head}spec: {default: soon}\n`, /must be a duration/u, 3],
    [`${head}spec: {default: 1}\n`, /must be text/u, 3],
    ['', /./u, 1],
    ['- a\n', /must be a map/u, 1],
    [`${head}spec: {default: 1d}\n---\n${head}spec: {default: 2d}\n`, /one document/u, 5],
  ] as const) {
    const read = readRetention('retention.yaml', text)
    assert.equal(read.kind, 'refused', text)
    if (read.kind !== 'refused') continue
    const found = read.problems.find((problem) => message.test(problem.message))
    assert.deepEqual([found?.line], [line], JSON.stringify(read.problems))
  }
})

suite('retention', () => {
  let store: Store
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-retention-'))
    store = await openPgliteStore(dir)
  })
  after(async () => {
    await store.close()
    await rm(dir, { recursive: true, force: true })
  })

  const addSession = async (
    id: string,
    of: { connection?: string; path?: string[]; closedAtMs: number | null },
  ): Promise<void> => {
    const closed = of.closedAtMs === null ? null : new Date(of.closedAtMs).toISOString()
    await sql`insert into session (id, worker, connection, database, credential, chain, path,
        application, source, opened_at, closed_at)
      values (${id}, 0, ${of.connection ?? 'shop'}, 'main', 'c', '["dana"]',
        ${of.path ?? ['a_root', 'a_child']}::text[], '', '', '1970-01-01Z',
        ${closed}::timestamptz)`.execute(store.db)
  }
  const clear = async (): Promise<void> => {
    await sql`truncate session, recording_part, legal_hold, erasure, fact, indexed_part`.execute(
      store.db,
    )
  }

  test('what is due is erased and nothing else: by connection and default, and a hold wins over all', async () => {
    const ages = fc.integer({ min: 0, max: 20 })
    const session = fc.record({
      connection: fc.constantFrom('shop', 'audit', 'other'),
      ageDays: fc.option(ages),
      isSealed: fc.boolean(),
      isInJournal: fc.boolean(),
      tree: fc.constantFrom('a_one', 'a_two'),
    })
    const keep = fc.option(
      ages.map((days) => days * dayMs),
      { nil: undefined },
    )
    const nowMs = 1000 * dayMs
    await fc.assert(
      fc.asyncProperty(
        fc.array(session, { maxLength: 12 }),
        fc.record({ shop: keep, otherwise: keep }),
        fc.subarray(['s_0', 's_1', 's_2', 'a_two']),
        fc.boolean(),
        async (sessions, { shop, otherwise }, holds, isNewDatabase) => {
          await clear()
          for (const [at, each] of sessions.entries()) {
            const { ageDays, connection, tree, isSealed } = each
            await addSession(`s_${at}`, {
              connection,
              path: ['a_root', tree],
              // A second beside the limit, so that no clock decides.
              closedAtMs: ageDays === null ? null : nowMs - ageDays * dayMs - 1000,
            })
            await sql`insert into recording_part values (${`s_${at}`}, ${`0-1-${at}`}, 0, 1, ${at},
              3, 1, 10, '', '', null, null, '[]', ${isSealed ? new Date() : null})`.execute(
              store.db,
            )
          }
          for (const [at, subject] of holds.entries()) {
            const kind = subject.startsWith('s_') ? 'session' : 'tree'
            if (!isNewDatabase) {
              const row = { id: `ho_${at}`, kind, subject, reason: 'x', by_name: 'dana' } as const
              await store.db
                .insertInto('legal_hold')
                .values({ ...row, at: new Date() })
                .execute()
              continue
            }
            const detail = JSON.stringify({ hold: `ho_${at}`, kind, reason: 'x' })
            await sql`insert into fact values ('l_1', 'p', ${at}, now(), 'hold.added', 'owner', 'dana',
              '{}', '{}', ${subject}, '', ${detail}::jsonb)`.execute(store.db)
          }
          const inJournals = new Set(
            sessions.flatMap(({ isInJournal }, at) => (isInJournal ? [`0-1-${at}`] : [])),
          )
          const connections = new Map([
            ['shop', shop],
            ['audit', undefined],
          ])
          const rules = {
            defaultMs: otherwise,
            floorMs: 0,
            connections,
            approvalsMs: undefined,
            job: false,
          }
          const found = await dueSessions(store.db, rules, { inJournals, nowMs })
          const keepOf = (connection: string): number | undefined =>
            connections.has(connection) ? connections.get(connection) : otherwise
          const isDue = ({ connection, ageDays }: (typeof sessions)[number]): boolean => {
            const keepMs = keepOf(connection)
            return keepMs !== undefined && ageDays !== null && ageDays * dayMs >= keepMs
          }
          const isHeld = (at: number, tree: string): boolean =>
            holds.includes(`s_${at}`) || holds.includes(tree)
          const names = (all: readonly { session: string }[]): string[] =>
            all.map((each) => each.session).toSorted()
          const expected = sessions.flatMap((each, at) =>
            isDue(each) && each.isSealed && !each.isInJournal && !isHeld(at, each.tree)
              ? [{ session: `s_${at}` }]
              : [],
          )
          assert.deepEqual(names(found.filter(({ action }) => action === 'erase')), names(expected))
          const due = sessions.flatMap((each, at) => (isDue(each) ? [{ session: `s_${at}` }] : []))
          assert.deepEqual(names(found), names(due))
        },
      ),
      { numRuns: 25 },
    )
  })

  /** A gateway's journals, store and ledger, with two sessions that have ended and one that is open. */
  async function bench(): Promise<{
    rig: ShippingRig
    writer: JournalWriter
    ledger: JournalLedger
    options: RetentionOptions
    record: (...sessions: string[]) => Promise<void>
  }> {
    await clear()
    const rig = await ShippingRig.make(store)
    const writer = new JournalWriter(rig.journalDir)
    const now = (): number => rig.nowMs
    const journal = await openLedgerJournal(
      {
        dir: rig.journalDir,
        durability: 'process',
        minFreeBytes: 1,
        maxBytes: 1e9,
        recordingKey: recordingKey.toString('base64'),
      },
      { application: 'test', node: 'n', owner: 'dana' },
      { now },
    )
    const ledger = new JournalLedger({ journal, now, onFault: assert.ifError })
    await writeFile(join(rig.dir, 'retention.yaml'), `${head}spec: {default: 1d, approvals: 2d}\n`)
    await writer.newRun()
    const record = async (...sessions: string[]): Promise<void> => {
      for (const session of sessions) {
        await writer.open(session)
        await writer.note(session, 'something')
        await writer.close(session)
        await addSession(session, { closedAtMs: 2000 })
      }
      await rig.round()
    }
    return {
      rig,
      writer,
      ledger,
      record,
      options: {
        dataDir: rig.dir,
        store,
        recordings: rig.recordings,
        ledger,
        settleLedger: async () => await (await rig.round()).settle([ledger.id]),
        inJournals: () => shipperOf.inJournals(),
        index: () => ({ pendingBytes: 0 }),
        now: () => 10 * dayMs,
        onFault: assert.ifError,
      },
    }
  }
  let shipperOf: Awaited<ReturnType<ShippingRig['round']>>

  test('a session that a journal still holds stays; then it is erased, the ledger says so, and one without a tombstone is missed', async () => {
    const { rig, writer, ledger, options, record } = await bench()
    await using _rig = rig
    await record('s_one', 's_two', 's_lost')
    shipperOf = await rig.round()
    const retention = new Retention(options)
    const before = await retention.plan()
    assert.deepEqual(
      before.sessions.map(({ session, because }) => [session, because]),
      ['s_lost', 's_one', 's_two'].map((id) => [id, 'a journal still has entries of it']),
    )
    await sql`insert into approval (id, state, wait, session_id, agent_id, root_id, connection, binding,
        asked, asked_at, until_at, ended_at)
      values ('ap_due', 'denied', 'hold', 's', 'a', 'p', 'c', 'b', '{"path": []}', '1970-01-01Z', '1970-01-01Z',
        '1970-01-01Z')`.execute(store.db)
    assert.equal((await retention.plan()).approvals, 1)
    const first = await retention.apply(dana)
    assert.deepEqual([first.erased, first.approvals], [[], 1])
    assert.equal((await retention.plan()).approvals, 0)
    await writer.rotate()
    await rig.round()
    await retention.hold('session', 's_two', 'case 4711', dana)
    await assert.rejects(
      async () => await retention.hold('session', 's_non', 'x', dana),
      /no session/u,
    )
    assert.deepEqual(
      (await retention.holds()).map(({ subject }) => subject),
      ['s_two'],
    )
    await retention.job()
    assert.equal((await retention.plan()).sessions.length, 3, 'the job is off')
    const { erased, failed } = await retention.apply(dana)
    assert.deepEqual([erased, failed], [['s_lost', 's_one'], []])
    assert.equal(await rig.recordings.get('keys/s_one.key'), undefined)
    assert.notEqual(await rig.recordings.get('keys/s_two.key'), undefined)
    const proven = await rig.verify()
    assert.deepEqual([proven.findings, [...proven.erased].toSorted()], [[], ['s_lost', 's_one']])
    assert.match(
      proven.notes.join('\n'),
      /s_one was erased by retention on 1970-01-01, as the ledger/u,
    )

    // The job, where it is on; and a store that removes nothing, such as one with Object Lock.
    await record('s_job', 's_locked')
    await writer.rotate()
    shipperOf = await rig.round()
    await writeFile(join(rig.dir, 'retention.yaml'), `${head}spec: {default: 1d, job: true}\n`)
    const remove = async (key: string): Promise<void> => {
      if (key.startsWith('sessions/s_locked')) throw new Error('the object is locked')
      await rig.recordings.remove(key)
    }
    const { where } = rig.recordings
    const locked: RecordingStore = {
      where,
      put: async (key, bytes) => await rig.recordings.put(key, bytes),
      get: async (key) => await rig.recordings.get(key),
      list: (prefix) => rig.recordings.list(prefix),
      close: () => undefined,
      remove,
    }
    const strict = new Retention({ ...options, recordings: locked })
    await assert.rejects(
      async () => await strict.job(),
      /1 recordings .* s_locked: the object is locked/u,
    )
    assert.equal(await rig.recordings.get('keys/s_job.key'), undefined)
    assert.deepEqual((await rig.verify()).findings, [])
    await retention.job()
    const byNow = (await rig.verify()).erased.toSorted((a, b) => a.localeCompare(b))
    assert.deepEqual(byNow, ['s_job', 's_locked', 's_lost', 's_one'])

    // A tombstone that does not fit what was anchored, and none at all.
    for await (const key of rig.recordings.list('sessions/s_two/')) await rig.recordings.remove(key)
    await rig.recordings.remove('keys/s_two.key')
    assert.match(
      JSON.stringify((await rig.verify()).findings),
      /names s_two, whose recording is missing/u,
    )
    const detail = { why: 'x', parts: ['0-1-2 1 ab'] }
    await ledger.write({ what: 'retention.erased', actor: dana, subject: 's_two', detail })
    await options.settleLedger()
    assert.match(JSON.stringify((await rig.verify()).findings), /s_two was erased after 1 entries/u)
    await ledger.close('test')
  })

  test('a retention that dies at any step is gone on with, and at no moment is anything found wrong', async () => {
    const { rig, writer, ledger, options, record } = await bench()
    await using _rig = rig
    let died = 0
    for (let fatal = 0; ; fatal += 1) {
      const sessions = [`s_a${fatal}`, `s_b${fatal}`]
      await record(...sessions)
      await writer.rotate()
      await rig.round()
      shipperOf = await rig.round()
      const mortal = dyingAt(fatal, options)
      await new Retention(mortal.options).apply(dana).catch(() => undefined)
      assert.deepEqual((await rig.verify()).findings, [], `after step ${fatal}`)
      const { failed } = await new Retention(options).apply(dana)
      assert.deepEqual(failed, [])
      const left: string[] = []
      for await (const key of rig.recordings.list(''))
        if (sessions.some((id) => key.includes(id))) left.push(key)
      assert.deepEqual(left, [], `after step ${fatal}`)
      for (const table of ['session', 'recording_part', 'erasure']) {
        const { rows } = await sql`select from ${sql.table(table)} where ${
          table === 'session' ? sql`id` : sql`session_id`
        } like 's\\_%'`.execute(store.db)
        assert.equal(rows.length, 0, `${table} after step ${fatal}`)
      }
      const proven = await rig.verify()
      assert.deepEqual(proven.findings, [])
      assert.ok(sessions.every((id) => proven.erased.includes(id)))
      if (!mortal.hasDied()) break
      died += 1
    }
    assert.ok(died > 15, `it died ${died} times`)
    await ledger.close('test')
  })
})

/** The same, until a step fails: nothing works from there on, as after a crash. */
function dyingAt(
  fatal: number,
  options: RetentionOptions,
): { options: RetentionOptions; hasDied: () => boolean } {
  let step = 0
  const alive = (): void => {
    step += 1
    if (step > fatal) throw new Error('it died')
  }
  /** Before and after: what was done may not be known. */
  const around = async <T>(work: () => Promise<T>): Promise<T> => {
    alive()
    const result = await work()
    alive()
    return result
  }
  const { recordings, store, ledger } = options
  const dyingStore: Store = {
    ...store,
    durable: async (change) => await around(async () => await store.durable(change)),
  }
  const dyingRecordings: RecordingStore = {
    where: recordings.where,
    put: async (key, bytes) => await around(async () => await recordings.put(key, bytes)),
    get: async (key) => await around(async () => await recordings.get(key)),
    list: (prefix) => recordings.list(prefix),
    close: () => recordings.close(),
    remove: async (key) => await around(async () => await recordings.remove(key)),
  }
  const dyingLedger: Ledger = {
    write: (fact) => {
      alive()
      const stored = ledger.write(fact)
      alive()
      return stored
    },
  }
  return {
    options: {
      ...options,
      store: dyingStore,
      recordings: dyingRecordings,
      ledger: dyingLedger,
      settleLedger: async () => await around(options.settleLedger),
    },
    hasDied: () => step > fatal,
  }
}
