import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, suite, test } from 'node:test'
import type { AgentId } from '@sallyport/core'
import type { HoldAsked } from '../../boundary/approvals.ts'
import { openPgliteStore } from '../adapters/pglite-store.ts'
import type { LoggedIn } from '../births/oidc/human-births.ts'
import { approvalPages } from './approval-pages.ts'
import { demand, person, World } from './approvals.fixture.ts'

const offer = ['once', 'bundle']
const maria = person('maria')
const ben = person('ben')
const refused = { code: 'SP_APPROVAL_REFUSED' }
const changed = { ...refused, message: /its requests are not those of then/ }

suite('bundles of requests', () => {
  let dir: string
  let world: World
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'sallyport-bundles-'))
    world = await World.open(await openPgliteStore(dir))
  })
  after(async () => {
    await world.approvals.stop()
    await world.store.close()
    await rm(dir, { recursive: true, force: true })
  })
  afterEach(async () => {
    for (const { id } of await world.approvals.list(['pending'])) await world.withdraw(id)
  })

  const alike = {
    shape: 'update inventory',
    verb: 'update',
    objects: [['public', 'inventory']],
    demands: demand({ offer }),
  }
  const ask = async (count: number, over: Partial<HoldAsked> = {}): Promise<HoldAsked[]> => {
    const all: HoldAsked[] = []
    for (let n = 0; n < count; n += 1) all.push(await world.ask({ ...alike, ...over }))
    return all
  }
  const bundles = (): string[] => world.approvals.bundles().map(({ title }) => title)

  test('are of more than ten that are alike, and each of them is shown', async () => {
    const ten = await ask(10)
    assert.deepEqual(bundles(), [])
    const more = await ask(2)
    assert.deepEqual(bundles(), ['12 UPDATE on public.inventory'])
    const [bundle] = world.approvals.bundles()
    assert.deepEqual(
      bundle?.requests.map(({ id, binding, state }) => [id, binding, state]),
      [...ten, ...more].map(({ id, binding }) => [id, binding, 'pending']),
    )
    const { id, title } = bundle ?? {}
    assert.deepEqual((await world.approvals.get(ten[0]?.id ?? '')).bundle, { id, title })
  })

  test('what differs by anything but its values is of no bundle with them', async () => {
    const others: Partial<HoldAsked>[] = [
      { shape: 'update inventory set other' },
      { connection: 'stage' },
      { database: 'other' },
      { path: ['a_fit'] as unknown as AgentId[] },
      { demands: demand({ offer, count: 2 }) },
      { demands: demand({ offer }).map((each) => ({ ...each, rule: 'p/other' })) },
    ]
    await ask(10)
    for (const other of others) await ask(1, other)
    assert.deepEqual(bundles(), [])
    await ask(1)
    assert.deepEqual(bundles(), ['11 UPDATE on public.inventory'])
    // Siblings of one tree are together.
    await ask(1, { path: ['a_root', 'a_sibling'] as AgentId[] })
    assert.deepEqual(bundles(), ['12 UPDATE on public.inventory'])
  })

  test('each rule that asks has to offer them, and a shape has to be told', async () => {
    await ask(12, { demands: demand({ offer: ['once'] }) })
    const both = [...demand({ offer }), ...demand({ offer: ['once'] })]
    await ask(12, { demands: both.map((each, n) => ({ ...each, rule: `p/${n}` })) })
    const { shape: _, ...unknown } = alike
    for (let n = 0; n < 12; n += 1) await world.ask(unknown)
    assert.deepEqual(bundles(), [])
  })

  test('hold what was asked within ten minutes, and a hundred at most', async () => {
    await ask(6)
    world.nowMs += 10 * 60_000 - 1000
    await ask(5, { untilMs: world.nowMs + 600_000 })
    assert.deepEqual(bundles(), ['11 UPDATE on public.inventory'])
    world.nowMs += 2000
    await ask(5, { untilMs: world.nowMs + 600_000 })
    assert.deepEqual(bundles(), [])
    const [before] = await ask(96, { askedAtMs: world.nowMs + 60_000 })
    assert.deepEqual(bundles(), ['100 UPDATE on public.inventory'])
    assert.ok(before)
  })

  test('a yes is for all of them, once each, and one that came later is not approved', async () => {
    const asked = await ask(12)
    const [seen] = world.approvals.bundles()
    const id = seen?.id ?? ''
    const [late] = await ask(1)
    const [other] = await ask(1, { shape: 'another' })
    await assert.rejects(world.approvals.answerBundle(id, maria, 'approve', ''), changed)
    assert.deepEqual(
      world.sent.filter((each) => each.id === late?.id),
      [],
    )
    await world.withdraw(late?.id ?? '')
    assert.equal(world.approvals.bundles()[0]?.id, id)
    const came = await world.approvals.answerBundle(id, maria, 'approve', 'all seen')
    assert.deepEqual(
      came.map((each) => [each.id, each.state]),
      asked.map((each) => [each.id, 'used']),
    )
    for (const each of asked)
      assert.deepEqual(
        world.sentTo(each.id).map(({ outcome, by, note }) => [outcome, by, note]),
        [['approved', ['maria'], 'all seen']],
      )
    assert.deepEqual(world.sentTo(other?.id ?? ('' as never)), [])
    const facts = world.facts.filter(
      ({ what, detail }) => what === 'approval.answered' && detail?.['bundle'] === id,
    )
    assert.deepEqual(
      facts.map(({ subject, detail }) => [subject, detail?.['binding']]),
      asked.map((each) => [each.id, each.binding]),
    )
    await assert.rejects(world.approvals.answerBundle(id, ben, 'approve', ''), changed)
  })

  test('while it is answered nothing comes in, nothing of it ends, and where one cannot be stored none goes on', async () => {
    const asked = await ask(11)
    const id = world.approvals.bundles()[0]?.id ?? ''
    const answering = world.approvals.answerBundle(id, maria, 'approve', '')
    const single = world.approvals.answer(asked[3]?.id ?? '', ben, 'deny', '')
    const [late] = await Promise.all([ask(1), answering, assert.rejects(single, refused)])
    for (const each of asked) assert.equal(world.sentTo(each.id)[0]?.outcome, 'approved')
    assert.deepEqual(world.sentTo(late[0]?.id ?? ('' as never)), [])

    const next = await ask(11)
    world.isLedgerFull = true
    const [again] = world.approvals.bundles()
    const failing = world.approvals.answerBundle(again?.id ?? '', maria, 'approve', '')
    await assert.rejects(failing, { code: 'SP_RECORD_UNAVAILABLE' })
    world.isLedgerFull = false
    for (const each of next) assert.deepEqual(world.sentTo(each.id), [])
    assert.deepEqual(
      (await world.approvals.list(['used'])).filter((each) =>
        next.some((other) => other.id === each.id),
      ),
      [],
    )
  })

  test('one that has expired, or that may not be answered, stands for all of them', async () => {
    await ask(11)
    const [short] = await ask(1, { untilMs: world.nowMs + 1000 })
    const id = world.approvals.bundles()[0]?.id ?? ''
    world.nowMs += 1000
    const expired = { ...refused, message: new RegExp(`${short?.id} has ended: expired`, 'u') }
    await assert.rejects(world.approvals.answerBundle(id, maria, 'approve', ''), expired)
    const eve = { ...person('eve'), groups: [] }
    assert.throws(() => world.approvals.bundleFor(id, eve), refused)
    await assert.rejects(world.approvals.answerBundle(id, eve, 'deny', ''), refused)
    assert.deepEqual(
      world.sent.filter((each) => each.id === short?.id),
      [],
    )
  })

  test('several persons who have to approve answer the same bundle one by one', async () => {
    const asked = await ask(11, { demands: demand({ offer, count: 2 }) })
    const id = world.approvals.bundles()[0]?.id ?? ''
    const first = await world.approvals.answerBundle(id, maria, 'approve', '')
    assert.ok(first.every(({ state }) => state === 'pending'))
    const second = await world.approvals.answerBundle(id, ben, 'approve', '')
    assert.ok(second.every(({ state }) => state === 'used'))
    assert.deepEqual(world.sentTo(asked[0]?.id ?? ('' as never))[0]?.by, ['maria', 'ben'])
  })

  test('the page of a bundle shows each text with its values, as text, and answers what it shows', async () => {
    const asked = await ask(10)
    const marked = 'update inventory set qty = $1 -- \u202e'
    await ask(1, { text: marked, parameters: ['4711', null] })
    const gate = {
      refusal: async () => await Promise.resolve(undefined),
      seen: async () => await Promise.resolve(),
      groupsOf: async () => await Promise.resolve(['dba']),
    }
    const pages = approvalPages(world.approvals, gate)
    const principal = { id: 'p_maria', kind: 'human', name: 'maria', groups: [] }
    const who = { principal } as unknown as LoggedIn
    const id = world.approvals.bundles()[0]?.id ?? ''
    assert.match(
      JSON.stringify(await pages.card(asked[0]?.id ?? '', who)),
      new RegExp(`/a/${id}`, 'u'),
    )
    const card = await pages.card(id, who)
    assert.equal(card.title, '11 UPDATE on public.inventory (shop/shop)?')
    for (const each of asked)
      assert.ok(card.text.includes(`${each.id}  root › child  SHA-256 ${each.binding}`))
    assert.match(card.text, /\$1 = 4711\n\$2 = NULL/)
    assert.doesNotMatch(card.text, /\u202e/)
    await ask(1)
    await assert.rejects(pages.answer(id, who, 'approve', ''), changed)
    const now = world.approvals.bundles()[0]?.id ?? ''
    assert.equal(await pages.answer(now, who, 'approve', ''), 'All 12 are approved, once each.')
  })
})
