import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { listenApi } from '../../api/listen-api.ts'
import { DpopProofs } from '../../dpop.ts'
import { MemoryLogins } from '../memory-logins.fixture.ts'
import { MemoryProofUses } from '../../memory-proof-uses.fixture.ts'
import { SourceRates } from '../../source-rates.ts'
import { type BirthsPart, openBirths } from '../births.ts'
import { noApprovals } from '../no-approvals.fixture.ts'
import { FakeAgents } from '../fake-agents.fixture.ts'
import { LocalProvider } from '../local-provider.fixture.ts'
import type { BirthEvent } from '../ports.ts'
import { consentId, TestBrowser, type Visited } from '../test-browser.fixture.ts'
import { MemoryTokenUses } from '../memory-token-uses.fixture.ts'
import { openGate } from '../open-gate.fixture.ts'

const gatewayUrl = 'http://127.0.0.1:8700'
const callback = `${gatewayUrl}/login/callback`
const loopback = 'http://127.0.0.1:45123/cb'
let verifier: string
let challenge: string
/** As a program does for each of its logins. */
const newChallenge = (): void => {
  verifier = randomBytes(32).toString('base64url')
  challenge = createHash('sha256').update(verifier).digest('base64url')
}

let logins: MemoryLogins
let provider: LocalProvider
let thin: LocalProvider
let dir: string
let births: BirthsPart
let agents: FakeAgents
let events: BirthEvent[]
let browser: TestBrowser
let faults: unknown[]
let clock = 0

before(async () => {
  process.env['BIRTHS_TEST_SECRET'] = 'test-secret'
  provider = await LocalProvider.open(callback, true)
  thin = await LocalProvider.open(callback, false)
})
beforeEach(async () => {
  clock = 0
  newChallenge()
  events = []
  faults = []
  agents = new FakeAgents()
  logins = new MemoryLogins()
  provider.gone.clear()
  for (const each of [provider, thin]) {
    each.account = { email: 'dana@example.com', email_verified: true, groups: ['dev', 'oncall'] }
  }
  dir = await mkdtemp(join(tmpdir(), 'births-'))
  await open()
})
afterEach(async () => {
  births.close()
  await rm(dir, { recursive: true })
})
after(async () => {
  await provider.close()
  await thin.close()
})

async function open(spec = '', url = provider.url): Promise<void> {
  births?.close()
  await mkdir(join(dir, 'identity'), { recursive: true })
  await writeFile(
    join(dir, 'identity', 'a.yaml'),
    `apiVersion: sallyport.dev/v1
kind: OidcProvider
metadata: {name: idp}
spec:
  issuer: ${url}
  clientId: sallyport
  clientSecret: {from: "env:BIRTHS_TEST_SECRET"}
  scopes: [openid, email, profile, offline_access]
${spec}
---
apiVersion: sallyport.dev/v1
kind: Grant
metadata: {name: devs}
spec: {to: ["group:dev"], on: [{connections: [stage-*]}], allow: [rw]}
---
apiVersion: sallyport.dev/v1
kind: Grant
metadata: {name: dana}
spec: {to: ["user:dana@example.com"], on: [{connections: [orders-db]}], allow: [read]}
`,
  )
  births = await openBirths({
    approvals: noApprovals,
    gate: openGate,
    sources: new SourceRates(),
    logins,
    proofs: new DpopProofs(new MemoryProofUses(), () => Date.now() + clock),
    ownUrls: () => [gatewayUrl],
    dataDir: dir,
    gatewayUrl: () => gatewayUrl,
    agents,
    connections: async () => [],
    uses: new MemoryTokenUses(agents),
    onEvent: (event) => events.push(event),
    onConfig: () => {},
    onFault: (error) => faults.push(error),
    now: () => Date.now() + clock,
  })
  browser = new TestBrowser(gatewayUrl, births.routes)
}

const sites = (): string[] => [provider.url, thin.url]

function start(more = '', from = browser): Promise<Visited> {
  const query = new URLSearchParams({ redirect: loopback, challenge, state: 's1' }).toString()
  return from.visit(`${gatewayUrl}/login?${query}${more}`, sites())
}

function press(page: Visited, decision: string, from = browser): Promise<Visited> {
  return from.visit(`${gatewayUrl}/login/confirm`, sites(), { id: consentId(page), decision })
}

