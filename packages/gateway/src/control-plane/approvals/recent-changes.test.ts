import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { Approver, Policy } from '@sallyport/core'
import { openPgliteStore } from '../adapters/pglite-store.ts'
import { PolicyVersions } from '../policies/policy-versions.ts'
import { agent, demand, person, World } from './approvals.fixture.ts'

const owner: Approver = {
  id: 'user:olga',
  kind: 'owner',
  principal: 'user:olga',
  name: 'olga',
  groups: ['dba'],
}
const hourMs = 3_600_000

suite('who has changed the rule or the grant', () => {
  let dir: string
  let world: World
  let versions: PolicyVersions
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-changes-'))
    world = await World.open(await openPgliteStore(dir))
    versions = new PolicyVersions(world.store)
    await keep([policy('p'), policy('q')], '')
  })
  after(async () => {
    await world.approvals.stop()
    await world.store.close()
    await rm(dir, { recursive: true, force: true })
  })

  const keep = async (policies: readonly Policy[], author: string): Promise<void> => {
    await versions.keep(policies, [], author)
    world.nowMs = Date.now()
  }
  /** What comes of the owner's yes to a request of these rules. */
  const approve = async (rules = ['p/r'], approver = owner, over = {}): Promise<string> => {
    const demands = rules.flatMap((rule) => demandOf(rule))
    const { id } = await world.ask({ demands, ...over })
    const said = await world.approvals.answer(id, approver, 'approve', '').then(
      ({ state }) => state,
      (error: Error) => error.message,
    )
    const refused = world.facts.find(
      ({ what, subject }) => what === 'approval.refused' && subject === id,
    )
    // What nobody may approve, everybody may still deny.
    if (refused !== undefined) await world.approvals.answer(id, approver, 'deny', '')
    else await world.approvals.withdrawn(id, '')
    return refused === undefined ? said : `${String(refused.detail?.['why'])} ${said}`
  }

  test('files that were edited have no author, so that whoever edited them is not known', async () => {
    assert.equal(await approve(), 'used')
    await keep([policy('p', 'conn.env == "prod"'), policy('q')], '')
    assert.equal(await approve(), 'used')
  })

  test('whoever put a version in force does not approve for a day by a rule whose policy changed', async () => {
    await keep([policy('p', 'true'), policy('q')], 'olga')
    assert.match(
      await approve(),
      /^changed-the-rule changed-the-rule: olga changed the policy of p\/r by version 3, so that somebody else has to approve until/,
    )
    assert.equal(await approve(['q/r']), 'used')
    assert.equal(await approve(['p/r'], person('maria')), 'used')
    // An agent of the same person is that person, and another one of the name may be.
    const named = { demands: demand({ from: ['agent:a_fit'] }) }
    assert.match(await approve([], agent('a_fit', 'user:olga'), named), /^changed-the-rule/)
    assert.match(await approve(['p/r'], person('olga')), /^changed-the-rule/)
    // A file that is edited afterwards washes nobody clean.
    await keep([policy('p', 'conn.env != "prod"'), policy('q')], '')
    assert.match(await approve(), /^changed-the-rule/)
    world.nowMs = Date.now() + 24 * hourMs - 60_000
    assert.match(await approve(), /^changed-the-rule/)
    world.nowMs = Date.now() + 24 * hourMs
    assert.equal(await approve(), 'used')
    world.nowMs = Date.now()
  })

  test('a yes counts for the rules that its giver left alone, and for no other', async () => {
    assert.equal(await approve(['p/r', 'q/r']), 'pending')
    const both = ['p/r', 'q/r'].flatMap((rule) => demandOf(rule))
    const { id } = await world.ask({ demands: both })
    await world.approvals.answer(id, owner, 'approve', '')
    assert.equal((await world.approvals.get(id)).state, 'pending')
    await world.approvals.answer(id, person('maria'), 'approve', '')
    assert.equal((await world.approvals.get(id)).state, 'used')
    // A yes of before the change is worth nothing after it.
    const other = await world.ask({ demands: demandOf('q/r', 2) })
    await world.approvals.answer(other.id, owner, 'approve', '')
    await keep([policy('p', 'conn.env != "prod"'), policy('q', 'false')], 'olga')
    await world.approvals.answer(other.id, person('maria'), 'approve', '')
    assert.equal((await world.approvals.get(other.id)).state, 'pending')
    await world.approvals.answer(other.id, person('ben'), 'approve', '')
    assert.equal((await world.approvals.get(other.id)).state, 'used')
  })

  test('a new rule, and a default, are changed too, and where a rule stands in its file is not', async () => {
    const moved = policy('fresh')
    const at = moved.rules.map((rule) => ({ ...rule, at: 'elsewhere.yaml:7' }))
    await keep([moved], 'olga')
    assert.match(await approve(['fresh/r']), /^changed-the-rule/)
    await keep([moved, policy('later')], '')
    world.nowMs = Date.now() + 25 * hourMs
    assert.equal(await approve(['fresh/defaults']), 'used')
    await keep([{ ...moved, rules: at }, policy('later')], 'eve')
    const eve = { ...person('eve'), groups: ['dba'] }
    assert.equal(await approve(['later/r'], eve), 'used')
    assert.equal(await approve(['fresh/r'], eve), 'used')
    await keep([{ ...moved, defaults: { unmatched: 'allow' } }, policy('later')], 'eve')
    assert.match(await approve(['fresh/defaults'], eve), /^changed-the-rule/)
  })
})

function demandOf(rule: string, count = 1): ReturnType<typeof demand> {
  return demand({ from: ['owner', 'group:dba'], count }).map((each) => ({ ...each, rule }))
}

function policy(name: string, when = 'true'): Policy {
  return {
    name,
    owner: 'group:dba',
    applies: { connections: [], labels: {}, to: [] },
    mode: 'enforce',
    defaults: {},
    rules: [
      {
        name: 'r',
        on: ['sql'],
        when,
        effect: 'approve',
        message: 'm',
        masks: [],
        coversUnknown: false,
        observe: false,
        at: 'p.yaml:1',
      },
    ],
  }
}
