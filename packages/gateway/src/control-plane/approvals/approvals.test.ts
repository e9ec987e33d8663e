import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import fc from 'fast-check'
import { skipReason, startPostgres, type TestPostgres } from '@sallyport/testkit'
import { SallyportError, type AgentId } from '@sallyport/core'
import { openPgliteStore } from '../adapters/pglite-store.ts'
import { openPostgresStore } from '../adapters/postgres-store.ts'
import type { Store } from '../ports/store.ts'
import { agent, away, demand, person, World } from './approvals.fixture.ts'

const maria = person('maria')
const ben = person('ben')
const refused = { code: 'SP_APPROVAL_REFUSED' }

suite('requests for approval, in the embedded store', () => {
  let dir: string
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-approvals-'))
  })
  sharedTests(async () => await openPgliteStore(dir))
  // Hooks run in the order that they are written in, and the store is closed by then.
  after(async () => await rm(dir, { recursive: true, force: true }))
})

suite('requests for approval, on a server', { skip: skipReason() }, () => {
  let postgres: TestPostgres
  before(async () => {
    postgres = await startPostgres({
      users: [{ name: 'gate', auth: 'scram-sha-256', password: 'gate', superuser: true }],
    })
  })
  sharedTests(
    async () =>
      await openPostgresStore(
        `postgresql://gate:gate@127.0.0.1:${postgres.port}/${postgres.database}`,
      ),
  )
  after(async () => await postgres.stop())
})

