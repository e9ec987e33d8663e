import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, suite, test } from 'node:test'
import { until } from '@sallyport/testkit'
import type { HoldAsked } from '../../../../boundary/approvals.ts'
import { StoredLoginGate } from '../../../signals/stored-login-gate.ts'
import { AskingWorld, demandsOf } from '../asking-world.fixture.ts'
import { Channels } from '../channels.ts'
import { ChatLinks } from '../people/chat-links.ts'
import { KnownPeople } from '../people/known-people.ts'
import { ChannelLease } from './channel-lease.ts'
import { TestSlack } from './test-slack.fixture.ts'

const issuer = 'https://idp'
const small = demandsOf({ chatRowsMax: 100 })

suite('Slack', { timeout: 120_000 }, () => {
  let world: AskingWorld
  let slack: TestSlack
  let channels: Channels
  let links: ChatLinks
  let gate: StoredLoginGate
  let dir: string
  let trees = 0
  before(async () => {
    world = await AskingWorld.open()
    gate = new StoredLoginGate(world.store, () => false)
    links = new ChatLinks({ store: world.store, ledger: world.ledger, gate, now: world.now })
    dir = join(world.dir, 'channels')
    await mkdir(dir)
    await writeFile(join(dir, 'bot'), 'xoxb-bot')
    await writeFile(join(dir, 'app'), 'xapp-app')
    for (const [name, user] of [
      ['maria', 'U1'],
      ['dana', 'U2'],
    ] as const)
      await links.link(login(name), links.code({ team: 'T1', user, shownName: `@${name}` }))
  })
  after(async () => await world[Symbol.asyncDispose]())
  beforeEach(async () => {
    slack = await TestSlack.start()
    await write()
    channels = await open()
    await until('the socket is open', () => slack.peers.length === 1)
  })
  afterEach(async () => {
    await channels.close()
    await slack[Symbol.asyncDispose]()
  })

  const login = (name: string, groups = ['dba']) => ({
    provider: 'idp',
    principal: { id: `oidc:${issuer}|${name}`, kind: 'human' as const, name, groups },
    confirmedAtMs: world.now(),
  })
  const write = async (): Promise<void> =>
    await writeFile(
      join(dir, 'chat.yaml'),
      `apiVersion: sallyport.dev/v1\nkind: Channel\nmetadata: {name: chat}\nspec: {type: slack, api: "${slack.api}", channel: C123, botToken: {from: "file:bot"}, appToken: {from: "file:app"}}\n`,
    )
  const open = async (): Promise<Channels> =>
    await Channels.open({
      dir,
      store: world.store,
      ledger: world.ledger,
      approvals: world.approvals,
      people: new KnownPeople({
        store: world.store,
        gate,
        providers: () => [
          {
            name: 'idp',
            issuer,
            groupsClaim: '',
            userClaim: '',
            allowedGroups: [],
            allowedDomains: [],
            ttlMs: 1,
          },
        ],
        liveRoots: () => [],
        now: world.now,
      }),
      links,
      gatewayUrl: () => 'https://gw.example.com',
      urlOf: (id) => `https://gw.example.com/a/${id}`,
      now: world.now,
      onConfig: () => undefined,
      onFault: (error) => world.faults.push(error),
      retryMsFirst: 5,
    })
  /** A request of a tree of its own, with what the planner expects. */
  const ask = async (
    rows: number | undefined,
    over: Partial<HoldAsked> = {},
  ): Promise<HoldAsked> => {
    trees += 1
    const asked = await world.ask({ path: [`a_${trees}`, 'a_x'] as never, demands: small, ...over })
    if (rows !== undefined) world.estimates.set(asked.id, rows)
    return asked
  }
  const posted = async ({ id }: HoldAsked): Promise<string> => {
    return await until('it is posted', () => {
      const calls = slack.named('chat.postMessage').map(({ body }) => JSON.stringify(body))
      return calls.find((text) => text.includes(id))
    })
  }
  const valueOf = ({ id, binding }: HoldAsked): string => `${id}:${binding}`
  const toldPrivately = async (count: number): Promise<string> => {
    await until('somebody is told', () => slack.named('chat.postEphemeral').length >= count)
    return JSON.stringify(slack.named('chat.postEphemeral').at(-1)?.body)
  }
  const stillWaits = async ({ id }: HoldAsked): Promise<void> => {
    assert.equal((await world.approvals.get(id)).state, 'pending')
    assert.equal(world.sentTo(id).length, 0)
  }

  test('shows a link, and buttons only where every rule says so and the estimate is small', async () => {
    const cases: [HoldAsked, boolean][] = [
      [await ask(100), true],
      [await ask(101), false],
      [await ask(undefined), false],
      [await ask(1, { demands: demandsOf() }), false],
      [await ask(1, { demands: [...small, ...demandsOf({}, 'other/rule')] }), false],
      [await ask(1, { demands: demandsOf({ chatRowsMax: 100, offer: ['shape-5m'] }) }), false],
    ]
    for (const [asked, hasButtons] of cases) {
      const text = await posted(asked)
      assert.match(text, new RegExp(`https://gw.example.com/a/${asked.id}`, 'u'))
      assert.equal(/"action_id":"approve"/u.test(text), hasButtons, text)
      assert.equal(/"action_id":"deny"/u.test(text), hasButtons, text)
    }
    assert.equal(slack.named('chat.postMessage')[0]?.token, 'Bearer xoxb-bot')
    assert.equal(slack.named('apps.connections.open')[0]?.token, 'Bearer xapp-app')
  })

  test('interprets nothing that a caller wrote', async () => {
    const evil = '<!channel> <https://evil.example|ok> *x* @here'
    const text = await posted(await ask(1, { outline: evil, chain: [evil] }))
    const body = slack
      .named('chat.postMessage')
      .find(({ body: each }) => JSON.stringify(each) === text)
    const { blocks = [], text: fallback } = (body?.body ?? {}) as {
      blocks?: { type: string; text?: { type: string } }[]
      text?: string
    }
    for (const block of blocks) if (block.text) assert.equal(block.text.type, 'plain_text')
    assert.doesNotMatch(text, /mrkdwn"?:"|"type":"mrkdwn"|https:\/\/evil/u)
    assert.doesNotMatch(fallback ?? '', /evil|channel>/u)
  })

  test('lets a linked person decide, answers the envelope, and writes the outcome into the message', async () => {
    const asked = await ask(5)
    await posted(asked)
    const envelope = slack.press('approve', valueOf(asked))
    await until('it goes on', () => world.sentTo(asked.id).length === 1)
    assert.equal(world.sentTo(asked.id)[0]?.outcome, 'approved')
    await until('the envelope is answered', () => slack.acked.includes(envelope))
    const update = await until('the message is edited', () => slack.named('chat.update')[0])
    const text = JSON.stringify(update.body)
    assert.match(text, /approved once by maria/u)
    assert.doesNotMatch(text, /"action_id"/u)
    assert.match(String(update.body['ts']), /^17\./u)
    const denied = await ask(5)
    await posted(denied)
    slack.press('deny', valueOf(denied))
    await until('it is denied', () => world.sentTo(denied.id)[0]?.outcome === 'denied')
  })

  test('speaks for nobody who is not linked: not by name, not by an account of another team', async () => {
    const asked = await ask(5)
    await posted(asked)
    const strangers = [
      { user: { id: 'U9', username: 'maria', team_id: 'T1' } },
      { user: { id: 'U1', username: 'maria', team_id: 'T2' } },
      { user: { id: 'U1', username: 'maria' }, team: { id: 'T9' } },
    ]
    for (const [n, over] of strangers.entries()) {
      slack.press('approve', valueOf(asked), over)
      assert.match(await toldPrivately(n + 1), /not linked to anybody.*enter [0-9A-Z]{10} /u)
    }
    await stillWaits(asked)
  })

  test('takes no button of another request, another channel, another kind, nor without the rule', async () => {
    const asked = await ask(5)
    const other = await ask(5)
    const large = await ask(101)
    const closed = await ask(1, { demands: demandsOf() })
    for (const each of [asked, other, large, closed]) await posted(each)
    slack.press('approve', `${asked.id}:${other.binding}`)
    assert.match(await toldPrivately(1), /of another request/u)
    slack.press('approve', `${asked.id.slice(0, -1)}:${asked.binding}`)
    await toldPrivately(2)
    slack.press('approve', valueOf(large))
    assert.match(await toldPrivately(3), /not answered in a chat/u)
    slack.press('approve', valueOf(closed))
    assert.match(await toldPrivately(4), /not answered in a chat/u)
    slack.press('approve', valueOf(asked), { channel: { id: 'C999' } })
    slack.press('approve_all', valueOf(asked))
    slack.press('approve', `${valueOf(asked)}:x`)
    slack.press('approve', valueOf(asked), { type: 'view_submission' })
    slack.press('approve', valueOf(asked), { user: null })
    slack.tell({ type: 'slash_commands', envelope_id: 'last', payload: {} })
    await until('all of them have come', () => slack.acked.includes('last'))
    for (const each of [asked, other, large, closed]) await stillWaits(each)
  })

  test('adds no right: who is of the asking tree, not named, or unlinked since decides nothing', async () => {
    const asked = await ask(5)
    world.rootId = `oidc:${issuer}|dana`
    const own = await ask(5)
    await Promise.all([posted(asked), posted(own)])
    slack.press('approve', valueOf(own), { user: { id: 'U2', username: 'dana', team_id: 'T1' } })
    assert.match(await toldPrivately(1), /nobody answers a request of the own tree/u)
    await gate.seen(login('maria', ['sales']))
    slack.press('approve', valueOf(asked))
    assert.match(await toldPrivately(2), /no rule of this request names maria/u)
    await gate.seen(login('maria'))
    await links.unlink({ by: 'owner', name: 'olga' }, 'T1/U1')
    slack.press('approve', valueOf(asked))
    assert.match(await toldPrivately(3), /not linked to anybody/u)
    await links.link(login('maria'), links.code({ team: 'T1', user: 'U1', shownName: '@maria' }))
    await stillWaits(asked)
    await stillWaits(own)
  })

  test('tells who presses late that it has ended, and a press that Slack repeats changes nothing', async () => {
    const asked = await ask(5)
    await posted(asked)
    slack.press('approve', valueOf(asked))
    slack.press('approve', valueOf(asked))
    await until('it goes on', () => world.sentTo(asked.id).length === 1)
    assert.match(await toldPrivately(1), /has ended: used/u)
    assert.equal(world.sentTo(asked.id).length, 1)
  })

  test('waits as long as Slack asks, and then posts', async () => {
    let refused = 0
    slack.refuse = (method) => {
      if (method !== 'chat.postMessage' || refused > 0) return undefined
      refused += 1
      return { status: 429, after: '1' }
    }
    const asked = await ask(5)
    await posted(asked)
    await until('it is there', async () => {
      const [status] = await channels.status()
      return status?.waiting === 0 && status.failures === 1
    })
  })

  test('opens the next socket when Slack refreshes, and another when one breaks', async () => {
    slack.tell({ type: 'disconnect', reason: 'refresh_requested' })
    await until('the next is open', () => slack.opened === 2)
    // What comes by the old one is still answered.
    slack.peers[0]?.send(JSON.stringify({ type: 'slash_commands', envelope_id: 'old' }))
    await until('the old one is answered', () => slack.acked.includes('old'))
    for (const peer of slack.peers) peer.close()
    await until('another is open', () => slack.opened >= 3 && slack.peers.length >= 1)
    slack.tell({ nonsense: true })
    slack.peers.at(-1)?.send('not json')
    const asked = await ask(5)
    await posted(asked)
    slack.press('approve', valueOf(asked))
    await until('it goes on', () => world.sentTo(asked.id).length === 1)
  })

  test('is connected by one gateway at a time, and by another when the lease is over', async () => {
    const other = new ChannelLease(world.store, 'chat')
    assert.equal(await other.hold(), false)
    await channels.close()
    assert.equal(await other.hold(), true)
    assert.equal(await new ChannelLease(world.store, 'chat').hold(), false)
    await world.store.db
      .updateTable('channel_lease')
      .set({ until_at: new Date(0) })
      .execute()
    assert.equal(await new ChannelLease(world.store, 'chat').hold(), true)
    await world.store.db.deleteFrom('channel_lease').execute()
  })

  test('gives codes that are good once, for ten minutes, and for whom they were given', async () => {
    const code = links.code({ team: 'T1', user: 'U7', shownName: '@eve' })
    assert.deepEqual(links.describe(code)[0], { name: 'Account', value: '@eve' })
    assert.match(await links.link(login('ben'), code), /@eve \(U7\) speaks for ben/u)
    await assert.rejects(links.link(login('ben'), code), /wrong, too old, or was used/u)
    assert.throws(() => links.describe('0000000000'), /wrong, too old, or was used/u)
    assert.equal(await links.principalOf({ team: 'T1', user: 'U7' }), `oidc:${issuer}|ben`)
    const late = links.code({ team: 'T1', user: 'U8', shownName: '@x' })
    world.aheadMs += 10 * 60_000
    await assert.rejects(links.link(login('ben'), late), /wrong, too old, or was used/u)
    assert.equal(await links.unlinkAll(login('ben')), '1 linked accounts speak for you no more.')
    assert.equal(await links.principalOf({ team: 'T1', user: 'U7' }), undefined)
  })
})
