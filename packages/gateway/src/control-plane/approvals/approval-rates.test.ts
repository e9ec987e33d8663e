import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, suite, test } from 'node:test'
import type { AgentId } from '@sallyport/core'
import { openPgliteStore } from '../adapters/pglite-store.ts'
import { agent, demand, person, World } from './approvals.fixture.ts'

const maria = person('maria')
const tooFast = { code: 'SP_APPROVAL_REFUSED', message: /^too-fast: maria has approved 3 times/ }

suite('guards against saying yes without a look', () => {
  let dir: string
  let world: World
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-rates-'))
    world = await World.open(await openPgliteStore(dir))
    world.limits.approvalsPerMinute = 3
  })
  beforeEach(() => {
    world.nowMs += 60 * 60_000
    world.told.length = 0
  })
  after(async () => {
    await world.approvals.stop()
    await world.store.close()
    await rm(dir, { recursive: true, force: true })
  })

  const ids = async (count: number, over = {}): Promise<string[]> => {
    const all: string[] = []
    for (let n = 0; n < count; n += 1) all.push((await world.ask(over)).id)
    return all
  }
  const approve = async (id: string | undefined, by = maria): Promise<string> =>
    (await world.approvals.answer(id ?? '', by, 'approve', '')).state

  test('beyond the limit of a minute a yes has to wait, and a no does not', async () => {
    const [first, second, third, fourth, fifth] = await ids(5)
    for (const id of [first, second, third]) {
      await approve(id)
      world.nowMs += 10_000
    }
    await assert.rejects(approve(fourth), tooFast)
    assert.ok(
      world.facts.some(
        ({ what, detail }) => what === 'approval.refused' && detail?.['why'] === 'too-fast',
      ),
    )
    assert.equal(await approve(fourth, person('ben')), 'used')
    await world.approvals.answer(fifth ?? '', maria, 'deny', '')
    world.nowMs += 29_999
    const [late, later] = await ids(2)
    await assert.rejects(approve(late), tooFast)
    world.nowMs += 1
    assert.equal(await approve(late), 'used')
    await assert.rejects(approve(later), tooFast)
  })

  test('of many at once no more than the limit count, and what was not stored does not', async () => {
    const all = await ids(8)
    const came = await Promise.allSettled(all.map(async (id) => await approve(id)))
    assert.equal(came.filter(({ status }) => status === 'fulfilled').length, 3)
    world.nowMs += 60_000
    const [stuck, one, two, three, four] = await ids(5)
    world.isLedgerFull = true
    await assert.rejects(approve(stuck), { code: 'SP_RECORD_UNAVAILABLE' })
    world.isLedgerFull = false
    for (const id of [one, two, three]) await approve(id)
    await assert.rejects(approve(four), tooFast)
  })

  test('a person and their agent are one, and a bundle is one act', async () => {
    const demands = demand({ from: ['group:dba', 'agent:a_fit'], offer: ['once', 'bundle'] })
    const [first, second, third] = await ids(3, { demands })
    await approve(first)
    await approve(second, agent('a_fit', 'p_maria'))
    const alike = { shape: 'same', demands, path: ['a_root', 'a_other'] as AgentId[] }
    await ids(11, alike)
    const [bundle] = world.approvals.bundles()
    assert.equal(
      (await world.approvals.answerBundle(bundle?.id ?? '', maria, 'approve', '')).length,
      11,
    )
    await assert.rejects(approve(third), tooFast)
    await ids(11, alike)
    const [again] = world.approvals.bundles()
    const refused = world.approvals.answerBundle(again?.id ?? '', maria, 'approve', '')
    await assert.rejects(refused, tooFast)
    await world.approvals.answerBundle(again?.id ?? '', maria, 'deny', '')
  })

  test('a tree that asks often is told so, once a minute, and who decides sees it', async () => {
    const ten = await ids(10)
    assert.equal(world.told.length, 0)
    assert.equal((await world.approvals.get(ten[0] ?? '')).often, undefined)
    const [eleventh] = await ids(1)
    assert.deepEqual(
      world.told.map(({ id, text }) => [id, text.slice(0, 23)]),
      [[eleventh, '11 requests of this tre']],
    )
    await ids(5)
    assert.equal(world.told.length, 1)
    assert.equal((await world.approvals.get(ten[0] ?? '')).often, 16)
    const other = await world.ask({ path: ['a_quiet'] as AgentId[] })
    assert.equal((await world.approvals.get(other.id)).often, undefined)
    world.nowMs += 60_000
    await ids(1)
    assert.deepEqual(world.told.length, 2)
    const [pending] = await ids(1, { wait: 'return' })
    assert.equal(world.sentTo(pending as never)[0]?.note, '')
    world.nowMs += 60_000
    const [next] = await ids(1, { wait: 'return' })
    assert.match(world.sentTo(next as never)[0]?.note ?? '', /^19 requests of this tree/)
    const told = world.facts.filter(({ what }) => what === 'approval.often')
    assert.deepEqual(
      told.slice(-3).map(({ subject, detail }) => [subject, detail?.['requests']]),
      [
        ['a_root', 11],
        ['a_root', 17],
        ['a_root', 19],
      ],
    )
    world.nowMs += 10 * 60_000
    await ids(1)
    assert.equal(world.told.length, 2)
  })
})
