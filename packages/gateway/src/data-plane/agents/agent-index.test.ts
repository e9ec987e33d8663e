import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { AgentId, AgentState, SessionId } from '@sallyport/core'
import type { AgentChanges, AgentRecord } from '../../boundary/agents.ts'
import { AgentIndex, type LiveSession } from './agent-index.ts'

const far = Number.MAX_SAFE_INTEGER

function record(
  path: readonly string[],
  state: AgentState = 'active',
  expiresAtMs = far,
): AgentRecord {
  return {
    id: (path.at(-1) ?? '') as AgentId,
    path: path as readonly AgentId[],
    name: path.at(-1) ?? '',
    principal: { id: 'user:dana', kind: 'human', name: 'dana', groups: [] },
    state,
    layers: [{ permits: [] }],
    budget: {},
    createdAtMs: 0,
    expiresAtMs,
  }
}

function changes(
  version: number,
  agents: readonly AgentRecord[],
  from = version - 1,
): AgentChanges {
  return { from, version, agents, credentials: [], goneAgents: [], goneCredentials: [] }
}

function session(id: string, agent: string): LiveSession & { taken: number; told: number } {
  return {
    id: id as SessionId,
    agent: agent as AgentId,
    connection: 'shop',
    taken: 0,
    told: 0,
    agentsChanged() {
      this.told += 1
    },
    takeAway() {
      this.taken += 1
      return Promise.resolve('idle')
    },
  }
}

const tree = [record(['a']), record(['a', 'b']), record(['a', 'b', 'c']), record(['a', 'd'])]

function index(nowMs = 0): AgentIndex {
  const made = new AgentIndex(() => nowMs)
  void made.apply(changes(1, tree, 0))
  return made
}

const path = (...ids: string[]): AgentId[] => ids as AgentId[]

test('taking an agent away takes every session below it away, and no other', async () => {
  const agents = index()
  const inC = session('s1', 'c')
  const inD = session('s2', 'd')
  agents.register(inC, path('a', 'b', 'c'))
  agents.register(inD, path('a', 'd'))
  const closed = await agents.apply(changes(2, [record(['a', 'b'], 'revoked')]))
  assert.deepEqual(closed, [{ session: 's1', agent: 'c', connection: 'shop', outcome: 'idle' }])
  assert.deepEqual([inC.taken, inD.taken, inD.told], [1, 0, 0])
})

test('a session that was let go of is not asked any more', async () => {
  const agents = index()
  const one = session('s1', 'c')
  agents.register(one, path('a', 'b', 'c'))()
  await agents.apply(changes(2, [record(['a'], 'revoked')]))
  assert.equal(one.taken, 0)
})

test('the standing is that of the first agent of the path that is not active', () => {
  const agents = index()
  assert.equal(agents.standing('c' as AgentId).kind, 'active')
  void agents.apply(changes(2, [record(['a', 'b'], 'frozen')]))
  assert.equal(agents.standing('c' as AgentId).kind, 'frozen')
  void agents.apply(changes(3, [record(['a'], 'revoked')]))
  assert.equal(agents.standing('c' as AgentId).kind, 'over')
  void agents.apply(changes(4, [record(['a'], 'ended'), record(['a', 'b'])]))
  assert.equal(agents.standing('c' as AgentId).kind, 'active')
  assert.equal(agents.standing('a' as AgentId).kind, 'over')
  assert.equal(agents.standing('x' as AgentId).kind, 'unknown')
})

test('an agent is over when its time is, though nobody has said so', () => {
  const agents = new AgentIndex(() => 50)
  void agents.apply(changes(1, [record(['a'], 'active', 50)], 0))
  assert.equal(agents.standing('a' as AgentId).kind, 'over')
})

test('changes that do not follow on are refused whole', async () => {
  const agents = index()
  assert.equal(agents.apply(changes(4, [record(['a'], 'revoked')], 3)), 'gap')
  assert.equal(agents.standing('a' as AgentId).kind, 'active')
  assert.deepEqual(await agents.apply(changes(1, [record(['a'], 'revoked')], 0)), [])
  assert.equal(agents.standing('a' as AgentId).kind, 'over')
})

test('what a full answer does not name is gone, and its sessions with it', async () => {
  const agents = index()
  const one = session('s1', 'c')
  agents.register(one, path('a', 'b', 'c'))
  await agents.apply(changes(9, [record(['a'])], 0))
  assert.equal(one.taken, 1)
})

test('a chain stays the same object until an agent of its path changes', () => {
  const agents = index()
  const before = agents.chainOf('c' as AgentId, 1)
  void agents.apply(changes(2, [record(['a', 'd'])]))
  assert.equal(agents.chainOf('c' as AgentId, 1), before)
  void agents.apply(changes(3, [record(['a', 'b'])]))
  assert.notEqual(agents.chainOf('c' as AgentId, 1), before)
})

test('registered first and looked at afterwards, no session outlives a revocation, whatever the order of events', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.scheduler(),
      fc.integer({ min: 1, max: 8 }),
      async (scheduler, openings) => {
        const agents = index()
        const served = new Set<LiveSession>()
        const open = async (number: number): Promise<void> => {
          const one = session(`s${number}`, 'c')
          const taking = one.takeAway.bind(one)
          one.takeAway = async () => {
            served.delete(one)
            return await taking()
          }
          agents.register(one, path('a', 'b', 'c'))
          await scheduler.schedule(Promise.resolve(), 'admission')
          if (agents.standing(one.agent).kind !== 'active') return
          await scheduler.schedule(Promise.resolve(), 'dial')
          if (one.taken === 0) served.add(one)
        }
        const opening = Array.from({ length: openings }, async (_, number) => {
          await scheduler.schedule(Promise.resolve(), 'arrival')
          await open(number)
        })
        const revoking = scheduler
          .schedule(Promise.resolve(), 'revocation')
          .then(async () => agents.apply(changes(2, [record(['a', 'b'], 'revoked')])))
        await scheduler.waitFor(Promise.all([...opening, revoking]))
        assert.equal(served.size, 0)
      },
    ),
  )
})