async function ask(
  path: string,
  form: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await births.routes.request(path, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams(form).toString(),
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

const redeem = (code: string, more: Record<string, string> = {}): ReturnType<typeof ask> =>
  ask('/oauth/token', {
    grant_type: 'authorization_code',
    code,
    code_verifier: verifier,
    redirect_uri: loopback,
    ...more,
  })

const codeOf = ({ url }: Visited): string => new URL(url).searchParams.get('code') ?? ''

test('a login in the browser gives the waiting program a root of the person', async () => {
  const page = await start('&scope=orders-db:read&ttl=1h')
  assert.equal(page.status, 200)
  assert.match(page.text, /Log in as dana@example\.com\?/u)
  assert.match(page.text, /127\.0\.0\.1:45123/u)
  assert.match(page.text, /orders-db:read/u)
  assert.equal(agents.all.size, 0)
  const back = await press(page, 'allow')
  assert.ok(back.url.startsWith(`${loopback}?`))
  assert.equal(new URL(back.url).searchParams.get('state'), 's1')
  const { status, body } = await redeem(codeOf(back))
  assert.equal(status, 200)
  const [root] = [...agents.all.values()]
  assert.equal(body['access_token'], root?.handle)
  assert.equal(root?.view.name, 'dana')
  assert.equal(root.request.ttlMs, 3_600_000)
  assert.deepEqual([...agents.liveRoots()][0]?.principal, {
    id: `oidc:${provider.url}|u-dana`,
    kind: 'human',
    name: 'dana@example.com',
    groups: ['dev', 'oncall'],
  })
  assert.deepEqual(root.request.layers[0]?.permits[0]?.connections, ['orders-db'])
  const permits = root.entitlement[0]?.permits.map(({ connections }) => connections[0])
  assert.deepEqual(permits, ['stage-*', 'orders-db'])
  assert.equal((await redeem(codeOf(back))).body['error'], 'invalid_grant')
})

test('claims that stand in userinfo only are found there', async () => {
  await open('', thin.url)
  const { body } = await redeem(codeOf(await press(await start(), 'allow')))
  assert.ok(body['access_token'])
  assert.deepEqual([...agents.liveRoots()][0]?.principal.groups, ['dev', 'oncall'])
})

test('a code is worth nothing with another verifier, another address, or after a minute', async () => {
  const wrong = await redeem(codeOf(await press(await start(), 'allow')), {
    code_verifier: 'w'.repeat(43),
  })
  assert.equal(wrong.body['error'], 'invalid_grant')
  const elsewhere = await redeem(codeOf(await press(await start(), 'allow')), {
    redirect_uri: 'http://127.0.0.1:1/cb',
  })
  assert.equal(elsewhere.body['error'], 'invalid_grant')
  const late = codeOf(await press(await start(), 'allow'))
  clock = 61_000
  assert.equal((await redeem(late)).body['error'], 'invalid_grant')
  assert.equal(agents.all.size, 0)
})

test('who denies sends the program away without a code', async () => {
  const back = await press(await start(), 'deny')
  assert.equal(new URL(back.url).searchParams.get('error'), 'access_denied')
  assert.equal(new URL(back.url).searchParams.get('iss'), gatewayUrl)
  assert.equal(codeOf(back), '')
})

test('of two tabs of one login one finishes it, and the other is told', async () => {
  const [first, second, third] = [await start(), await start(), await start()]
  const early = codeOf(await press(second, 'allow'))
  assert.equal((await redeem(codeOf(await press(first, 'allow')))).status, 200)
  const late = await press(third, 'allow')
  assert.equal(late.status, 400)
  assert.match(late.text, /finished in another tab/u)
  // A code that was made before makes no second root either.
  assert.equal((await redeem(early)).body['error'], 'invalid_grant')
  assert.equal(agents.all.size, 1)
})

test('only the browser that began a login can finish or allow it', async () => {
  const stranger = new TestBrowser(gatewayUrl, births.routes)
  const page = await start()
  assert.equal((await press(page, 'allow', stranger)).status, 400)
  // The owner's page is still good.
  assert.notEqual(codeOf(await press(page, 'allow')), '')
  // The answer of the provider, in another browser.
  const stopped = await browser.visit(
    `${gatewayUrl}/login?redirect=${loopback}&challenge=${challenge}`,
    [],
  )
  const answered = await new TestBrowser(gatewayUrl, births.routes).visit(stopped.url, [
    provider.url,
  ])
  assert.match(answered.text, /not begun in this browser/u)
  assert.equal(answered.status, 400)
})

test('a program waits on an IP literal of loopback and sends a challenge, or is refused', async () => {
  const bad = [
    'https://evil.example.com/cb',
    'http://localhost:4/cb',
    'http://127.0.0.1/cb',
    'http://127.0.0.1.evil.example.com:4/cb',
    'http://a@127.0.0.1:4/cb',
    'javascript:alert(1)',
    '',
  ]
  for (const redirect of bad) {
    const query = new URLSearchParams({ redirect, challenge }).toString()
    assert.equal(
      (await browser.visit(`${gatewayUrl}/login?${query}`, sites())).status,
      400,
      redirect,
    )
  }
  for (const more of [
    '',
    '&challenge=short',
    `&challenge=${challenge}&code_challenge_method=plain`,
  ]) {
    assert.equal(
      (await browser.visit(`${gatewayUrl}/login?redirect=${loopback}${more}`, sites())).status,
      400,
      more,
    )
  }
})

const people: readonly (readonly [string, string, Record<string, unknown>, RegExp])[] = [
  ['outside of the allowed groups', '  allowedGroups: [ops]', {}, /none of your groups/u],
  [
    'without groups where groups decide',
    '  allowedGroups: [ops]',
    { groups: undefined },
    /sends no claim (?:"|&quot;)groups/u,
  ],
  ['of another domain', '  allowedDomains: [other.example]', {}, /domain may not/u],
  ['whose address nobody has verified', '', { email_verified: false }, /verified/u],
  [
    'without the claim that names people',
    '  userClaim: upn',
    {},
    /sends no claim (?:"|&quot;)upn/u,
  ],
  [
    'with too many groups for the token',
    '',
    { groups: undefined, _claim_names: { groups: 'src1' } },
    /left your groups out/u,
  ],
]
for (const [who, spec, account, message] of people) {
  test(`somebody ${who} is told why the login is refused`, async () => {
    await open(spec)
    Object.assign(provider.account, account)
    const page = await start()
    assert.equal(page.status, 400)
    assert.match(page.text, message)
    assert.equal(events.at(-1)?.kind, 'login.refused')
  })
}

test('a missing groups claim means no groups, not those of before', async () => {
  await redeem(codeOf(await press(await start(), 'allow')))
  provider.account['groups'] = undefined
  newChallenge()
  await redeem(codeOf(await press(await start(), 'allow')))
  const permits = [...agents.all.values()].map(({ entitlement }) =>
    entitlement[0]?.permits.map(({ connections }) => connections[0]),
  )
  assert.deepEqual(permits, [['orders-db'], ['orders-db']])
})

test('who loses a group at the provider loses it in all living trees', async () => {
  await redeem(codeOf(await press(await start(), 'allow')))
  provider.account['groups'] = ['oncall']
  await births.rechecks.run()
  const [root] = [...agents.all.values()]
  assert.deepEqual(
    root?.entitlement[0]?.permits.map(({ connections }) => connections[0]),
    ['orders-db'],
  )
  assert.deepEqual(faults, [])
})

test('who leaves takes the whole tree along', async () => {
  await redeem(codeOf(await press(await start(), 'allow')))
  provider.gone.add('u-dana')
  const revoke = agents.revoke.bind(agents)
  agents.revoke = async () => Promise.reject(new Error('the store is away'))
  await births.rechecks.run()
  assert.equal(faults.length, 1)
  agents.revoke = revoke
  await births.rechecks.run()
  assert.equal([...agents.all.values()][0]?.view.state, 'revoked')
})

test('a login is looked at again after a restart, and at once', async () => {
  await redeem(codeOf(await press(await start(), 'allow')))
  const root = [...logins.known.keys()][0]
  assert.ok(root !== undefined)
  await open()
  await births.rechecks.run()
  assert.equal(logins.known.size, 1)
  assert.equal(agents.all.get(root)?.view.state, 'active')
  provider.gone.add('u-dana')
  await open()
  await births.rechecks.run()
  assert.equal(agents.all.get(root)?.view.state, 'revoked')
  assert.equal(logins.known.size, 0)
  assert.deepEqual(faults, [])
})

test('a login whose agent is over is forgotten', async () => {
  await redeem(codeOf(await press(await start(), 'allow')))
  const root = [...agents.all.keys()][0]
  assert.ok(root !== undefined)
  await agents.revoke(root)
  await births.rechecks.run()
  assert.equal(logins.known.size, 0)
})

test('a device is logged in by the code that a person types, and asks no faster than told', async () => {
  const begun = await ask('/oauth/device_authorization', {
    host: 'build-7',
    scope: 'orders-db:read',
  })
  assert.equal(begun.body['interval'], 5)
  assert.match(
    String(begun.body['user_code']),
    /^[BCDFGHJKLMNPQRSTVWXZ]{4}-[BCDFGHJKLMNPQRSTVWXZ]{4}$/u,
  )
  const poll = (): ReturnType<typeof ask> =>
    ask('/oauth/token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      device_code: String(begun.body['device_code']),
    })
  assert.equal((await poll()).body['error'], 'authorization_pending')
  assert.equal((await poll()).body['error'], 'slow_down')
  clock += 6000
  assert.equal((await poll()).body['error'], 'slow_down')
  clock += 16_000
  assert.equal((await poll()).body['error'], 'authorization_pending')
  assert.match(
    (
      await browser.visit(
        `${gatewayUrl}/device?user_code=${String(begun.body['user_code'])}`,
        sites(),
      )
    ).text,
    /value="[A-Z]{4}-[A-Z]{4}"/u,
  )
  const typed = String(begun.body['user_code']).toLowerCase().replace('-', ' ')
  const page = await browser.visit(`${gatewayUrl}/device`, sites(), { user_code: typed })
  assert.match(page.text, /build-7/u)
  assert.match(page.text, /orders-db:read/u)
  assert.match((await press(page, 'allow')).text, /You can close this window/u)
  clock += 20_000
  const { body } = await poll()
  assert.equal(body['access_token'], [...agents.all.values()][0]?.handle)
  clock += 20_000
  assert.equal((await poll()).body['error'], 'expired_token')
})

test('a device that a person denies, or that waits too long, is told so', async () => {
  const begin = async (): Promise<Record<string, unknown>> =>
    (await ask('/oauth/device_authorization', {})).body
  const poll = ({ device_code: code }: Record<string, unknown>): ReturnType<typeof ask> =>
    ask('/oauth/token', {
      grant_type: 'urn:ietf:params:oauth:grant-type:device_code',
      device_code: String(code),
    })
  const first = await begin()
  const page = await browser.visit(`${gatewayUrl}/device`, sites(), {
    user_code: String(first['user_code']),
  })
  await press(page, 'deny')
  assert.equal((await poll(first)).body['error'], 'access_denied')
  const second = await begin()
  clock = 601_000
  assert.equal((await poll(second)).body['error'], 'expired_token')
})

test('guessing codes of devices is slowed down for all', async () => {
  const guess = (): Promise<Visited> =>
    browser.visit(`${gatewayUrl}/device`, sites(), { user_code: 'BBBB-BBBB' })
  for (let each = 0; each < 60; each += 1) assert.equal((await guess()).status, 404)
  assert.equal((await guess()).status, 429)
  clock = 61_000
  assert.equal((await guess()).status, 404)
})

test('an agent that asks for a login is refused', async () => {
  const { status, body } = await ask(
    '/oauth/device_authorization',
    {},
    { authorization: 'Bearer spa_x' },
  )
  assert.equal(body['code'], 'SP_LOGIN_INSIDE_AGENT')
  assert.equal(status, 403)
})

test('pages run no script, load nothing and cannot be framed, and what others wrote is text in them', async () => {
  const begun = await ask('/oauth/device_authorization', { host: '<img src=x onerror=alert(1)>' })
  const page = await browser.visit(`${gatewayUrl}/device`, sites(), {
    user_code: String(begun.body['user_code']),
  })
  assert.match(page.text, /&lt;img/u)
  assert.doesNotMatch(page.text, /<img/u)
  const response = await births.routes.request('/device?user_code="><script>')
  assert.doesNotMatch(await response.text(), /<script/u)
  const policy = response.headers.get('content-security-policy') ?? ''
  assert.match(policy, /default-src 'none'/u)
  assert.match(policy, /frame-ancestors 'none'/u)
})

test('metadata name logins where there is a provider', async () => {
  const document = (await (
    await births.routes.request('/.well-known/oauth-authorization-server')
  ).json()) as Record<string, unknown>
  assert.equal(document['authorization_endpoint'], `${gatewayUrl}/oauth/authorize`)
  assert.deepEqual(document['code_challenge_methods_supported'], ['S256'])
})

test('the page of a device shows from where the device is connected', async () => {
  const listener = await listenApi(births.routes, '127.0.0.1', 0)
  try {
    const url = `http://127.0.0.1:${listener.port}/oauth/device_authorization`
    const headers = { 'x-forwarded-for': '10.9.8.7' }
    const answer = await fetch(url, {
      method: 'POST',
      headers,
      body: new URLSearchParams({ host: 'a' }),
    })
    const { user_code: code } = (await answer.json()) as { user_code: string }
    const page = await browser.visit(`${gatewayUrl}/device`, sites(), { user_code: code })
    assert.match(page.text, /connected from 127\.0\.0\.1/u)
  } finally {
    await listener.close()
  }
})
