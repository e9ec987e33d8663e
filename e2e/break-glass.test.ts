import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { after, before, suite, test } from 'node:test'
import { Client } from 'pg'
import { skipReason, until } from '@sallyport/testkit'
import type { GlassBegun, GlassView, HeldIncident } from '@sallyport/gateway'
import {
  consentId,
  TestBrowser,
  type Visited,
} from '../packages/gateway/src/control-plane/births/test-browser.fixture.ts'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { ApprovalCalls, failure } from './approval-calls.ts'
import { sallyport } from './command-line.ts'
import { grantTo, startPeople, type People } from './people.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: ask}
spec:
  owner: group:test
  rules:
    - name: deletes
      on: sql
      when: '"delete" in op.classes'
      effect: approve
      approve: {from: [group:dba]}
      message: "A DBA looks at deletes."
    - name: drops
      on: sql
      when: op.class == "ddl"
      effect: block
      message: "Never."
`
const glass = `---
apiVersion: sallyport.dev/v1
kind: BreakGlass
metadata: {name: oncall}
spec: {to: [owner, "group:oncall"], connections: [shop], max: 30m, review: ["group:security"]}
`
const seed = `
create table orders(id int primary key);
insert into orders select generate_series(1, 100);
`

suite('break-glass', { skip: skipReason(), timeout: 120_000 }, () => {
  let gateway: TestGateway
  let provider: People['provider']
  let family: AgentFamily
  let calls: ApprovalCalls
  let url: string
  before(async () => {
    gateway = await startTestGateway({ policy, seed })
    ;({ provider, url } = await startPeople(gateway, `${grantTo('oncall', '*')}${glass}`))
    family = new AgentFamily(gateway)
    calls = new ApprovalCalls(gateway)
  })
  after(async () => {
    await provider?.close()
    await gateway[Symbol.asyncDispose]()
  })

  const as = (name: string, ...groups: string[]): TestBrowser => {
    provider.subject = `u-${name}`
    provider.account = { email: `${name}@example.com`, email_verified: true, groups }
    return new TestBrowser(url, { request: async (request: Request) => await fetch(request) })
  }
  const open = async (browser: TestBrowser, id: string): Promise<Visited> =>
    await browser.visit(`${url}/a/${id}`, [provider.url])
  const press = async (
    browser: TestBrowser,
    page: Visited,
    decision: string,
    note = '',
  ): Promise<Visited> =>
    await browser.visit(`${url}/a/answer`, [provider.url], { id: consentId(page), decision, note })
  const ask = async (body: object, handle?: string): Promise<GlassBegun> =>
    (await family.ask('POST', '/v1/break-glass', body, handle)) as GlassBegun
  const glassOf = async (id: string): Promise<GlassView | undefined> =>
    ((await family.ask('GET', '/v1/break-glass')) as GlassView[]).find((each) => each.id === id)
  const incident = async (id: string): Promise<HeldIncident> =>
    (await family.ask('GET', `/v1/incidents/${id}`)) as HeldIncident
  const close = async (id: string): Promise<{ status: number; text: string }> => {
    const path = `/v1/incidents/${id}/close`
    const { status, answer } = await family.tryAsk('POST', path, { note: 'all is well' })
    return { status, text: JSON.stringify(answer) }
  }
  /** A request that is asked for as usual, and denied. */
  const isAsked = async (client: Client, text: string): Promise<void> => {
    const ran = client.query(text).then(
      () => 'ran',
      (error: Error) => error.message,
    )
    const { id } = await calls.waiting(new RegExp(`${text}$`))
    await client.end()
    await calls.ended(id, 'withdrawn')
    await ran
  }
  const session = async (opened: string): Promise<Client> => {
    const client = new Client({
      connectionString: opened.replace('?sslmode=require', ''),
      ssl: { rejectUnauthorized: false },
    })
    client.on('error', () => undefined)
    await client.connect()
    return client
  }
  /** A root agent of a person at the provider. */
  const loginOf = async (browser: TestBrowser): Promise<TestAgent> => {
    const verifier = 'v'.repeat(43)
    const challenge = createHash('sha256').update(verifier).digest('base64url')
    const redirect = 'http://127.0.0.1:45123/cb'
    const query = new URLSearchParams({ redirect, challenge })
    const consent = await browser.visit(`${url}/login?${query.toString()}`, [provider.url])
    const form = { id: consentId(consent), decision: 'allow' }
    const done = await browser.visit(`${url}/login/confirm`, [provider.url], form)
    const token = await fetch(`${url}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code: new URL(done.url).searchParams.get('code') ?? '',
        code_verifier: verifier,
        redirect_uri: redirect,
      }),
    })
    const born = (await token.json()) as { access_token: string; agent: { id: string } }
    return { id: born.agent.id, handle: born.access_token, cut: [] }
  }

  test('the owner breaks it for a fresh tree: approvals are skipped and told, blocks hold, and somebody else closes the incident', async () => {
    const { glass, url: opened = '' } = await ask({
      reason: 'orders are stuck',
      connections: ['shop'],
      for: '10m',
    })
    assert.ok(glass)
    const client = await session(opened)
    const notices: string[] = []
    client.on('notice', ({ message }) => notices.push(message ?? ''))
    assert.equal((await client.query('delete from orders where id = 1')).rowCount, 1)
    const blocked = await failure(client.query('drop table orders'))
    assert.match(blocked.message, /blocked by Sallyport rule "drops"/)
    assert.deepEqual(await calls.list('all'), [])
    await client.end()
    const used = await glassOf(glass.id)
    assert.deepEqual([used?.uses, used?.skipped, used?.state], [1, ['group:dba'], 'open'])
    const { facts } = (await family.ask('GET', `/v1/ledger?q=subject:${glass.id}`)) as {
      facts: { what: string; detail: { reason?: string; skipped?: string[]; rules?: string[] } }[]
    }
    const told = facts.find(({ what }) => what === 'breakglass.used')?.detail
    assert.deepEqual(
      [told?.reason, told?.skipped, told?.rules],
      ['orders are stuck', ['group:dba'], ['ask/deletes']],
    )
    assert.ok(facts.some(({ what }) => what === 'breakglass.opened'))

    const held = await incident(glass.incident)
    assert.match(held.title, /orders are stuck/)
    assert.deepEqual([held.glass?.id, held.glass?.review], [glass.id, ['group:security']])
    assert.equal(held.sessions.length, 1)
    assert.equal(held.holds.length, 1)
    assert.match((await close(glass.incident)).text, /broke the glass: somebody else closes/)

    const stranger = as('eve', 'dba')
    assert.match((await open(stranger, glass.incident)).text, /is closed by one of group:security/)
    const sam = as('sam', 'security')
    assert.match((await open(sam, glass.incident)).text, /is open still/)
    await family.ask('POST', `/v1/break-glass/${glass.id}/end`)
    const page = await open(sam, glass.incident)
    assert.match(page.text, /Close it/)
    assert.match((await press(sam, page, 'approve')).text, /Nothing was closed/)
    assert.equal((await close(glass.incident)).status, 403)
    const last = await press(sam, await open(sam, glass.incident), 'approve', 'looked at all of it')
    assert.match(last.text, /is closed/)
    const closed = await incident(glass.incident)
    assert.deepEqual(
      [closed.closed?.by, closed.closed?.note],
      ['sam@example.com', 'looked at all of it'],
    )
    await isAsked(await session(opened), 'delete from orders where id = 2')
  })

  test('an agent only asks for it: its person says yes with a login of the moment, once', async () => {
    const dana = as('dana', 'oncall')
    const root = await loginOf(dana)
    const child = await family.child(root, 'fixer')
    const below = await family.child(child, 'below')
    const body = { reason: 'orders are stuck', connections: ['shop'] }
    const { glass, confirmAt = '' } = await ask(body, child.handle)
    assert.equal(glass, undefined)
    const id = confirmAt.slice(confirmAt.lastIndexOf('/') + 1)
    assert.equal(confirmAt, `${url}/a/${id}`)
    await isAsked(await family.session(child), 'delete from orders where id = 11')

    // The owner, of whom it is no agent, cannot, nor can somebody else, nor a child for its parent.
    const owner = await family.tryAsk('POST', '/v1/break-glass', { ...body, agent: child.id })
    assert.deepEqual(
      [owner.status, /no agent of yours/.test(JSON.stringify(owner.answer))],
      [403, true],
    )
    const up = { ...body, agent: child.id }
    assert.equal((await family.tryAsk('POST', '/v1/break-glass', up, below.handle)).status, 404)
    const other = as('ben', 'oncall')
    assert.match((await open(other, id)).text, /is no agent of yours/)

    const again = as('dana', 'oncall')
    const page = await open(again, id)
    assert.match(page.text, /Break the glass\?/)
    assert.match(page.text, /orders are stuck/)
    assert.match((await press(again, page, 'approve')).text, /is open for/)
    assert.match((await press(again, page, 'approve')).text, /too old/)
    assert.match((await open(again, id)).text, /too old, was answered/)

    const client = await family.session(child)
    assert.equal((await client.query('delete from orders where id = 12')).rowCount, 1)
    await client.end()
    await isAsked(await family.session(below), 'delete from orders where id = 13')
    await isAsked(await family.session(root), 'delete from orders where id = 14')
    const all = (await family.ask('GET', '/v1/break-glass', undefined, child.handle)) as GlassView[]
    const [mine] = all
    assert.deepEqual([all.length, mine?.by, mine?.uses], [1, 'dana@example.com', 1])
    const sneaky = await family.tryAsk(
      'POST',
      `/v1/break-glass/${mine?.id}/end`,
      undefined,
      below.handle,
    )
    assert.equal(sneaky.status, 403)
    await family.ask('POST', `/v1/agents/${child.id}/revoke`, { reason: 'enough' })
    await until(
      'it has ended with its agent',
      async () => (await glassOf(mine?.id ?? ''))?.state === 'ended',
    )
    // Dana is of security as well by now, and broke it herself.
    const self = as('dana', 'security', 'oncall')
    assert.match((await open(self, mine?.incident ?? '')).text, /dana@example\.com broke the glass/)
  })

  test('a grant below it is not widened, and another connection is asked for', async () => {
    const root = await family.root()
    const reader = await family.child(root, 'reader', { allow: ['shop:ro'] })
    const body = { reason: 'to see', connections: ['shop'], agent: reader.id }
    const { glass } = await ask(body)
    const client = await family.session(reader)
    assert.match(
      (await failure(client.query('delete from orders where id = 21'))).message,
      /not granted|grant/i,
    )
    await client.end()
    assert.equal((await glassOf(glass?.id ?? ''))?.uses, 0)
    for (const [wrong, status] of [
      [{ ...body, agent: root.id, connections: ['other'] }, 403],
      [{ ...body, agent: root.id, reason: '' }, 400],
      [{ ...body, agent: root.id, reason: '  ' }, 400],
      [{ ...body, agent: root.id, for: '31m' }, 403],
      [{ ...body, agent: root.id, for: 'ever' }, 400],
      [{ ...body }, 403],
    ] as const)
      assert.equal(
        (await family.tryAsk('POST', '/v1/break-glass', wrong)).status,
        status,
        JSON.stringify(wrong),
      )
  })

  test('on the command line: begun, listed and ended', async () => {
    const cli = async (...words: string[]): Promise<{ code: number; out: string; err: string }> => {
      using ran = sallyport(gateway, [...words, '-o', 'table'])
      const code = await ran.ended()
      return { code, out: ran.out, err: ran.err }
    }
    const none = await cli('break-glass', '--on', 'shop')
    assert.notEqual(none.code, 0)
    assert.match(none.err, /reason/)
    const begun = await cli(
      'break-glass',
      '--on',
      'shop',
      '--reason',
      'orders are stuck',
      '--for',
      '5m',
    )
    assert.equal(begun.code, 0, begun.err)
    const id = /bg_\w+/.exec(begun.out)?.[0] ?? ''
    const opened = /postgresql:\S+(?=")/.exec(begun.out)?.[0] ?? ''
    const client = await session(opened)
    assert.equal((await client.query('delete from orders where id = 31')).rowCount, 1)
    assert.match(
      (await cli('break-glass', 'list')).out,
      new RegExp(`${id}.*open.*orders are stuck`),
    )
    const ended = await cli('break-glass', 'end', id)
    assert.match(ended.out, /after 1 commands/)
    await isAsked(client, 'delete from orders where id = 32')
  })
})
