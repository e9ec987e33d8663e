import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, suite, test } from 'node:test'
import { SallyportError, type AgentId, type Approver } from '@sallyport/core'
import type { HoldAsked } from '../../boundary/approvals.ts'
import { openPgliteStore } from '../adapters/pglite-store.ts'
import { agent as agentApprover, demand, person, World } from '../approvals/approvals.fixture.ts'
import type { Fact } from '../ledger/ledger.ts'
import type { Store } from '../ports/store.ts'
import type { BreakGlassGrant } from './break-glass.ts'
import type { GlassEvent } from '../contract/break-glass.ts'
import { Glasses, type GlassRequest } from './glasses.ts'

const dana: Approver = { ...person('dana'), groups: ['oncall'] }
const refused = { code: 'SP_APPROVAL_REFUSED' }
const grant: BreakGlassGrant = {
  name: 'oncall',
  to: ['group:oncall'],
  connections: ['shop', 'shop-*'],
  maxMs: 30 * 60_000,
  review: ['group:security'],
}
const request: GlassRequest = {
  agent: 'a_child' as AgentId,
  connections: ['shop'],
  reason: 'orders are stuck',
  forMs: 15 * 60_000,
}

suite('a glass that is broken', () => {
  let dir: string
  let store: Store
  let world: World
  let glasses: Glasses
  let grants: Map<string, BreakGlassGrant>
  let facts: Fact[]
  let events: GlassEvent[]
  let frozen: Set<string>
  let isLedgerFull: boolean
  const open = async (): Promise<Glasses> => {
    const opened = await Glasses.open({
      store,
      ledger: {
        write(fact) {
          if (
            isLedgerFull &&
            fact.what.startsWith('breakglass.') &&
            fact.what !== 'breakglass.ended'
          )
            throw new SallyportError('SP_RECORD_UNAVAILABLE', 'full')
          facts.push(fact)
          return Promise.resolve()
        },
      },
      now: () => world.nowMs,
      onFault: (error) => assert.fail(error as Error),
      grants: () => grants,
      rootOf: (id) => (id.startsWith('a_') ? (id === 'a_eve' ? 'p_eve' : 'p_dana') : undefined),
      refusal: (id) => (frozen.has(id) ? 'it is frozen' : undefined),
      openIncident: async () => await Promise.resolve('in_1'),
    })
    opened.onEvent((event) => events.push(event))
    world.approvals.breakGlass = opened
    return opened
  }
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-glass-'))
    store = await openPgliteStore(dir)
    world = await World.open(store)
    await prepare(store)
  })
  beforeEach(async () => {
    grants = new Map([[grant.name, grant]])
    facts = []
    events = []
    frozen = new Set()
    isLedgerFull = false
    world.nowMs = Date.now()
    glasses = await open()
  })
  afterEach(async () => {
    for (const { id, state } of await glasses.list())
      if (state === 'open') await glasses.end(id, { by: 'owner', name: 'olga' })
    glasses.stop()
  })
  after(async () => {
    await world.approvals.stop()
    await store.close()
    await rm(dir, { recursive: true, force: true })
  })

  /** How a command ends: `approved` at once, or `asked`. */
  const run = async (over: Partial<HoldAsked> = {}): Promise<string> => {
    const { id } = await world.ask({
      demands: demand({ from: ['group:dba', 'user:maria'] }),
      ...over,
    })
    const outcome = world.sentTo(id)[0]?.outcome ?? 'asked'
    if (outcome === 'asked') await world.withdraw(id)
    return outcome
  }

  test('lets commands of its agent run on its connections, and tells whom it did not ask', async () => {
    const glass = await glasses.break(dana, request)
    assert.deepEqual([glass.state, glass.by, glass.incident], ['open', 'dana', 'in_1'])
    const { id } = await world.ask({ demands: demand({ from: ['group:dba', 'user:maria'] }) })
    const [answer] = world.sentTo(id)
    assert.deepEqual(
      [answer?.outcome, answer?.by, answer?.note, answer?.insteadOf],
      ['approved', ['dana by break-glass'], 'orders are stuck', glass.id],
    )
    await assert.rejects(world.approvals.get(id), { code: 'SP_NOT_FOUND' })
    const [used] = facts.filter(({ what }) => what === 'breakglass.used')
    assert.deepEqual(
      [used?.subject, used?.actor.name, used?.detail?.['skipped'], used?.detail?.['rules']],
      [glass.id, 'dana', ['group:dba', 'user:maria'], ['p/r']],
    )
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['breakglass.opened', 'breakglass.used'],
    )
    assert.deepEqual(events[1]?.used?.skipped, ['group:dba', 'user:maria'])
    const [listed] = await glasses.list()
    assert.deepEqual([listed?.uses, listed?.skipped], [1, ['group:dba', 'user:maria']])
  })

  test('is for this agent alone, and on its connections alone', async () => {
    await glasses.break(dana, request)
    assert.equal(await run(), 'approved')
    for (const over of [
      { agent: 'a_below' as AgentId, path: ['a_root', 'a_child', 'a_below'] as AgentId[] },
      { agent: 'a_root' as AgentId, path: ['a_root'] as AgentId[] },
      { agent: 'a_sibling' as AgentId, path: ['a_root', 'a_sibling'] as AgentId[] },
      { connection: 'shop-b' },
      { connection: 'other' },
    ])
      assert.equal(await run(over), 'asked', JSON.stringify(over))
  })

  test('ends with its time, by hand, with its agent and with its grant', async () => {
    const ends: [string, () => unknown][] = [
      ['its time is over', () => (world.nowMs += request.forMs)],
      ['ended by olga', async () => await glasses.end(id, { by: 'owner', name: 'olga' })],
      [
        'it is frozen',
        () => {
          frozen.add('a_child')
          glasses.agentsChanged()
          frozen.clear()
        },
      ],
      ['the break-glass grant oncall gives it no longer', () => grants.delete('oncall')],
      [
        'the break-glass grant oncall gives it no longer',
        () => grants.set('oncall', { ...grant, to: ['group:sre'] }),
      ],
      [
        'the break-glass grant oncall gives it no longer',
        () => grants.set('oncall', { ...grant, connections: ['shop-*'] }),
      ],
    ]
    let id = ''
    for (const [why, act] of ends) {
      grants.set('oncall', grant)
      id = (await glasses.break(dana, request)).id
      world.nowMs += request.forMs - 1
      assert.equal(await run(), 'approved', why)
      world.nowMs -= request.forMs - 1
      await act()
      assert.equal(await run(), 'asked', why)
      const ended = (await glasses.list()).find((each) => each.id === id)
      assert.deepEqual([ended?.state, ended?.why], ['ended', why])
      assert.ok(facts.some(({ what, subject }) => what === 'breakglass.ended' && subject === id))
      world.nowMs += 1000
    }
  })

  test('is open for the rest of its time after a restart, and what has ended stays ended', async () => {
    const { id } = await glasses.break(dana, request)
    await run()
    const { id: other } = await glasses.break(dana, { ...request, agent: 'a_far' as AgentId })
    await glasses.end(other, { by: 'owner', name: 'olga' })
    glasses.stop()
    glasses = await open()
    assert.equal(await run(), 'approved')
    assert.equal((await glasses.list()).find((each) => each.id === id)?.uses, 2)
    assert.equal(await run({ agent: 'a_far' as AgentId, path: ['a_far'] as AgentId[] }), 'asked')
    world.nowMs += request.forMs
    glasses.stop()
    glasses = await open()
    assert.equal(await run(), 'asked')
  })

  test('nobody breaks it without a reason, for somebody else, longer or elsewhere than granted, or twice', async () => {
    for (const reason of ['', '   ', '\u001B[2J', 'a\nb'])
      await assert.rejects(glasses.break(dana, { ...request, reason }), {
        code: 'SP_CONFIG_INVALID',
      })
    const wrong: [Approver, Partial<GlassRequest>, RegExp][] = [
      [agentApprover('a_child', 'p_dana'), {}, /an agent breaks no glass/],
      [person('eve'), {}, /no agent of yours/],
      [{ ...dana, groups: [] }, {}, /no break-glass grant names dana/],
      [dana, { agent: 'a_eve' as AgentId }, /no agent of yours/],
      [dana, { agent: 'unknown' as AgentId }, /no agent of yours/],
      [dana, { connections: ['other'] }, /no break-glass grant names dana for other/],
      [dana, { connections: ['shop', 'other'] }, /no break-glass grant/],
      [dana, { connections: [] }, /no break-glass grant/],
      [dana, { forMs: grant.maxMs + 1 }, /shorter than that/],
    ]
    for (const [by, over, message] of wrong)
      await assert.rejects(glasses.break(by, { ...request, ...over }), { ...refused, message })
    frozen.add('a_child')
    await assert.rejects(glasses.break(dana, request), refused)
    frozen.clear()
    assert.equal(events.length, 0)
    assert.equal(facts.filter(({ what }) => what === 'breakglass.refused').length, wrong.length + 1)

    const both = await Promise.allSettled([
      glasses.break(dana, request),
      glasses.break(dana, request),
    ])
    assert.deepEqual(both.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected'])
    await assert.rejects(glasses.break(dana, { ...request, forMs: grant.maxMs }), {
      ...refused,
      message: /is open for a_child/,
    })
  })

  test('where the ledger takes nothing, none is broken and none is used', async () => {
    isLedgerFull = true
    await assert.rejects(glasses.break(dana, request), { code: 'SP_RECORD_UNAVAILABLE' })
    isLedgerFull = false
    assert.equal(await run(), 'asked')
    await glasses.break(dana, request)
    isLedgerFull = true
    const { id } = await world.ask()
    assert.deepEqual(
      world.sentTo(id).map(({ outcome }) => outcome),
      ['withdrawn'],
    )
    isLedgerFull = false
    assert.equal((await glasses.list()).find(({ state }) => state === 'open')?.uses, 0)
  })
})

/** Rows that those of glasses name. */
async function prepare(store: Store): Promise<void> {
  await store.durable(async (tx) => {
    await tx
      .insertInto('incident')
      .values({
        id: 'in_1',
        title: 't',
        opened_by: 'dana',
        opened_at: new Date(),
        scope_kind: 'agent',
        scope: 'a_child',
        from_at: null,
        until_at: null,
        sessions: [],
        closed_at: null,
        closed_by: null,
        close_note: null,
      })
      .execute()
  })
}
