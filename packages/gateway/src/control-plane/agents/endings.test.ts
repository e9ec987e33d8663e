import assert from 'node:assert/strict'
import { test } from 'node:test'
import { sql } from 'kysely'
import { until } from '@sallyport/testkit'
import { type Bench, hasCode, layer, onBothStores } from './agents.fixture.ts'

const minuteMs = 60_000

onBothStores('ends', (bench: Bench) => {
  const state = (id: string): string | undefined => bench.service.get(id)?.state

  test('a revocation reaches everything below, and no other tree', async () => {
    const root = await bench.root({ delegate: { detach: true } })
    const other = await bench.root()
    const a = await bench.child(root.agent.id, 'a', { delegate: {} })
    const b = await bench.child(a.agent.id, 'b', { detach: true })
    const c = await bench.child(root.agent.id, 'c')
    const report = await bench.service.revoke(a.agent.id, 'dana', 'runaway')
    assert.equal(report.agents, 2)
    assert.deepEqual(
      [root, a, b, c, other].map(({ agent }) => state(agent.id)),
      ['active', 'revoked', 'revoked', 'active', 'active'],
    )
    assert.throws(
      () => bench.service.authenticateHandle(b.handle ?? ''),
      hasCode('SP_AGENT_REVOKED', /dana › a › b\) was revoked by dana at .*Z: "runaway"/),
    )
    await assert.rejects(bench.child(a.agent.id, 'x'), hasCode('SP_AGENT_REVOKED'))
    await assert.rejects(bench.credential(b.agent.id), hasCode('SP_AGENT_REVOKED'))
    await bench.restart()
    assert.deepEqual(
      [root, a, b, c].map(({ agent }) => state(agent.id)),
      ['active', 'revoked', 'revoked', 'active'],
    )
  })

  test('a revocation waits for no births that were asked for before it', async () => {
    const root = await bench.root()
    const asked = Promise.allSettled(
      Array.from({ length: 12 }, () => bench.child(root.agent.id, 'x')),
    )
    const report = await bench.service.revoke(root.agent.id, 'dana', 'runaway')
    const births = await asked
    // One may have begun; it is reached like everything below.
    assert.ok(births.filter(({ status }) => status === 'fulfilled').length <= 1)
    assert.ok(report.agents <= 2)
    const live = bench.service.list().filter(({ path }) => path.includes(root.agent.id))
    assert.ok(live.every((each) => each.state === 'revoked'))
  })

  test('epochs have no gaps, however many come at once', async () => {
    const roots = await Promise.all(Array.from({ length: 12 }, () => bench.root()))
    await Promise.all(roots.map(({ agent }) => bench.service.revoke(agent.id, 'dana', 'x')))
    const rows = await bench.store.db
      .selectFrom('revocation')
      .select('epoch')
      .orderBy('epoch')
      .execute()
    assert.ok(rows.length >= 12)
    assert.deepEqual(
      rows.map(({ epoch }) => Number(epoch)),
      rows.map((_, index) => index + 1),
    )
  })

  test('listeners hear every change once, in order, after it is in force', async () => {
    const versions: number[] = []
    bench.service.onChange((changes) => {
      assert.equal(changes.from, changes.version - 1)
      for (const { id, state: told } of changes.agents) assert.equal(state(id), told)
      versions.push(changes.version)
    })
    const { agent } = await bench.root()
    // The freeze may come before the second child, which is refused then.
    await Promise.allSettled([
      bench.child(agent.id, 'a'),
      bench.child(agent.id, 'b'),
      bench.service.freeze(agent.id, 'dana', 'x'),
    ])
    await bench.service.revoke(agent.id, 'dana', 'x')
    assert.deepEqual(
      versions,
      versions.map((_, index) => (versions[0] ?? 0) + index),
    )
    const since = bench.service.changesSince((versions[0] ?? 0) - 1)
    assert.ok(since.agents.some(({ id, state: told }) => id === agent.id && told === 'revoked'))
  })

  test('the report waits for the workers, and says who has not answered', async () => {
    const { agent } = await bench.root()
    const closed = [
      { session: 's_1', agent: agent.id, connection: 'orders', outcome: 'unknown' },
    ] as never
    bench.service.closer = async () => ({ acknowledged: 2, workers: 2, silent: [], closed })
    const partial = await bench.service.freeze(agent.id, 'dana', 'x')
    assert.equal(partial.state, 'partial')
    bench.service.closer = async () => ({ acknowledged: 1, workers: 2, silent: [1], closed: [] })
    const unknown = await bench.service.revoke(agent.id, 'dana', 'x')
    assert.deepEqual([unknown.state, unknown.workers], ['unknown', { all: 2, acknowledged: 1 }])
    const row = await bench.store.db
      .selectFrom('revocation')
      .select('report')
      .where('agent_id', '=', agent.id)
      .orderBy('epoch', 'desc')
      .executeTakeFirst()
    assert.match(JSON.stringify(row?.report), /"state":"unknown"/)
    bench.service.closer = async () => ({ acknowledged: 0, workers: 0, silent: [], closed: [] })
  })

  test('a freeze holds the subtree; each thaws when nothing holds it any more', async () => {
    const root = await bench.root()
    const a = await bench.child(root.agent.id, 'a')
    const b = await bench.child(a.agent.id, 'b')
    await bench.service.freeze(b.agent.id, 'dana', 'look at b')
    await bench.service.freeze(root.agent.id, 'security', 'look at all')
    await assert.rejects(
      bench.child(a.agent.id, 'x'),
      hasCode('SP_AGENT_FROZEN', /frozen by security: look at all/),
    )
    await bench.restart()
    await bench.service.unfreeze(root.agent.id, 'dana', 'fine')
    assert.deepEqual(
      [root, a, b].map(({ agent }) => state(agent.id)),
      ['active', 'active', 'frozen'],
    )
    await bench.service.unfreeze(b.agent.id, 'dana', 'fine')
    assert.equal(state(b.agent.id), 'active')
    await bench.service.freeze(a.agent.id, 'dana', 'x')
    await bench.service.revoke(a.agent.id, 'dana', 'x')
    await bench.service.unfreeze(a.agent.id, 'dana', 'x')
    assert.equal(state(a.agent.id), 'revoked')
    await assert.rejects(bench.service.freeze(a.agent.id, 'dana', 'x'), hasCode('SP_AGENT_REVOKED'))
  })

  test('children of an agent that ended have a minute; one that was detached goes on', async () => {
    const root = await bench.root({ delegate: { detach: true } })
    const parent = await bench.child(root.agent.id, 'parent')
    const child = await bench.child(parent.agent.id, 'child')
    const grandchild = await bench.child(child.agent.id, 'grandchild')
    const detached = await bench.child(parent.agent.id, 'detached', { detach: true })
    const states = (): (string | undefined)[] =>
      [parent, child, grandchild, detached].map(({ agent }) => state(agent.id))
    await bench.service.end(parent.agent.id, 'dana')
    bench.nowMs += minuteMs - 1
    await bench.service.sweep()
    assert.deepEqual(states(), ['ended', 'active', 'active', 'active'])
    await bench.credential(child.agent.id)
    bench.nowMs += 1
    await bench.service.sweep()
    assert.deepEqual(states(), ['ended', 'ended', 'ended', 'active'])
    await bench.credential(detached.agent.id)
    await bench.service.revoke(root.agent.id, 'dana', 'x')
    assert.equal(state(detached.agent.id), 'revoked')
  })

  test('only a grant that says so lets a child outlive its parent', async () => {
    const root = await bench.root()
    await assert.rejects(
      bench.child(root.agent.id, 'x', { detach: true }),
      hasCode('SP_GRANT_EXCEEDS_PARENT', /detach/),
    )
  })

  test('time ends an agent and all below it', async () => {
    const root = await bench.root({ ttlMs: 20 * minuteMs })
    const child = await bench.child(root.agent.id, 'x')
    bench.nowMs += 20 * minuteMs
    assert.throws(
      () => bench.service.authenticateHandle(child.handle ?? ''),
      hasCode('SP_AGENT_ENDED'),
    )
    await bench.service.sweep()
    assert.deepEqual(
      [root, child].map(({ agent }) => state(agent.id)),
      ['expired', 'expired'],
    )
  })

  test('silence freezes one that has beaten, its return thaws it, and long silence ends it', async () => {
    const root = await bench.root({
      principal: { id: 'wl', kind: 'workload', name: 'ci', groups: [] },
      ttlMs: 6 * 60 * minuteMs,
      born: 'jwt',
    })
    const child = await bench.child(root.agent.id, 'x')
    await bench.service.beat(child.agent.id)
    const after = async (ms: number): Promise<string | undefined> => {
      bench.nowMs += ms
      await bench.service.sweep()
      return state(child.agent.id)
    }
    assert.equal(await after(minuteMs - 1), 'active')
    assert.equal(await after(1), 'frozen')
    await bench.service.beat(child.agent.id)
    assert.equal(state(child.agent.id), 'active')
    assert.equal(await after(minuteMs), 'frozen')
    await bench.service.unfreeze(child.agent.id, 'dana', 'a person cannot speak for a heartbeat')
    assert.equal(state(child.agent.id), 'frozen')
    assert.equal(await after(4 * minuteMs), 'expired')
    assert.equal(state(root.agent.id), 'active')
    await assert.rejects(
      bench.service.beat(child.agent.id),
      hasCode('SP_AGENT_ENDED', /no heartbeat/),
    )
  })

  test('under a person silence lasts an hour, since laptops sleep', async () => {
    const root = await bench.root()
    const child = await bench.child(root.agent.id, 'x', { ttlMs: 4 * 60 * minuteMs })
    await bench.service.beat(child.agent.id)
    bench.nowMs += 59 * minuteMs
    await bench.service.sweep()
    assert.equal(state(child.agent.id), 'frozen')
    bench.nowMs += minuteMs
    await bench.service.sweep()
    assert.equal(state(child.agent.id), 'expired')
  })

  test('a child that nobody uses ends after half an hour; a sign of use keeps it', async () => {
    const root = await bench.root()
    const idle = await bench.child(root.agent.id, 'idle')
    const used = await bench.child(root.agent.id, 'used')
    bench.nowMs += 29 * minuteMs
    bench.service.touched(used.agent.id)
    bench.nowMs += minuteMs
    await bench.service.sweep()
    assert.deepEqual(
      [root, idle, used].map(({ agent }) => state(agent.id)),
      ['active', 'expired', 'active'],
    )
  })

  test('an agent narrows and brings its end nearer, and never the other way', async () => {
    const root = await bench.root()
    const { agent } = await bench.child(root.agent.id, 'x')
    const narrowed = await bench.service.narrow(agent.id, layer('orders:read'))
    assert.deepEqual(narrowed.grant, ['orders:read'])
    const sooner = await bench.service.renew(agent.id, minuteMs)
    assert.equal(Date.parse(sooner.expiresAt), bench.nowMs + minuteMs)
    await assert.rejects(
      bench.service.renew(agent.id, 2 * minuteMs),
      hasCode('SP_CONFIG_INVALID', /only brings its own end nearer/),
    )
  })

  test('whoever is above puts the end off, as far as the parent lives and lets a child live', async () => {
    const root = await bench.root({ ttlMs: 8 * 60 * minuteMs })
    const parent = await bench.child(root.agent.id, 'p', {
      ttlMs: 60 * minuteMs,
      delegate: { ttlMs: 30 * minuteMs },
    })
    const { agent } = await bench.child(parent.agent.id, 'x', { ttlMs: 10 * minuteMs })
    const endOf = async (ttlMs: number): Promise<number> => {
      const view = await bench.service.renew(agent.id, ttlMs, undefined, true)
      return Date.parse(view.expiresAt) - bench.nowMs
    }
    assert.equal(await endOf(30 * minuteMs), 30 * minuteMs)
    await assert.rejects(endOf(40 * minuteMs), hasCode('SP_CONFIG_INVALID', /can live until/))
    bench.nowMs += 25 * minuteMs
    assert.equal(await endOf(30 * minuteMs), 30 * minuteMs)
    bench.nowMs += 25 * minuteMs
    // The parent has 10 minutes left.
    await assert.rejects(endOf(30 * minuteMs), hasCode('SP_CONFIG_INVALID'))
    assert.equal(await endOf(10 * minuteMs), 10 * minuteMs)
    await assert.rejects(
      bench.service.renew(root.agent.id, 9 * 60 * minuteMs, undefined, true),
      hasCode('SP_CONFIG_INVALID'),
    )
    await bench.restart()
    assert.equal(
      Date.parse(bench.service.get(agent.id)?.expiresAt ?? ''),
      bench.nowMs + 10 * minuteMs,
    )
    bench.nowMs += 11 * minuteMs
    await assert.rejects(endOf(minuteMs), hasCode('SP_AGENT_ENDED'))
  })

  test('narrowing again and again folds, also after a restart, and what says something else is refused', async () => {
    const root = await bench.root()
    const { agent } = await bench.child(root.agent.id, 'x')
    const tables = Array.from({ length: 12 }, (_, n) => `t${n}`)
    for (let left = 12; left > 0; left -= 1)
      await bench.service.narrow(
        agent.id,
        layer(`orders:read table=${tables.slice(0, left).join(',')}`),
      )
    assert.deepEqual(bench.service.get(agent.id)?.grant.at(-1), 'orders:read table=t0')
    const layersOf = (): number =>
      bench.service.changesSince(0).agents.find(({ id }) => id === agent.id)?.layers.length ?? 0
    assert.ok(layersOf() <= 8)
    const { rows } = await sql<{ n: number }>`
      select jsonb_array_length(layers) as n from agent where id = ${agent.id}`.execute(
      bench.store.db,
    )
    assert.deepEqual(rows, [{ n: 12 }])
    await bench.restart()
    assert.ok(layersOf() <= 8)
    assert.deepEqual(bench.service.get(agent.id)?.grant.at(-1), 'orders:read table=t0')
    const other = await bench.child(root.agent.id, 'y')
    // None of these lies within another.
    for (let n = 0; n < 8; n += 1)
      await bench.service.narrow(other.agent.id, layer(`orders:read table=a${n}*`))
    await assert.rejects(
      bench.service.narrow(other.agent.id, layer('orders:read table=b*')),
      hasCode('SP_CONFIG_INVALID', /8 layers/),
    )
    await bench.service.narrow(other.agent.id, layer('orders:read table=a0b'))
  })

  test('an end waits for the workers as long as it is told to', async () => {
    const { agent } = await bench.root()
    const child = async (): Promise<string> => (await bench.child(agent.id, 'x')).agent.id
    const waits: number[] = []
    let isAnswered = false
    const closing = (): Awaited<ReturnType<typeof bench.service.closer>> => ({
      acknowledged: isAnswered ? 2 : 1,
      workers: 2,
      silent: isAnswered ? [] : [1],
      closed: [],
      later: async (ms) => {
        waits.push(ms)
        return closing()
      },
    })
    bench.service.closer = async () => closing()
    const soon = await bench.service.revoke(await child(), 'dana', 'x')
    assert.deepEqual([soon.state, waits.length], ['unknown', 0])
    const fenced = await bench.service.revoke(await child(), 'dana', 'x', 'closed')
    assert.equal(fenced.state, 'partial')
    assert.deepEqual(fenced.workers, { all: 2, acknowledged: 1, fenced: 1 })
    assert.ok((waits[0] ?? 0) > 10_000 && (waits[0] ?? 0) <= 12_000)
    isAnswered = true
    assert.equal((await bench.service.revoke(await child(), 'dana', 'x', 'closed')).state, 'closed')
    const last = await child()
    const none = await bench.service.revoke(last, 'dana', 'x', 'none')
    assert.equal(none.state, 'pending')
    assert.equal(state(last), 'revoked')
    assert.ok(none.epoch !== undefined)
    const { epoch } = none
    await until('its report', async () => (await bench.service.revocation(epoch))?.report)
    assert.equal((await bench.service.revocation(epoch))?.report?.state, 'closed')
    assert.equal(await bench.service.revocation(999_999), undefined)
    bench.service.closer = async () => ({ acknowledged: 0, workers: 0, silent: [], closed: [] })
  })

  test('a report tells of nothing that was below another', async () => {
    const [one, two] = [await bench.root(), await bench.root()]
    const session = { session: 's_2', agent: two.agent.id, connection: 'orders', outcome: 'idle' }
    bench.service.closer = async () => ({
      acknowledged: 1,
      workers: 1,
      silent: [],
      closed: [session as never],
    })
    assert.deepEqual((await bench.service.revoke(one.agent.id, 'dana', 'x')).sessions, [])
    assert.equal((await bench.service.revoke(two.agent.id, 'dana', 'x')).sessions.length, 1)
    bench.service.closer = async () => ({ acknowledged: 0, workers: 0, silent: [], closed: [] })
  })

  test('long gone agents are forgotten, and their children with them', async () => {
    const root = await bench.root()
    const { agent } = await bench.child(root.agent.id, 'x')
    await bench.service.revoke(root.agent.id, 'dana', 'x')
    bench.nowMs += 26 * minuteMs
    const gone: string[] = []
    bench.service.onChange(({ goneAgents }) => gone.push(...goneAgents))
    await bench.service.sweep()
    assert.ok(gone.includes(root.agent.id) && gone.includes(agent.id))
    assert.equal(bench.service.get(agent.id), undefined)
  })

  test('the ledger holds every change with the chain of who asked', async () => {
    const root = await bench.root()
    const { agent } = await bench.child(root.agent.id, 'x')
    await bench.service.freeze(agent.id, { by: 'owner', name: 'dana', chain: ['dana'] }, 'why')
    await bench.service.unfreeze(agent.id, 'dana', 'fine')
    await bench.service.end(agent.id, 'x')
    const rows = await bench.store.db
      .selectFrom('agent_event')
      .select(['kind', 'by_chain', 'path'])
      .where('agent_id', '=', agent.id)
      .orderBy('id')
      .execute()
    assert.deepEqual(
      rows.map(({ kind }) => kind),
      ['born', 'frozen', 'unfrozen', 'ended'],
    )
    assert.deepEqual(rows[0]?.by_chain, ['dana'])
    assert.deepEqual(rows[0]?.path, [root.agent.id, agent.id])
  })
})
