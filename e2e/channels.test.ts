import assert from 'node:assert/strict'
import { createHmac, randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { Client } from 'pg'
import { skipReason, until } from '@sallyport/testkit'
import { TestSlack } from '../packages/gateway/src/control-plane/approvals/channels/slack/test-slack.fixture.ts'
import {
  consentId,
  TestBrowser,
} from '../packages/gateway/src/control-plane/births/test-browser.fixture.ts'
import { TestReceiver } from '../packages/gateway/src/control-plane/approvals/channels/test-receiver.fixture.ts'
import { AgentFamily } from './agent-family.ts'
import { startPeople, type People } from './people.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: ask}
spec:
  owner: group:test
  rules:
    - name: dba-for-deletes
      on: sql
      when: '"delete" in op.classes'
      effect: approve
      approve: {from: [group:dba]}
      message: "A DBA looks at deletes."
    - name: dba-for-updates
      on: sql
      when: op.verb == "update"
      effect: approve
      approve: {from: [group:dba], chat: {maxRows: 1000}}
      message: "A DBA looks at updates."
`
const eventKey = 'the key of events, longer than thirty-two characters'
const answerKey = 'the key of answers, longer than thirty-two characters'
const bot = (url: string): string => `apiVersion: sallyport.dev/v1
kind: Channel
metadata: {name: bot}
spec:
  type: webhook
  url: ${url}
  secret: {from: "file:events"}
  callback: {provider: idp, secret: {from: "file:answers"}}
`

const chat = (api: string): string => `apiVersion: sallyport.dev/v1
kind: Channel
metadata: {name: chat}
spec:
  type: slack
  api: ${api}
  channel: C123
  botToken: {from: "file:bot-token"}
  appToken: {from: "file:app-token"}
  routes: [{rules: [ask/dba-for-updates]}]
`

interface Told {
  readonly type: string
  readonly data: {
    readonly callback?: string
    readonly approvals: readonly { readonly id: string; readonly binding: string }[]
  }
}

suite('channels of a gateway', { skip: skipReason(), timeout: 120_000 }, () => {
  let gateway: TestGateway
  let provider: People['provider']
  let receiver: TestReceiver
  let slack: TestSlack
  let client: Client
  let url: string
  before(async () => {
    receiver = await TestReceiver.start()
    slack = await TestSlack.start()
    gateway = await startTestGateway({
      policy,
      seed: 'create table t(id int, name text)',
      prepare: async (dataDir) => {
        const dir = join(dataDir, 'channels')
        mkdirSync(dir)
        writeFileSync(join(dir, 'events'), eventKey)
        writeFileSync(join(dir, 'answers'), answerKey)
        writeFileSync(join(dir, 'bot-token'), 'xoxb-1')
        writeFileSync(join(dir, 'app-token'), 'xapp-1')
        writeFileSync(join(dir, 'bot.yaml'), bot(receiver.url))
        writeFileSync(join(dir, 'chat.yaml'), chat(slack.api))
        await Promise.resolve()
      },
    })
    ;({ provider, url } = await startPeople(gateway))
    const family = new AgentFamily(gateway)
    client = await family.session(await family.root())
  })
  after(async () => {
    await client?.end().catch(() => undefined)
    await provider.close()
    await gateway[Symbol.asyncDispose]()
    await slack[Symbol.asyncDispose]()
    await receiver[Symbol.asyncDispose]()
  })

  const told = async (kind: string, nth: number): Promise<Told> =>
    await until(`${kind} is told`, () => {
      const events = receiver.asked.map(({ body }) => JSON.parse(body) as Told)
      return events.filter(({ type }) => type === `dev.sallyport.approval.${kind}`)[nth]
    })
  const bring = async (
    event: Told,
    decision: string,
    subject = 'u-maria',
  ): Promise<{ readonly status: number; readonly text: string }> => {
    const [approval] = event.data.approvals
    const body = JSON.stringify({
      approval: approval?.id,
      binding: approval?.binding,
      subject,
      decision,
    })
    const id = randomUUID()
    const timestamp = String(Math.floor(Date.now() / 1000))
    const mac = createHmac('sha256', answerKey).update(`${id}.${timestamp}.${body}`)
    const response = await fetch(event.data.callback ?? '', {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        'webhook-id': id,
        'webhook-timestamp': timestamp,
        'webhook-signature': `v1,${mac.digest('base64')}`,
      },
    })
    return { status: response.status, text: await response.text() }
  }

  test('a held command is told without its values, and goes on by the answer that comes back', async () => {
    const held = client.query("delete from t where name = 'sekret-4711'")
    const event = await told('requested', 0)
    assert.match(JSON.stringify(event), /delete from t where name = \?/u)
    assert.doesNotMatch(JSON.stringify(event), /sekret|4711/u)

    const stranger = await bring(event, 'approve')
    assert.equal(stranger.status, 403)
    assert.match(stranger.text, /nobody with this id has logged in/u)
    provider.subject = 'u-maria'
    provider.account = { email: 'maria@example.com', email_verified: true, groups: ['dba'] }
    const browser = new TestBrowser(url, {
      request: async (request: Request) => await fetch(request),
    })
    const page = await browser.visit(`${url}/a/${event.data.approvals[0]?.id ?? ''}`, [
      provider.url,
    ])
    assert.equal(page.status, 200)

    assert.equal((await bring(event, 'approve')).status, 200)
    assert.equal((await held).command, 'DELETE')
    const decided = await told('decided', 0)
    assert.equal(decided.data.approvals[0]?.id, event.data.approvals[0]?.id)
    const log = await gateway.api('GET', '/v1/channels/log?channel=bot')
    const rows = (await log.json()) as { kind: string; state: string }[]
    assert.deepEqual(
      rows.map(({ kind, state }) => [kind, state]),
      [
        ['decided', 'delivered'],
        ['requested', 'delivered'],
      ],
    )
  })

  test('an account of a chat speaks for the person who linked it after a login, and for nobody before', async () => {
    const held = client.query("update t set name = 'sekret-0815' where id = 1")
    const posted = await until('it is posted with buttons', () =>
      slack
        .named('chat.postMessage')
        .map(({ body }) => JSON.stringify(body))
        .find((text) => /"action_id":"approve"/u.test(text)),
    )
    assert.doesNotMatch(posted, /sekret|0815/u)
    const value = /"value":"(ap_[^"]*)"/u.exec(posted)?.[1] ?? ''
    slack.press('approve', value)
    const offered = await until('a code is offered', () => slack.named('chat.postEphemeral')[0])
    const code = /enter ([0-9A-Z]{10}) /u.exec(JSON.stringify(offered.body))?.[1] ?? ''

    provider.subject = 'u-maria'
    provider.account = { email: 'maria@example.com', email_verified: true, groups: ['dba'] }
    const browser = new TestBrowser(url, {
      request: async (request: Request) => await fetch(request),
    })
    const asks = await browser.visit(`${url}/link`, [provider.url])
    assert.match(asks.text, /You are maria@example\.com/u)
    const wrong = await browser.visit(`${url}/link/code`, [], {
      id: consentId(asks),
      code: '0000000000',
      decision: 'next',
    })
    assert.match(wrong.text, /wrong, too old, or was used/u)
    const again = await browser.visit(`${url}/link`, [provider.url])
    const shows = await browser.visit(`${url}/link/code`, [], {
      id: consentId(again),
      code: `${code.slice(0, 5)}-${code.slice(5).toLowerCase()}`,
      decision: 'next',
    })
    assert.match(shows.text, /U1 of workspace T1/u)
    // Neither page answers requests, and a page of a request links nothing.
    for (const path of ['/a/answer', '/login/confirm']) {
      const body = { id: consentId(shows), decision: 'approve' }
      assert.equal((await browser.visit(`${url}${path}`, [], body)).status, 400)
    }
    const elsewhere = new TestBrowser(url, {
      request: async (request: Request) => await fetch(request),
    })
    const stolen = { id: consentId(shows), decision: 'link' }
    assert.equal((await elsewhere.visit(`${url}/link/answer`, [], stolen)).status, 400)
    const linked = await browser.visit(`${url}/link/answer`, [], stolen)
    assert.match(linked.text, /speaks for maria@example\.com/u)

    slack.press('approve', value)
    assert.equal((await held).command, 'UPDATE')
    const edited = await until('the message is edited', () => slack.named('chat.update')[0])
    assert.match(JSON.stringify(edited.body), /approved once by maria@example\.com/u)

    const links = (await (await gateway.api('GET', '/v1/channels/links')).json()) as {
      readonly team: string
      readonly user: string
    }[]
    assert.deepEqual(
      links.map(({ team, user }) => `${team}/${user}`),
      ['T1/U1'],
    )
    assert.equal((await gateway.api('DELETE', '/v1/channels/links/T1/U1')).status, 204)
    assert.equal((await gateway.api('DELETE', '/v1/channels/links/T1/U1')).status, 404)
  })
})
