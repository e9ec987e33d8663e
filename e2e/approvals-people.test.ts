import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, beforeEach, suite, test } from 'node:test'
import type { Client } from 'pg'
import { skipReason, until } from '@sallyport/testkit'
import type { ApprovalView } from '@sallyport/gateway'
import {
  consentId,
  TestBrowser,
  type Visited,
} from '../packages/gateway/src/control-plane/births/test-browser.fixture.ts'
import { AgentFamily } from './agent-family.ts'
import { grantTo, startPeople, type People } from './people.ts'
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
      approve: {from: [group:dba], count: 2}
      message: "Two DBAs look at deletes."
    - name: maria-for-inserts
      on: sql
      when: op.verb == "insert"
      effect: approve
      approve: {from: ["user:maria@example.com"]}
      message: "<b>Maria</b> looks at inserts."
`

suite('persons answer requests for approval', { skip: skipReason(), timeout: 120_000 }, () => {
  let gateway: TestGateway
  let provider: People['provider']
  let family: AgentFamily
  let client: Client
  let url: string
  let browser: TestBrowser
  before(async () => {
    gateway = await startTestGateway({ policy, seed: 'create table t(id int)' })
    ;({ provider, url } = await startPeople(gateway, grantTo('dba', '*')))
    family = new AgentFamily(gateway)
    client = await family.session(await family.root())
  })
  const newBrowser = (): TestBrowser =>
    new TestBrowser(url, { request: async (request: Request) => await fetch(request) })
  beforeEach(() => {
    browser = newBrowser()
  })
  after(async () => {
    await client?.end().catch(() => undefined)
    await provider.close()
    await gateway[Symbol.asyncDispose]()
  })

  /** The provider has this person before it. */
  const as = (name: string, ...groups: string[]): void => {
    provider.subject = `u-${name}`
    provider.account = { email: `${name}@example.com`, email_verified: true, groups }
  }
  const open = async (id: string, from = browser): Promise<Visited> =>
    await from.visit(`${url}/a/${id}`, [provider.url])
  const press = async (
    page: Visited,
    decision: string,
    note = '',
    from = browser,
  ): Promise<Visited> =>
    await from.visit(`${url}/a/answer`, [provider.url], { id: consentId(page), decision, note })

  test('two of a group, each with a login of the moment, and each once', async () => {
    const held = client.query('delete from t')
    const { id } = await waiting(gateway, /delete/)
    as('maria', 'dba')
    const page = await open(id)
    assert.equal(page.status, 200)
    assert.match(page.text, /DELETE on shop\/postgres\?/)
    assert.match(page.text, /every row/)
    assert.match(page.text, /You are maria@example\.com/)
    const first = await press(page, 'approve', 'fine')
    assert.match(first.text, /waits for more approvals/)
    const again = await press(page, 'approve')
    assert.match(again.text, /too old, or was answered already/)
    const twice = await press(await open(id), 'approve')
    assert.match(twice.text, /waits for more approvals/)
    as('ben', 'dba', 'ops')
    const second = newBrowser()
    const last = await press(await open(id, second), 'approve', 'ok', second)
    assert.match(last.text, /is approved, once/)
    assert.equal((await held).command, 'DELETE')
    const view = await get(gateway, id)
    assert.deepEqual(
      view.answers.map(({ by, kind, answer }) => [by, kind, answer]),
      [
        ['maria@example.com', 'person', 'approve'],
        ['ben@example.com', 'person', 'approve'],
      ],
    )
  })

  test('who is not of the group sees nothing of the command, and decides nothing', async () => {
    const held = client
      .query('delete from t where id = 4711')
      .catch((error: Error) => error.message)
    const { id } = await waiting(gateway, /4711/)
    as('eve', 'sales')
    const page = await open(id)
    assert.equal(page.status, 400)
    assert.match(page.text, /no rule of this request names eve@example\.com/)
    assert.doesNotMatch(page.text, /4711/)
    as('maria', 'dba')
    browser = newBrowser()
    const mine = await open(id)
    assert.equal(mine.status, 200, mine.text)
    const stolen = newBrowser()
    assert.match((await press(mine, 'approve', '', stolen)).text, /too old/)
    assert.match((await press(mine, 'perhaps')).text, /approve or deny/)
    const denied = await press(mine, 'deny', 'not <i>today</i>')
    assert.match(denied.text, /is denied/)
    assert.equal(await held, 'denied by maria@example.com: "not <i>today</i>"')
    assert.match((await open(id)).text, /has ended: denied/)
    assert.equal((await open('ap_0000000000000')).status, 400)
  })

  test('not the person whose agent asks, though of the group', async () => {
    as('dana', 'dba')
    const verifier = 'v'.repeat(43)
    const challenge = createHash('sha256').update(verifier).digest('base64url')
    const back = 'http://127.0.0.1:45123/cb'
    const query = new URLSearchParams({ redirect: back, challenge })
    const consent = await browser.visit(`${url}/login?${query.toString()}`, [provider.url])
    const form = { id: consentId(consent), decision: 'allow' }
    const done = await browser.visit(`${url}/login/confirm`, [provider.url], form)
    const code = new URL(done.url).searchParams.get('code') ?? ''
    const token = await fetch(`${url}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code,
        code_verifier: verifier,
        redirect_uri: back,
      }),
    })
    const born = (await token.json()) as { access_token: string; agent: { id: string } }
    const agent = born.agent.id
    const own = await family.session({ id: agent, handle: born.access_token, cut: [] })
    const held = own.query('delete from t').catch((error: Error) => error.message)
    const { id, chain } = await waiting(gateway, /delete/)
    assert.deepEqual(chain, ['dana'])
    const before = provider.logins
    const page = await open(id)
    assert.equal(provider.logins, before + 1, 'the session of a moment ago is not enough')
    assert.match(page.text, /nobody answers a request of the own tree/)
    await gateway.api('POST', `/v1/agents/${agent}/revoke`, { reason: 'the test is over' })
    await held
  })

  test('what the caller wrote is text on the page', async () => {
    const held = client
      .query("insert into t values (1) -- <script>alert('x')</script> \u202e evil")
      .catch((error: Error) => error.message)
    const { id } = await waiting(gateway, /script/)
    as('maria')
    const page = await open(id)
    assert.doesNotMatch(page.text, /<script>|\u202e|<b>Maria/)
    assert.match(page.text, /&lt;script&gt;/)
    await press(page, 'approve')
    assert.equal(((await held) as { command: string }).command, 'INSERT')
  })
})

async function get(gateway: TestGateway, id: string): Promise<ApprovalView> {
  return (await (await gateway.api('GET', `/v1/approvals/${id}`)).json()) as ApprovalView
}

async function waiting(gateway: TestGateway, text: RegExp): Promise<ApprovalView> {
  return await until(`${text} waits`, async () => {
    const all = (await (await gateway.api('GET', '/v1/approvals')).json()) as ApprovalView[]
    return all.find((each) => text.test(each.text))
  })
}
