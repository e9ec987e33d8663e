import assert from 'node:assert/strict'
import { createHmac, randomUUID } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { Client } from 'pg'
import { skipReason, until } from '@sallyport/testkit'
import { TestBrowser } from '../packages/gateway/src/control-plane/births/test-browser.fixture.ts'
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
  let client: Client
  let url: string
  before(async () => {
    receiver = await TestReceiver.start()
    gateway = await startTestGateway({
      policy,
      seed: 'create table t(id int, name text)',
      prepare: async (dataDir) => {
        const dir = join(dataDir, 'channels')
        mkdirSync(dir)
        writeFileSync(join(dir, 'events'), eventKey)
        writeFileSync(join(dir, 'answers'), answerKey)
        writeFileSync(join(dir, 'bot.yaml'), bot(receiver.url))
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
    await receiver[Symbol.asyncDispose]()
    await gateway[Symbol.asyncDispose]()
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
    const log = await gateway.api('GET', '/v1/channels/log')
    const rows = (await log.json()) as { kind: string; state: string }[]
    assert.deepEqual(
      rows.map(({ kind, state }) => [kind, state]),
      [
        ['decided', 'delivered'],
        ['requested', 'delivered'],
      ],
    )
  })
})
