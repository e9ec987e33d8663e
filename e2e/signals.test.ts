import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { skipReason, until } from '@sallyport/testkit'
import type { Client } from 'pg'
import { LocalProvider } from '../packages/gateway/src/control-plane/births/local-provider.fixture.ts'
import {
  consentId,
  TestBrowser,
} from '../packages/gateway/src/control-plane/births/test-browser.fixture.ts'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const scimToken = randomBytes(24).toString('hex')
const people = (issuer: string): string => `apiVersion: sallyport.dev/v1
kind: OidcProvider
metadata: {name: idp}
spec:
  issuer: ${issuer}
  clientId: sallyport
  clientSecret: {from: "file:secret"}
  scopes: [openid, email, profile]
  signals: {scim: {token: {from: "file:scim.token"}}}
---
apiVersion: sallyport.dev/v1
kind: Grant
metadata: {name: devs}
spec: {to: ["group:dev"], on: [{connections: ["shop"]}], allow: [rw]}
---
apiVersion: sallyport.dev/v1
kind: Grant
metadata: {name: everybody}
spec: {to: ["group:all"], on: [{connections: ["shop"]}], allow: [ro]}
`

suite('somebody whom the provider reports', { skip: skipReason(), timeout: 180_000 }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  let provider: LocalProvider
  let url: string
  before(async () => {
    gateway = await startTestGateway({ seed: 'create table item(n int)', workers: 2 })
    family = new AgentFamily(gateway)
    url = `http://127.0.0.1:${gateway.gateway.ports.api}`
    const logoutUri = `${url}/oidc/backchannel-logout`
    provider = await LocalProvider.open(`${url}/login/callback`, true, logoutUri)
    mkdirSync(join(gateway.dataDir, 'identity'), { recursive: true })
    writeFileSync(join(gateway.dataDir, 'identity', 'secret'), 'test-secret')
    writeFileSync(join(gateway.dataDir, 'identity', 'scim.token'), scimToken)
    writeFileSync(join(gateway.dataDir, 'identity', 'people.yaml'), people(provider.url))
    await until('the provider is in force', async () => {
      const metadata = await (await fetch(`${url}/.well-known/oauth-authorization-server`)).text()
      return metadata.includes('device_authorization')
    })
  })
  after(async () => {
    await provider.close()
    await gateway[Symbol.asyncDispose]()
  })

  const newBrowser = (): TestBrowser => {
    const overNetwork: unknown = { request: async (asked: Request) => await fetch(asked) }
    return new TestBrowser(url, overNetwork as ConstructorParameters<typeof TestBrowser>[1])
  }

  const logIn = async (subject: string, browser = newBrowser()): Promise<TestAgent> => {
    provider.subject = subject
    provider.account = {
      email: `${subject}@example.com`,
      email_verified: true,
      groups: ['dev', 'all'],
    }
    const redirect = 'http://127.0.0.1:45123/cb'
    const verifier = randomBytes(32).toString('base64url')
    const challenge = createHash('sha256').update(verifier).digest('base64url')
    const query = new URLSearchParams({ redirect, challenge }).toString()
    const page = await browser.visit(`${url}/login?${query}`, [provider.url])
    const form = { id: consentId(page), decision: 'allow' }
    const back = await browser.visit(`${url}/login/confirm`, [], form)
    const answer = await fetch(`${url}/oauth/token`, {
      method: 'POST',
      body: new URLSearchParams({
        grant_type: 'authorization_code',
        code: new URL(back.url).searchParams.get('code') ?? '',
        code_verifier: verifier,
        redirect_uri: redirect,
      }),
    })
    const born = (await answer.json()) as { access_token: string; agent: { id: string } }
    assert.equal(answer.status, 200, JSON.stringify(born))
    return { id: born.agent.id, handle: born.access_token, cut: [] }
  }

  const scim = async (
    method: string,
    path: string,
    body: Record<string, unknown>,
  ): Promise<Record<string, unknown>> => {
    const answer = await fetch(`${url}/scim/v2${path}`, {
      method,
      headers: { authorization: `Bearer ${scimToken}`, 'content-type': 'application/scim+json' },
      body: JSON.stringify(body),
    })
    const said = (await answer.json()) as Record<string, unknown>
    assert.ok(answer.ok, JSON.stringify(said))
    return said
  }

  const lastWords = (client: Client): Promise<Error & { code?: string; detail?: string }> =>
    new Promise((resolve) => client.once('error', resolve))
  const activeAtTarget = async (mark: string): Promise<string> =>
    await gateway.postgres.sql(
      `select count(*) from pg_stat_activity where state <> 'idle' and query like '%${mark}%' and pid <> pg_backend_pid()`,
    )

  test('deactivated by SCIM: what a grandchild runs is cancelled before the directory has its answer', async (t) => {
    const user = await scim('POST', '/Users', { userName: 'leaver@example.com' })
    const root = await logIn('leaver')
    const planner = await family.child(root, 'planner', { allow: ['shop:read'] })
    const scout = await family.child(planner, 'scout', { allow: ['shop:read'] })
    const [idle, busy] = [await family.session(root), await family.session(scout)]
    const words = lastWords(idle)
    const running = busy.query('select pg_sleep(60) as leaver_mark').catch((e: unknown) => e)
    await until('it to run', async () => (await activeAtTarget('leaver_mark')) === '1')
    const begun = performance.now()
    await scim('PATCH', `/Users/${String(user['id'])}`, {
      Operations: [{ op: 'Replace', path: 'active', value: 'False' }],
    })
    t.diagnostic(`answered after ${Math.round(performance.now() - begun)} ms`)
    assert.equal(await activeAtTarget('leaver_mark'), '0')
    const { code, detail } = await words
    assert.equal(code, '57P01')
    assert.match(detail ?? '', /revoked by idp at .*: "idp deactivated the account"/u)
    assert.ok((await running) instanceof Error)
    const { status } = await family.tryAsk('GET', '/v1/agents/self', undefined, scout.handle)
    assert.equal(status, 401)
  })

  test('out of a group by SCIM: the next command in an open session is judged by what is left', async () => {
    const user = await scim('POST', '/Users', { userName: 'mover@example.com' })
    const member = { value: user['id'] }
    const group = await scim('POST', '/Groups', { displayName: 'dev', members: [member] })
    const child = await family.child(await logIn('mover'), 'scout', { allow: ['shop:rw'] })
    const client = await family.session(child)
    await client.query('insert into item values (1)')
    await scim('PATCH', `/Groups/${String(group['id'])}`, {
      Operations: [{ op: 'remove', path: `members[value eq "${String(user['id'])}"]` }],
    })
    const refused = (await client
      .query('insert into item values (2)')
      .catch((e: unknown) => e)) as { code?: string }
    assert.equal(refused.code, '42501')
    assert.equal((await client.query('select n from item')).rowCount, 1)
    await client.end()
  })

  test('logged out at the provider: the session of the tree ends', async () => {
    const browser = newBrowser()
    const client = await family.session(await logIn('goer', browser))
    const words = lastWords(client)
    const page = await browser.visit(`${provider.url}/session/end`, [provider.url])
    const xsrf = /name="xsrf" value="([^"]+)"/u.exec(page.text)?.[1] ?? assert.fail(page.text)
    const form = { xsrf, logout: 'yes' }
    await browser.visit(`${provider.url}/session/end/confirm`, [provider.url], form)
    const { code, detail } = await words
    assert.equal(code, '57P01')
    assert.match(detail ?? '', /"idp ended the login"/u)
  })
})