function sharedTests(open: () => Promise<Store>): void {
  let world: World
  before(async () => {
    world = await World.open(await open())
  })
  after(async () => {
    await world.approvals.stop()
    await world.store.close()
  })

  test('of many answers at once one ends it, and its command goes on once', async () => {
    for (const decisions of [
      ['approve', 'approve', 'approve', 'approve'],
      ['deny', 'approve', 'deny', 'approve'],
    ] as const) {
      const { id } = await world.ask()
      const outcomes = await Promise.allSettled(
        decisions.map(async (decision, n) =>
          world.approvals.answer(id, n % 2 === 0 ? maria : ben, decision, ''),
        ),
      )
      assert.equal(outcomes.filter(({ status }) => status === 'fulfilled').length, 1)
      assert.equal(world.sentTo(id).length, 1)
      const { state, answers } = await world.approvals.get(id)
      const isDenied = world.sentTo(id)[0]?.outcome === 'denied'
      assert.equal(state, isDenied ? 'denied' : 'used')
      assert.deepEqual(
        answers.map((each) => each.answer),
        [isDenied ? 'deny' : 'approve'],
      )
    }
  })

  test('a yes after the end changes nothing: denied, expired, withdrawn, used', async () => {
    const denied = await world.ask()
    await world.approvals.answer(denied.id, maria, 'deny', '')
    const used = await world.ask()
    await world.approvals.answer(used.id, maria, 'approve', '')
    const withdrawn = await world.ask()
    await world.approvals.withdrawn(withdrawn.id, 'cancelled')
    const expired = await world.ask({ untilMs: world.nowMs + 1000 })
    world.nowMs += 1000
    for (const { id } of [denied, used, withdrawn, expired]) {
      const before = world.sentTo(id).length
      await assert.rejects(world.approvals.answer(id, ben, 'approve', ''), refused)
      assert.equal(world.sentTo(id).length, before)
    }
  })

  test('a number is reached by that many different persons, and no sooner', async () => {
    const { id } = await world.ask({ demands: demand({ count: 2 }) })
    await world.approvals.answer(id, maria, 'approve', '')
    await world.approvals.answer(id, maria, 'approve', '')
    assert.equal((await world.approvals.get(id)).state, 'pending')
    // The first changes her mind.
    await world.approvals.answer(id, maria, 'deny', '')
    assert.equal((await world.approvals.get(id)).state, 'denied')
  })

  test('one yes is used once, by however many at once, and within its five minutes', async () => {
    const asked = await world.ask({ wait: 'return' })
    await world.approvals.answer(asked.id, maria, 'approve', '')
    const others = await Promise.all(
      Array.from({ length: 5 }, () => world.ask({ wait: 'return', binding: asked.binding })),
    )
    const outcomes = others.map(({ id }) => world.sentTo(id).at(-1)?.outcome)
    assert.equal(outcomes.filter((each) => each === 'approved').length, 1)
    assert.equal(outcomes.filter((each) => each === 'pending').length, 4)

    const slow = await world.ask({ wait: 'return' })
    await world.approvals.answer(slow.id, maria, 'approve', '')
    world.nowMs += 5 * 60_000
    const late = await world.ask({ wait: 'return', binding: slow.binding })
    assert.equal(world.sentTo(late.id).at(-1)?.outcome, 'pending')
    assert.equal((await world.approvals.get(slow.id)).state, 'expired')
  })

  test('a restart keeps what is to come again, and withdraws what was held', async () => {
    const again = await world.ask({ wait: 'return' })
    const approved = await world.ask({ wait: 'return' })
    await world.approvals.answer(approved.id, maria, 'approve', '')
    const held = await world.ask()
    const next = await World.open(world.store)
    assert.equal((await next.approvals.get(held.id)).state, 'withdrawn')
    await assert.rejects(next.approvals.answer(held.id, maria, 'approve', ''), refused)
    await next.approvals.answer(again.id, maria, 'approve', '')
    for (const { binding } of [again, approved]) {
      const { id } = await next.ask({ wait: 'return', binding })
      assert.equal(next.sentTo(id).at(-1)?.outcome, 'approved')
    }
    await next.approvals.stop()
  })

  test("an end that could not be stored stands in nobody's way", async () => {
    const stuck = await world.ask({ wait: 'return' })
    world.isStoreAway = true
    await world.approvals.withdrawn(stuck.id, 'gone')
    world.isStoreAway = false
    assert.equal((await world.approvals.get(stuck.id)).state, 'pending')
    await assert.rejects(world.approvals.answer(stuck.id, maria, 'approve', ''), refused)
    const next = await world.ask({ wait: 'return', binding: stuck.binding })
    assert.equal(world.sentTo(next.id).at(-1)?.outcome, 'pending')
    assert.equal(world.sentTo(next.id).at(-1)?.insteadOf, undefined)
    assert.equal((await world.approvals.get(stuck.id)).state, 'expired')
  })

  test('where the store or the ledger takes nothing, nothing goes on', async () => {
    const { id } = await world.ask()
    world.isStoreAway = true
    await assert.rejects(world.approvals.answer(id, maria, 'approve', ''))
    world.isStoreAway = false
    world.isLedgerFull = true
    await assert.rejects(world.approvals.answer(id, maria, 'approve', ''))
    world.isLedgerFull = false
    assert.deepEqual(world.sentTo(id), [])
    assert.equal((await world.approvals.get(id)).state, 'pending')
    world.isStoreAway = true
    const unstored = await world.ask()
    world.isStoreAway = false
    assert.equal(world.sentTo(unstored.id).at(-1)?.outcome, 'withdrawn')
  })

  test('what a dying worker asked last is withdrawn with the rest', async () => {
    const asked = world.made()
    const asking = world.approvals.asked(7, asked, world.questions)
    await world.approvals.workerLost(7)
    await asking
    assert.equal((await world.approvals.get(asked.id)).state, 'withdrawn')
  })

  test('a budget lets as many ask as it has, however many do at once', async () => {
    world.budget = 3
    const all = await Promise.all(Array.from({ length: 12 }, () => world.ask()))
    world.budget = Infinity
    const withdrawn = all.filter(({ id }) => world.sentTo(id).length > 0)
    assert.equal(withdrawn.length, 9)
    for (const { id } of withdrawn)
      assert.match(world.sentTo(id)[0]?.note ?? '', /the budget is used up/)
    for (const { id } of all) await world.approvals.withdrawn(id, '')
  })

  test('a note that would steer a terminal, or that a store cannot keep, is refused', async () => {
    const { id } = await world.ask()
    for (const note of [
      '\u001B[2Jgone',
      'a\nANSWER approve',
      '\u009B31m',
      '\u202Eevil',
      'a\0b',
      '\uD800',
    ])
      await assert.rejects(world.approvals.answer(id, maria, 'deny', note), {
        code: 'SP_CONFIG_INVALID',
      })
    await assert.rejects(world.approvals.answer(id, maria, 'deny', 'x'.repeat(501)), SallyportError)
    await world.approvals.answer(id, maria, 'deny', 'nö, bitte mit LIMIT 🙂')
    assert.equal(world.sentTo(id)[0]?.note, 'nö, bitte mit LIMIT 🙂')
  })

  test('nobody of the tree, and no agent of its person, ever answers, whatever names them', async () => {
    const from = ['agent:a_root', 'agent:a_child', 'agent:a_far', 'user:p_dana', 'agent:a_fit']
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('a_root', 'a_child', 'a_sibling', 'a_far'),
        fc.subarray([...from, 'agent:a_sibling', 'agent:a_root@p_dana', 'agent:a_far@p_dana'], {
          minLength: 1,
        }),
        async (id, named) => {
          const asked = await world.ask({ demands: demand({ from: named }) })
          const approver = agent(id, 'p_dana')
          await assert.rejects(world.approvals.answer(asked.id, approver, 'approve', ''), refused)
          await world.approvals.withdrawn(asked.id, '')
        },
      ),
      { numRuns: 20 },
    )
    const { id } = await world.ask({ demands: demand({ from }) })
    await world.approvals.answer(id, agent('a_fit', 'p_eve'), 'approve', '')
    assert.equal(world.sentTo(id)[0]?.outcome, 'approved')
  })

  test('of counts on demand two at a time reach a target, however many are asked for, and each has its number', async () => {
    const { promise: gate, resolve: letGo } = Promise.withResolvers<void>()
    let open = 0
    let most = 0
    world.target = async () => {
      open += 1
      most = Math.max(most, open)
      await gate
      return {
        ask: async ({ text }) => await Promise.resolve({ columns: ['count'], rows: [[text]] }),
        [Symbol.asyncDispose]: async () => {
          await Promise.resolve()
          open -= 1
        },
      }
    }
    const counted = await Promise.all(
      Array.from({ length: 20 }, async (_, n) => {
        const asked = world.made()
        await world.approvals.asked(1, asked, { ...world.questions, count: { text: String(n) } })
        return async () => await world.approvals.count(asked.id, { by: 'owner', name: 'root' })
      }),
    )
    const views = Promise.all(counted.map(async (count) => await count()))
    letGo()
    const counts = (await views).map(({ preview }) => preview?.count)
    assert.deepEqual(
      counts,
      counts.map((_, n) => ({ known: true, value: n, source: 'counted, read-only' })),
    )
    assert.equal(most, 2)
    await assert.rejects(async () => await counted[0]?.(), { code: 'SP_RATE_LIMIT' })
    world.nowMs += 2000
    await counted[0]?.()
    world.target = away
  })

  test('nobody asks beyond the limit of a tree, and another tree still may', async () => {
    for (let n = 0; n < 1000; n += 50)
      await Promise.all(Array.from({ length: 50 }, () => world.ask()))
    const beyond = await world.ask()
    assert.match(world.sentTo(beyond.id)[0]?.note ?? '', /too many commands of its tree/)
    const other = await world.ask({ path: ['a_other' as AgentId] })
    assert.deepEqual(world.sentTo(other.id), [])
  })
}
