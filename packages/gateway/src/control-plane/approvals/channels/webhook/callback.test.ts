import assert from 'node:assert/strict'
import { createHmac, randomUUID } from 'node:crypto'
import { after, before, suite, test } from 'node:test'
import { Hono } from 'hono'
import { Secret, type AgentId } from '@sallyport/core'
import type { HoldAsked } from '../../../../boundary/approvals.ts'
import { StoredProofUses } from '../../../agents/proof-uses.ts'
import { errorAnswer } from '../../../api/error-answer.ts'
import { raiseFloors, StoredLoginGate } from '../../../signals/stored-login-gate.ts'
import { SourceRates } from '../../../source-rates.ts'
import { AskingWorld, demandsOf } from '../asking-world.fixture.ts'
import type { WebhookChannel } from '../config/channel-config.ts'
import { KnownPeople } from '../people/known-people.ts'
import { callbackRoutes } from './callback-routes.ts'

const issuer = 'https://idp.example.com'
const key = 'a secret for answers, of more than 32 characters'
const eventKey = 'a secret for events, of more than 32 characters'

interface Answer {
  readonly approval: string
  readonly binding: string
  readonly subject: string
  readonly decision: string
  readonly note?: string
}

suite('answers that a system brings', { timeout: 120_000 }, () => {
  let world: AskingWorld
  let app: Hono
  let gate: StoredLoginGate
  let live: { principal: { id: string; kind: 'human'; name: string; groups: string[] } }[] = []
  const provider = { name: 'idp', issuer, groupsClaim: 'groups', userClaim: 'email' }
  let providers = [{ ...provider, allowedGroups: [], allowedDomains: [], ttlMs: 1 }]
  const channels: Record<string, WebhookChannel> = {}

  before(async () => {
    world = await AskingWorld.open()
    gate = new StoredLoginGate(world.store, () => false)
    const shared = { type: 'webhook', routes: [], events: [], url: 'https://x' } as const
    const secret = new Secret(eventKey)
    const callback = { provider: 'idp', secret: new Secret(key), loginWithinMs: 24 * 3_600_000 }
    channels['bot'] = { ...shared, name: 'bot', secret, callback }
    channels['deaf'] = { ...shared, name: 'deaf', secret: new Secret(key) }
    const others = { ...callback, secret: new Secret(`${key}, another`) }
    channels['other'] = { ...shared, name: 'other', secret, callback: others }
    app = build()
    for (const name of ['maria', 'ben', 'dana']) await login(name)
  })
  after(async () => await world[Symbol.asyncDispose]())

  /** What a restart of the gateway would make anew. */
  const build = (): Hono => {
    const people = new KnownPeople({
      store: world.store,
      gate,
      providers: () => providers,
      liveRoots: () => live,
      now: world.now,
    })
    const routes = callbackRoutes({
      config: (name) => channels[name],
      provider: (name) => (name === 'idp' ? { issuer, isSaml: false } : undefined),
      approvals: {
        get: async (id) => await world.approvals.get(id),
        answer: async (...answer) => await world.approvals.answer(...answer),
      },
      people,
      uses: new StoredProofUses(world.store, world.now),
      ledger: world.ledger,
      sources: new SourceRates(),
      now: world.now,
    })
    const built = new Hono().route('/', routes)
    built.onError((error, context) => errorAnswer(context, error))
    return built
  }
  const login = async (name: string, groups = ['dba']): Promise<void> => {
    const principal = { id: `oidc:${issuer}|u-${name}`, kind: 'human', name, groups } as const
    await gate.seen({ provider: 'idp', principal, confirmedAtMs: world.now() })
  }
  const answerTo = (asked: HoldAsked, over: Partial<Answer> = {}): Answer => ({
    approval: asked.id,
    binding: asked.binding,
    subject: 'u-maria',
    decision: 'approve',
    ...over,
  })
  const sign = (
    body: string,
    how: { readonly id?: string; readonly secret?: string; readonly atMs?: number } = {},
  ): Record<string, string> => {
    const { id = randomUUID(), secret = key, atMs = world.now() } = how
    const timestamp = String(Math.floor(atMs / 1000))
    const mac = createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')
    return {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${mac}`,
    }
  }
  const post = async (
    body: string,
    headers: Record<string, string>,
    channel = 'bot',
  ): Promise<{ status: number; code: string; message: string; state: string }> => {
    const path = `/v1/approvals/callback/${channel}`
    const response = await app.request(path, { method: 'POST', headers, body })
    const json = (await response.json()) as {
      error?: { code: string; message: string }
      state?: string
    }
    const { code = '', message = '' } = json.error ?? {}
    return { status: response.status, code, message, state: json.state ?? '' }
  }
  const bring = async (
    answer: Answer,
    how: Parameters<typeof sign>[1] = {},
    channel = 'bot',
  ): ReturnType<typeof post> => {
    const body = JSON.stringify(answer)
    return await post(body, sign(body, how), channel)
  }
  const stillWaits = async (asked: HoldAsked): Promise<void> => {
    assert.equal((await world.approvals.get(asked.id)).state, 'pending')
    assert.equal(world.sentTo(asked.id).length, 0)
  }
  const refused = { status: 401, code: 'SP_CALLBACK_REFUSED', state: '' }

  test('count as those of the person, once', async () => {
    const asked = await world.ask()
    const came = await bring(answerTo(asked, { note: 'ok' }))
    assert.deepEqual([came.status, came.state], [200, 'used'])
    const { answers } = await world.approvals.get(asked.id)
    assert.deepEqual(
      answers.map(({ by, kind, answer, note }) => [by, kind, answer, note]),
      [['maria', 'person', 'approve', 'ok']],
    )
    const [fact] = world.ledger.named('channel.answered')
    assert.deepEqual(fact?.detail, { channel: 'bot', decision: 'approve' })
    const denied = await world.ask()
    assert.equal((await bring(answerTo(denied, { decision: 'deny' }))).state, 'denied')
  })

  test('are refused when they are altered: body, id, time, signature, version', async () => {
    const asked = await world.ask()
    const body = JSON.stringify(answerTo(asked, { decision: 'deny' }))
    const headers = sign(body)
    const wrong: [string, Record<string, string>][] = [
      [body.replace('deny', 'approve'), headers],
      [body.replace('u-maria', 'u-ben'), headers],
      [`${body} `, headers],
      [body, { ...headers, 'webhook-id': randomUUID() }],
      [body, { ...headers, 'webhook-timestamp': String(Math.floor(world.now() / 1000) + 1) }],
      [body, { ...headers, 'webhook-signature': 'v1,' }],
      [body, { ...headers, 'webhook-signature': '' }],
      [
        body,
        {
          ...headers,
          'webhook-signature': (headers['webhook-signature'] ?? '').replace('v1', 'v1a'),
        },
      ],
      [body, { ...headers, 'webhook-signature': `v1,${Buffer.alloc(32).toString('base64')}` }],
    ]
    for (const [text, how] of wrong) {
      const { message: _message, ...came } = await post(text, how)
      assert.deepEqual(came, refused)
    }
    const { 'webhook-id': _id, ...without } = headers
    assert.equal((await post(body, without)).status, 401)
    await stillWaits(asked)
  })

  test('are refused with the key of another channel, that of events, and where none are taken', async () => {
    const asked = await world.ask()
    const answer = answerTo(asked)
    assert.equal((await bring(answer, { secret: `${key}, another` })).code, refused.code)
    assert.equal((await bring(answer, { secret: eventKey })).code, refused.code)
    assert.equal((await bring(answer, {}, 'other')).code, refused.code)
    assert.equal((await bring(answer, {}, 'deaf')).code, refused.code)
    assert.equal((await bring(answer, {}, 'none')).code, refused.code)
    const messages = await Promise.all(
      ['deaf', 'none', 'other'].map(async (name) => (await bring(answer, {}, name)).message),
    )
    // Nobody learns which channels there are.
    assert.equal(new Set(messages).size, 1)
    await stillWaits(asked)
  })

  test('are refused late and early', async () => {
    const asked = await world.ask()
    for (const off of [-301_000, 301_000, -86_400_000]) {
      const came = await bring(answerTo(asked), { atMs: world.now() + off })
      assert.deepEqual([came.code, came.message], [refused.code, 'its time is not now'])
    }
    await stillWaits(asked)
  })

  test('are taken once, also over a restart, and while the first is on its way', async () => {
    const first = await world.ask({ demands: demandsOf({ count: 2 }) })
    const body = JSON.stringify(answerTo(first))
    const headers = sign(body)
    const both = await Promise.all([post(body, headers), post(body, headers)])
    assert.deepEqual(
      both.map(({ status }) => status).toSorted((a, b) => a - b),
      [200, 401],
    )
    app = build()
    assert.equal((await post(body, headers)).message, 'this answer was brought already')
    // Nor for another request under the id that was used.
    const second = await world.ask()
    const again = await bring(answerTo(second), { id: headers['webhook-id'] ?? '' })
    assert.equal(again.code, refused.code)
    await stillWaits(second)
  })

  test('of two at once for one request one ends it', async () => {
    const asked = await world.ask()
    const came = await Promise.all([
      bring(answerTo(asked)),
      bring(answerTo(asked, { subject: 'u-ben' })),
      bring(answerTo(asked, { decision: 'deny', subject: 'u-ben' })),
    ])
    assert.equal(came.filter(({ status }) => status === 200).length, 1)
    assert.ok(came.every(({ code }) => code === '' || code === 'SP_APPROVAL_REFUSED'))
    assert.equal(world.sentTo(asked.id).length, 1)
  })

  test('are bound to one request: not another, not the beginning of its id, not another binding', async () => {
    const asked = await world.ask()
    const other = await world.ask()
    const wrong: Partial<Answer>[] = [
      { binding: other.binding },
      { approval: other.id },
      { binding: asked.binding.toUpperCase() },
      { binding: asked.binding.slice(0, 32) },
    ]
    for (const over of wrong) {
      const came = await bring(answerTo(asked, over))
      assert.deepEqual(
        [came.code, came.message],
        ['SP_APPROVAL_REFUSED', 'the answer is bound to another request'],
      )
    }
    const cut = await bring(answerTo(asked, { approval: asked.id.slice(0, -1) }))
    assert.ok(['SP_APPROVAL_REFUSED', 'SP_NOT_FOUND'].includes(cut.code), cut.code)
    await stillWaits(asked)
    await stillWaits(other)
  })

  test('speak for people of the provider alone who have logged in here: no stranger, no agent, not the owner', async () => {
    const demands = demandsOf({
      from: ['owner', 'group:dba', 'agent:a_far', `user:oidc:${issuer}|u-eve`],
    })
    const asked = await world.ask({ demands })
    for (const subject of [
      'u-eve',
      'a_far',
      'agent:a_far',
      'owner',
      'maria',
      'U-MARIA',
      'x|u-maria',
    ]) {
      const came = await bring(answerTo(asked, { subject }))
      assert.equal(came.code, 'SP_APPROVAL_REFUSED', subject)
      assert.match(came.message, /nobody with this id has logged in/u)
    }
    await stillWaits(asked)
  })

  test('count no more than the person does: who is not named, who is of the tree that asks', async () => {
    const asked = await world.ask({ demands: demandsOf({ from: ['group:sre'] }) })
    assert.match((await bring(answerTo(asked))).message, /no rule of this request names maria/u)
    await stillWaits(asked)
  })

  test('of the person at the root of the tree that asks count for nothing', async () => {
    world.rootId = `oidc:${issuer}|u-dana`
    const asked = await world.ask()
    const came = await bring(answerTo(asked, { subject: 'u-dana' }))
    assert.equal(came.message, 'nobody answers a request of the own tree')
    await stillWaits(asked)
  })

  test('of one person count once where two are asked for', async () => {
    const asked = await world.ask({ demands: demandsOf({ count: 2 }) })
    assert.equal((await bring(answerTo(asked))).state, 'pending')
    assert.equal((await bring(answerTo(asked))).state, 'pending')
    assert.equal((await bring(answerTo(asked, { subject: 'u-ben' }))).state, 'used')
  })

  test('count by the groups of now: who lost one, logged out or has not come for a day answers nothing', async () => {
    const asked = await world.ask()
    const maria = { id: `oidc:${issuer}|u-maria`, kind: 'human', name: 'maria' } as const
    live = [{ principal: { ...maria, groups: ['other'] } }]
    assert.match((await bring(answerTo(asked))).message, /no rule of this request names maria/u)
    live = []
    await gate.askedAgain(maria.id, ['other'])
    assert.match((await bring(answerTo(asked))).message, /no rule of this request names maria/u)
    providers = []
    assert.match((await bring(answerTo(asked))).message, /not configured any more/u)
    providers = [{ ...provider, allowedGroups: [], allowedDomains: [], ttlMs: 1 }]
    await world.store.durable(
      async (tx) => await raiseFloors(tx, [maria.id], new Date(world.now()), 'logged out'),
    )
    assert.equal((await bring(answerTo(asked))).message, 'logged out')
    world.aheadMs += 25 * 3_600_000
    const late = await world.ask()
    assert.match(
      (await bring(answerTo(late, { subject: 'u-ben' }))).message,
      /ben has not logged in at the gateway for too long/u,
    )
    await login('ben')
    assert.equal((await bring(answerTo(late, { subject: 'u-ben' }))).state, 'used')
  })

  test('offer no more than once: a field that is not known is refused', async () => {
    const asked = await world.ask({ demands: demandsOf({ offer: ['once', 'shape-30m'] }) })
    const came = await bring({ ...answerTo(asked), shape: '30m' } as Answer)
    assert.equal(came.code, 'SP_CONFIG_INVALID')
    const body = 'not json'
    assert.equal((await post(body, sign(body))).code, 'SP_CONFIG_INVALID')
    const note = await bring(answerTo(asked, { subject: 'u-ben', note: '\u202Eok' }))
    assert.equal(note.code, 'SP_CONFIG_INVALID')
    await stillWaits(asked)
  })

  test('that are refused are in the ledger, and change nothing where it is away', async () => {
    assert.ok(world.ledger.named('channel.refused').length > 10)
    const asked = await world.ask()
    world.ledger.isAway = true
    assert.equal((await bring(answerTo(asked, { subject: 'u-ben' }))).code, 'SP_RECORD_UNAVAILABLE')
    world.ledger.isAway = false
    await stillWaits(asked)
  })

  test('an agent of the tree has no other way in', async () => {
    const asked = await world.ask({ agent: 'a_child' as AgentId })
    const body = JSON.stringify(answerTo(asked))
    const none = await post(body, { 'content-type': 'application/json' })
    assert.equal(none.code, refused.code)
    await stillWaits(asked)
  })
})
