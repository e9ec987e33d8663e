import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { AgentId } from '@sallyport/core'
import type { HoldAsked } from '../../boundary/approvals.ts'
import { openPgliteStore } from '../adapters/pglite-store.ts'
import { demand, person, World } from './approvals.fixture.ts'

const maria = person('maria')
const ben = person('ben')
const dayMs = 24 * 3_600_000

suite('figures of requests for approval', () => {
  let dir: string
  let world: World
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-stats-'))
    world = await World.open(await openPgliteStore(dir))
  })
  after(async () => {
    await world.approvals.stop()
    await world.store.close()
    await rm(dir, { recursive: true, force: true })
  })

  const ofRule = (rule: string): HoldAsked['demands'] => demand().map((each) => ({ ...each, rule }))
  /** A request that is answered so many seconds later. */
  const answered = async (
    rule: string,
    seconds: number,
    by = maria,
    decision: 'approve' | 'deny' = 'approve',
  ): Promise<void> => {
    const { id } = await world.ask({ demands: ofRule(rule) })
    world.nowMs += seconds * 1000
    await world.approvals.answer(id, by, decision, '')
  }

  test('nothing is no zero: there is no share of nothing', async () => {
    const { asked, expiredShare, fastShare, approvers, rules } = await world.approvals.stats(0)
    assert.deepEqual([asked, expiredShare, fastShare, approvers, rules], [0, null, null, [], []])
  })

  test('tell who answers how fast, and what becomes of what a rule asks for', async () => {
    const sinceMs = world.nowMs
    for (const seconds of [1, 4.999, 5, 60]) await answered('p/a', seconds)
    await answered('p/b', 2, ben, 'deny')
    world.nowMs += dayMs
    await answered('p/a', 10)
    const { id } = await world.ask({ demands: ofRule('p/b') })
    world.nowMs += 600_000
    await assert.rejects(world.approvals.answer(id, maria, 'approve', ''))
    await world.expired(id)
    const withdrawn = await world.ask({ demands: ofRule('p/b') })
    await world.withdraw(withdrawn.id)
    await world.ask({ demands: [...ofRule('p/a'), ...ofRule('p/c')] })

    const stats = await world.approvals.stats(sinceMs)
    assert.equal(stats.asked, 9)
    assert.equal(stats.expiredShare, 0.125)
    assert.equal(stats.fastShare, 0.5)
    assert.deepEqual(stats.approvers, [
      { name: 'maria', answers: 5, perDay: 2.5, medianSeconds: 5, fastShare: 0.4 },
      { name: 'ben', answers: 1, perDay: 1, medianSeconds: 2, fastShare: 1 },
    ])
    assert.deepEqual(stats.rules, [
      { rule: 'p/a', asked: 6, approved: 5, denied: 0, expired: 0 },
      { rule: 'p/b', asked: 3, approved: 0, denied: 1, expired: 1 },
      { rule: 'p/c', asked: 1, approved: 0, denied: 0, expired: 0 },
    ])
    assert.equal((await world.approvals.stats(world.nowMs + 1)).asked, 0)
    const counted = [...world.counts.ends].toSorted(([left], [right]) => (left < right ? -1 : 1))
    assert.deepEqual(counted, [
      ['approved', 5],
      ['denied', 1],
      ['expired', 1],
      ['withdrawn', 1],
    ])
    // 1, 4.999, 5 and 2 seconds, then 10, and 60.
    assert.deepEqual(world.counts.decisions.counts.slice(0, 3), [4, 1, 1])
  })

  test('a rule that is approved in 99 of 100 cases is proposed for a narrower condition, and not before', async () => {
    const sinceMs = world.nowMs + 1
    world.nowMs += 1000
    const proposals = async (): Promise<unknown[]> =>
      (await world.approvals.stats(sinceMs)).rules
        .filter(({ rule }) => rule === 'p/always')
        .map(({ proposal }) => proposal)
    for (let n = 0; n < 98; n += 1) await answered('p/always', 6)
    await answered('p/always', 6, ben, 'deny')
    assert.deepEqual(await proposals(), [undefined])
    await answered('p/always', 6)
    assert.deepEqual(await proposals(), [
      'approved in 99 of 100 cases: a narrower condition would ask for what is denied',
    ])
    await answered('p/always', 6, ben, 'deny')
    assert.deepEqual(await proposals(), [undefined])
  })

  test('an agent finds what it may see behind any number of what it may not', async () => {
    const path = ['a_mine', 'a_below'] as AgentId[]
    const own = await world.ask({ path, agent: 'a_below' as AgentId })
    const named = await world.ask({
      path: ['a_other'] as AgentId[],
      demands: [...demand({ from: ['group:dba'] }), ...demand({ from: ['agent:a_mine'] })],
    })
    for (let n = 0; n < 600; n += 50)
      await Promise.all(
        Array.from({ length: 50 }, async () => await world.ask({ path: ['a_x'] as AgentId[] })),
      )
    const ids = async (agent: string, ...words: string[]): Promise<string[]> =>
      (await world.approvals.list(['pending'], { agent, words })).map(({ id }) => id).toSorted()
    assert.deepEqual(await ids('a_mine', 'agent:a_mine'), [own.id, named.id].toSorted())
    assert.deepEqual(await ids('a_below', 'agent:a_below'), [own.id])
    assert.deepEqual(await ids('a_mine', "agent:it's@'"), [own.id])
    assert.equal((await world.approvals.list(['pending'])).length, 500)
  })
})
