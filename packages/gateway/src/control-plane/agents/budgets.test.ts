import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AgentId, Budget, BudgetKind } from '@sallyport/core'
import fc from 'fast-check'
import { LEASE_CHUNK } from './budgets.ts'
import { type Bench, hasCode, onBothStores } from './agents.fixture.ts'

onBothStores('budgets', (bench: Bench) => {
  const lease = (
    agent: AgentId,
    amounts: Budget,
    worker = 0,
  ): ReturnType<typeof bench.service.lease> => bench.service.lease({ agent, amounts }, worker)
  const used = (agent: AgentId, name: string, kind: BudgetKind): number | undefined =>
    bench.service.budgetOf(agent).find((line) => line.name === name && line.kind === kind)?.used

  /** A path of agents, each with a cap for commands where one is given. */
  const path = async (caps: readonly (number | undefined)[]): Promise<AgentId[]> => {
    const ids: AgentId[] = []
    for (const cap of caps) {
      const budget: Budget = cap === undefined ? {} : { commands: cap }
      const last = ids.at(-1)
      const { agent } =
        last === undefined
          ? await bench.root({ budget, delegate: { depth: 16 } })
          : await bench.child(last, 'x', { budget, cut: true })
      ids.push(agent.id)
    }
    return ids
  }

  test('what is granted is taken from the whole path, at most what the least has left', async () => {
    const root = await bench.root({ budget: { commands: 100, rows: 10 } })
    const child = await bench.child(root.agent.id, 'kid', { budget: { commands: 70 } })
    const first = await lease(child.agent.id, { commands: 60, rows: 4, bytes: 9 })
    assert.deepEqual(first, { granted: { commands: 60, rows: 4, bytes: 9 } })
    const second = await lease(child.agent.id, { commands: 60, rows: 60 })
    assert.deepEqual(second, { granted: { commands: 10, rows: 6 } })
    const third = await lease(child.agent.id, { commands: 1 })
    assert.deepEqual(third, {
      granted: { commands: 0 },
      spent: { kind: 'commands', cap: 70, agent: 'kid' },
    })
    const rows = await lease(child.agent.id, { rows: 1 })
    assert.deepEqual(rows.spent, { kind: 'rows', cap: 10, agent: 'dana' })
    assert.deepEqual(
      [used(child.agent.id, 'dana', 'commands'), used(child.agent.id, 'kid', 'commands')],
      [70, 70],
    )
    assert.deepEqual(await lease(root.agent.id, { commands: 64 }), { granted: { commands: 30 } })
  })

  test('a worker takes no more at once than it may lose', async () => {
    const { agent } = await bench.root({
      budget: { commands: 1000, rows: 100_000, bytes: 10_000_000 },
    })
    assert.deepEqual(
      (await lease(agent.id, { commands: 999, rows: 99_999, bytes: 9_999_999 })).granted,
      LEASE_CHUNK,
    )
  })

  test('what was not spent comes back once, and never more than was leased', async () => {
    const { agent } = await bench.root({ budget: { commands: 100 } })
    await lease(agent.id, { commands: 64 }, 1)
    await bench.service.returnLease({ agent: agent.id, amounts: { commands: 60 } }, 1)
    assert.equal(used(agent.id, 'dana', 'commands'), 4)
    await bench.service.returnLease({ agent: agent.id, amounts: { commands: 60 } }, 1)
    await bench.service.returnLease({ agent: agent.id, amounts: { commands: 60 } }, 2)
    assert.equal(used(agent.id, 'dana', 'commands'), 0)
  })

  test('a lease that is lost with its worker, or with the gateway, is spent', async () => {
    const { agent } = await bench.root({ budget: { commands: 200 } })
    await lease(agent.id, { commands: 64 }, 1)
    bench.service.workerLost(1)
    await bench.service.returnLease({ agent: agent.id, amounts: { commands: 64 } }, 1)
    assert.equal(used(agent.id, 'dana', 'commands'), 64)
    await lease(agent.id, { commands: 64 }, 1)
    await bench.restart()
    assert.equal(used(agent.id, 'dana', 'commands'), 128)
    await bench.service.returnLease({ agent: agent.id, amounts: { commands: 64 } }, 1)
    assert.equal(used(agent.id, 'dana', 'commands'), 128)
  })

  test('of 130 tries at depth 8 exactly as many succeed as the least cap allows', async () => {
    const ids = await path([200, 150, 120, 93, 100, 200, undefined, 500, 110])
    const leaf = ids.at(-1)
    assert.ok(leaf !== undefined)
    const tries = await Promise.all(Array.from({ length: 130 }, () => lease(leaf, { commands: 1 })))
    const granted = tries.reduce((sum, each) => sum + (each.granted.commands ?? 0), 0)
    assert.equal(granted, 93)
    const counters = new Set(bench.service.budgetOf(leaf).map((line) => line.used))
    assert.deepEqual([...counters], [93])
  })

  test('no order of leases and returns at once ever spends more than a cap', async () => {
    const cap = fc.option(fc.nat(300), { nil: undefined })
    const step = fc.record({
      at: fc.nat(3),
      worker: fc.nat(2),
      commands: fc.integer({ min: 1, max: 64 }),
      back: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(
        fc.array(cap, { minLength: 1, maxLength: 4 }),
        fc.array(step, { maxLength: 40 }),
        async (caps, steps) => {
          const ids = await path(caps)
          const held = await Promise.all(
            steps.map(async ({ at, worker, commands, back }) => {
              const index = at % ids.length
              const agent = ids[index]
              assert.ok(agent !== undefined)
              const { granted } = await lease(agent, { commands }, worker)
              const got = granted.commands ?? 0
              if (!back) return { index, kept: got }
              await bench.service.returnLease({ agent, amounts: { commands: got } }, worker)
              return { index, kept: 0 }
            }),
          )
          const leaf = ids.at(-1)
          assert.ok(leaf !== undefined)
          for (const line of bench.service.budgetOf(leaf)) {
            const depth = ids.indexOf(line.agent)
            const below = held
              .filter(({ index }) => index >= depth)
              .reduce((sum, { kept }) => sum + kept, 0)
            const row = await bench.store.db
              .selectFrom('budget')
              .select(['used', 'cap'])
              .where('agent_id', '=', line.agent)
              .executeTakeFirstOrThrow()
            assert.equal(Number(row.used), below)
            assert.ok(below <= Number(row.cap))
          }
        },
      ),
      { numRuns: 15 },
    )
  })

  test('what a child reserves is gone for its siblings, and what it leaves comes back when it ends', async () => {
    const root = await bench.root({ budget: { commands: 100, rows: 50 } })
    const child = await bench.child(root.agent.id, 'kid', {
      budget: { commands: 70 },
      reserve: true,
    })
    assert.equal(used(root.agent.id, 'dana', 'commands'), 70)
    assert.deepEqual((await lease(root.agent.id, { commands: 64 })).granted, { commands: 30 })
    const leaf = await bench.child(child.agent.id, 'leaf')
    await lease(leaf.agent.id, { commands: 20, rows: 5 }, 1)
    const counts = (): unknown[] => [
      used(leaf.agent.id, 'kid', 'commands'),
      used(leaf.agent.id, 'dana', 'commands'),
      used(leaf.agent.id, 'dana', 'rows'),
    ]
    // Its commands were paid for; its rows were not reserved.
    assert.deepEqual(counts(), [20, 100, 5])
    await bench.restart()
    await lease(leaf.agent.id, { commands: 10 }, 1)
    assert.deepEqual(counts(), [30, 100, 5])
    await bench.service.end(child.agent.id, 'dana')
    assert.deepEqual(counts(), [30, 60, 5])
    // In its grace the leaf spends what is its grandparent's again, and within the cap of old.
    await lease(leaf.agent.id, { commands: 64 }, 1)
    assert.deepEqual(counts(), [70, 100, 5])
    await bench.service.returnLease({ agent: leaf.agent.id, amounts: { commands: 40 } }, 1)
    assert.deepEqual(counts(), [30, 60, 5])
    await bench.service.revoke(child.agent.id, 'dana', 'twice')
    assert.deepEqual(counts(), [30, 60, 5])
  })

  test('nobody reserves more than is left, and what is refused takes nothing', async () => {
    const root = await bench.root({ budget: { commands: 100, rows: 10 } })
    const reserve = (commands: number, rows: number): ReturnType<typeof bench.child> =>
      bench.child(root.agent.id, 'kid', { budget: { commands, rows }, reserve: true })
    await reserve(60, 5)
    await assert.rejects(
      reserve(50, 1),
      hasCode('SP_BUDGET_SPENT', /reserves commands=50, of which 40 are left/),
    )
    assert.equal(used(root.agent.id, 'dana', 'commands'), 60)
    assert.equal(used(root.agent.id, 'dana', 'rows'), 5)
    const tries = await Promise.allSettled(Array.from({ length: 8 }, () => reserve(10, 1)))
    assert.equal(tries.filter(({ status }) => status === 'fulfilled').length, 4)
    assert.equal(used(root.agent.id, 'dana', 'commands'), 100)
  })

  test('reserved within reserved: a revocation gives all back, in whatever order', async () => {
    const root = await bench.root({ budget: { commands: 100 } })
    const a = await bench.child(root.agent.id, 'a', { budget: { commands: 50 }, reserve: true })
    const b = await bench.child(a.agent.id, 'b', { budget: { commands: 20 }, reserve: true })
    await lease(b.agent.id, { commands: 7 })
    await bench.service.revoke(a.agent.id, 'dana', 'x')
    assert.equal(used(root.agent.id, 'dana', 'commands'), 7)
  })

  test('whatever is reserved, spent, returned and ended: nobody pays twice, and no cap is passed', async () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant('spawn' as const),
        at: fc.nat(),
        cap: fc.integer({ min: 1, max: 40 }),
        reserve: fc.boolean(),
      }),
      fc.record({
        kind: fc.constant('lease' as const),
        at: fc.nat(),
        amount: fc.integer({ min: 1, max: 30 }),
      }),
      fc.record({ kind: fc.constant('end' as const), at: fc.nat() }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 12 }), async (steps) => {
        const root = await bench.root({ budget: { commands: 100 } })
        const ids: AgentId[] = [root.agent.id]
        let spent = 0
        for (const each of steps) {
          const agent = ids[each.at % ids.length] ?? root.agent.id
          if (each.kind === 'spawn') {
            const { cap, reserve } = each
            const asked = { budget: { commands: cap }, reserve, cut: true, delegate: {} }
            const made = await bench.child(agent, 'x', asked).catch(() => undefined)
            if (made !== undefined) ids.push(made.agent.id)
          } else if (each.kind === 'lease') {
            spent += (await lease(agent, { commands: each.amount })).granted.commands ?? 0
          } else if (agent !== root.agent.id) await bench.service.revoke(agent, 'dana', 'x')
        }
        for (const id of ids.slice(1)) await bench.service.revoke(id, 'dana', 'x')
        // All that was reserved has come back: what is left used is what was spent.
        assert.equal(used(root.agent.id, 'dana', 'commands'), spent)
        assert.ok(spent <= 100)
      }),
      { numRuns: 25 },
    )
  })
})
