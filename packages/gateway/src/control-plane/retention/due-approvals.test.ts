import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { SallyportError } from '@sallyport/core'
import { sql } from 'kysely'
import { openPgliteStore } from '../adapters/pglite-store.ts'
import type { Fact } from '../ledger/ledger.ts'
import type { Store } from '../ports/store.ts'
import { countDueApprovals, eraseDueApprovals } from './due-approvals.ts'

const dayMs = 86_400_000
const nowMs = 1000 * dayMs

suite('retention of requests for approval', () => {
  let store: Store
  let dir: string
  let facts: Fact[] = []
  let isLedgerFull = false
  const dana = { by: 'owner', name: 'dana' } as const
  const ledger = {
    write(fact: Fact): Promise<void> {
      if (isLedgerFull) throw new SallyportError('SP_RECORD_UNAVAILABLE', 'full')
      facts.push(fact)
      return Promise.resolve()
    },
  }
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-due-approvals-'))
    store = await openPgliteStore(dir)
  })
  after(async () => {
    await store.close()
    await rm(dir, { recursive: true, force: true })
  })

  const add = async (
    id: string,
    of: { state?: string; endedDaysAgo?: number; session?: string; path?: string[] } = {},
  ): Promise<void> => {
    const { state = 'used', endedDaysAgo = 50, session = 's_1', path = ['a_root', 'a_1'] } = of
    const ended = state === 'pending' ? null : new Date(nowMs - endedDaysAgo * dayMs).toISOString()
    await sql`insert into approval (id, state, wait, session_id, agent_id, root_id, connection, binding,
        asked, asked_at, until_at, ended_at)
      values (${id}, ${state}, 'hold', ${session}, 'a_1', 'p', 'shop', ${id},
        ${JSON.stringify({ path })}::jsonb, '1970-01-01Z', '1970-01-02Z', ${ended}::timestamptz)`.execute(
      store.db,
    )
    await sql`insert into approval_answer values (${id}, 'p_maria', '{}', 'approve', '', '1970-01-01Z')`.execute(
      store.db,
    )
  }
  const left = async (): Promise<string[]> => {
    const { rows } = await sql<{ id: string }>`select id from approval order by id`.execute(
      store.db,
    )
    return rows.map(({ id }) => id)
  }
  const erase = async (keepMs: number | undefined): Promise<number> =>
    await eraseDueApprovals({ store, ledger }, keepMs, nowMs, dana)

  test('what ended so long ago goes, with its answers; what waits, goes on or is held stays', async () => {
    await add('ap_old')
    await add('ap_denied', { state: 'denied' })
    await add('ap_expired', { state: 'expired' })
    await add('ap_withdrawn', { state: 'withdrawn' })
    await add('ap_unused', { state: 'approved' })
    await add('ap_waits', { state: 'pending' })
    await add('ap_young', { endedDaysAgo: 29 })
    await add('ap_held_session', { session: 's_held' })
    await add('ap_held_tree', { path: ['a_held', 'a_9'] })
    await add('ap_shape')
    await add('ap_shape_over')
    for (const [id, ended] of [
      ['ap_shape', null],
      ['ap_shape_over', '1970-01-03Z'],
    ])
      await sql`insert into approved_shape values (${id}, '', '[]', '1970-01-01Z', '1970-01-01Z', 0,
        ${ended}::timestamptz, '')`.execute(store.db)
    for (const [kind, subject] of [
      ['session', 's_held'],
      ['tree', 'a_held'],
    ])
      await sql`insert into legal_hold values (${`ho_${subject}`}, ${kind}, ${subject}, 'r', 'dana', '1970-01-01Z')`.execute(
        store.db,
      )
    const gone = ['ap_old', 'ap_denied', 'ap_expired', 'ap_withdrawn', 'ap_unused', 'ap_shape_over']
    const all = await left()
    assert.equal(await countDueApprovals(store.db, undefined, nowMs), 0)
    assert.equal(await erase(undefined), 0)
    assert.deepEqual(await left(), all)
    const expected = gone.length
    assert.equal(await countDueApprovals(store.db, 30 * dayMs, nowMs), expected)
    isLedgerFull = true
    await assert.rejects(erase(30 * dayMs), { code: 'SP_RECORD_UNAVAILABLE' })
    isLedgerFull = false
    assert.deepEqual(await left(), all)
    assert.equal(await erase(30 * dayMs), expected)
    assert.deepEqual(
      await left(),
      all.filter((id) => !gone.includes(id)),
    )
    const answers = await sql`select from approval_answer`.execute(store.db)
    assert.equal(answers.rows.length, (await left()).length)
    const [fact] = facts
    assert.deepEqual(
      [fact?.what, fact?.detail?.['requests'], fact?.detail?.['why'], fact?.actor.name],
      ['retention.approvals-erased', expected, 'requests are kept 30d', 'dana'],
    )
    facts = []
    assert.equal(await erase(30 * dayMs), 0)
    assert.deepEqual(facts, [])
  })

  test('many go in batches, each with a fact of its own', async () => {
    await sql`truncate approval cascade`.execute(store.db)
    await sql`insert into approval (id, state, wait, session_id, agent_id, root_id, connection, binding,
        asked, asked_at, until_at, ended_at)
      select 'ap_' || n, 'denied', 'hold', 's', 'a', 'p', 'c', n, '{"path": []}', '1970-01-01Z', '1970-01-01Z',
        '1970-01-01Z' from generate_series(1, 2500) as n`.execute(store.db)
    assert.equal(await erase(dayMs), 2500)
    assert.deepEqual(
      facts.map(({ detail }) => detail?.['requests']),
      [1000, 1000, 500],
    )
    assert.deepEqual(await left(), [])
  })

  test('a yes that may be used still stays, however short requests are kept', async () => {
    await add('ap_fresh', { state: 'approved', endedDaysAgo: 0.01 })
    await add('ap_done', { state: 'used', endedDaysAgo: 0.01 })
    assert.equal(await erase(1000), 1)
    assert.deepEqual(await left(), ['ap_fresh'])
  })
})
