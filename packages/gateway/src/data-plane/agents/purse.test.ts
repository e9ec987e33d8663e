import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AgentId, Budget } from '@sallyport/core'
import type { Lease, LeaseRequest } from '../../boundary/agents.ts'
import { AgentIndex } from './agent-index.ts'
import { Purse, type Needs } from './purse.ts'

const agent = 'a' as AgentId

function indexWith(budget: Budget): AgentIndex {
  const index = new AgentIndex(() => 0)
  const principal = { id: 'user:dana', kind: 'human', name: 'dana', groups: [] } as const
  const times = { createdAtMs: 0, expiresAtMs: 1 }
  void index.apply({
    from: 0,
    version: 1,
    agents: [
      {
        id: agent,
        path: [agent],
        name: 'a',
        principal,
        state: 'active',
        layers: [],
        budget,
        ...times,
      },
    ],
    credentials: [],
    goneAgents: [],
    goneCredentials: [],
  })
  return index
}

/** Counts as the control plane does. */
function bank(budget: Budget): {
  left: Map<string, number>
  lease: (request: LeaseRequest) => Promise<Lease>
} {
  const left = new Map(Object.entries(budget))
  return {
    left,
    lease: async ({ amounts }) => {
      await Promise.resolve()
      const granted: Record<string, number> = {}
      for (const [kind, amount] of Object.entries(amounts)) {
        const give = Math.min(amount, left.get(kind) ?? 0)
        left.set(kind, (left.get(kind) ?? 0) - give)
        granted[kind] = give
      }
      return { granted }
    },
  }
}

const one: Needs = [['commands', 1]]

test('without a cap nothing is asked for', () => {
  const purse = new Purse(
    indexWith({}),
    agent,
    () => {
      throw new Error('asked')
    },
    () => 0,
  )
  assert.equal(purse.isReady(one), true)
  assert.equal(purse.take(one), undefined)
  assert.equal(purse.countsRows, false)
})

test('purses together never spend more than the cap, and what they give back can be spent again', async () => {
  const amount = fc.integer({ min: 1, max: 200 })
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 0, max: 300 }),
      fc.array(fc.tuple(fc.integer({ min: 0, max: 2 }), amount), { maxLength: 40 }),
      async (cap, tries) => {
        const counted = bank({ rows: cap })
        const index = indexWith({ rows: cap })
        const purses = [0, 1, 2].map(() => new Purse(index, agent, counted.lease, () => 0))
        let spent = 0
        for (const [which, rows] of tries) {
          const purse = purses[which]
          const needs: Needs = [['rows', rows]]
          await purse?.fill(needs)
          assert.equal(purse?.isReady(needs), true)
          if (purse?.take(needs) === undefined) spent += rows
        }
        const back = purses.reduce((sum, purse) => sum + (purse.empty().rows ?? 0), 0)
        assert.ok(spent <= cap)
        assert.equal(spent + back + (counted.left.get('rows') ?? 0), cap)
      },
    ),
  )
})

test('a take is all or nothing', async () => {
  const counted = bank({ commands: 5, writes: 0 })
  const purse = new Purse(indexWith({ commands: 5, writes: 0 }), agent, counted.lease, () => 0)
  const both: Needs = [
    ['commands', 1],
    ['writes', 1],
  ]
  await purse.fill(both)
  assert.equal(purse.take(both)?.kind, 'writes')
  assert.equal(purse.empty().commands, 5)
})

test('a cap that was met is asked for again after a while, not at once', async () => {
  const counted = bank({ commands: 0 })
  let nowMs = 0
  const purse = new Purse(indexWith({ commands: 0 }), agent, counted.lease, () => nowMs)
  await purse.fill(one)
  assert.equal(purse.take(one)?.kind, 'commands')
  counted.left.set('commands', 3)
  assert.equal(purse.take(one)?.kind, 'commands')
  nowMs = 5_000
  assert.equal(purse.isReady(one), false)
  await purse.fill(one)
  assert.equal(purse.take(one), undefined)
})
