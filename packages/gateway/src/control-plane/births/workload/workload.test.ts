import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { base64url, exportJWK, generateKeyPair, SignJWT, type CryptoKey } from 'jose'
import { DpopProofs } from '../../dpop.ts'
import { MemoryLogins } from '../memory-logins.fixture.ts'
import { MemoryProofUses } from '../../memory-proof-uses.fixture.ts'
import { SourceRates } from '../../source-rates.ts'
import { type BirthsPart, openBirths } from '../births.ts'
import { noApprovals } from '../no-approvals.fixture.ts'
import { FakeAgents } from '../fake-agents.fixture.ts'
import { LocalIssuer } from '../local-issuer.fixture.ts'
import type { BirthEvent, ChildBirth } from '../ports.ts'
import { MemoryTokenUses } from '../memory-token-uses.fixture.ts'
import { openGate } from '../open-gate.fixture.ts'

const gatewayUrl = 'https://gw.example.com'
let issuer: LocalIssuer
let dir: string
let births: BirthsPart
let agents: FakeAgents
let events: BirthEvent[]
let clock = 0

const files = (url: string): string => `apiVersion: sallyport.dev/v1
kind: AgentProfile
metadata: {name: migrations}
spec: {purpose: migrates, ceiling: [{on: [{connections: [orders-db]}], allow: [rw]}], delegate: {depth: 1}}
---
apiVersion: sallyport.dev/v1
kind: TrustRule
metadata: {name: shop}
spec:
  issuer: ${url}
  match: {repository_id: "551122", event_name: [push, pull_request_target], ref: {glob: refs/heads/*}}
  allowEvents: [pull_request_target]
  root: {key: [repository_id, run_id], name: "gh-{run_id}"}
  child: {key: [check_run_id], name: "job-{check_run_id}"}
  profile: migrations
  owner: group:release
  maxTtl: 30m
---
apiVersion: sallyport.dev/v1
kind: TrustRule
metadata: {name: strict}
spec:
  issuer: ${url}
  match: {repository_id: "7"}
  owner: group:release
---
apiVersion: sallyport.dev/v1
kind: TrustRule
metadata: {name: pods}
spec:
  issuer: ${url}
  audience: pods
  match: {/kubernetes.io/namespace: orders}
  root: {key: [/kubernetes.io/pod/uid], name: "{/kubernetes.io/pod/name}"}
  owner: group:orders
---
apiVersion: sallyport.dev/v1
kind: Grant
metadata: {name: release}
spec: {to: ["trust:shop"], on: [{labels: {env: prod}}], allow: [read], budget: {writes: 5}, delegate: {depth: 2}}
`

const job = {
  aud: gatewayUrl,
  repository_id: '551122',
  event_name: 'push',
  ref: 'refs/heads/main',
  run_id: '9',
  check_run_id: '31',
}

before(async () => {
  issuer = await LocalIssuer.open()
  dir = await mkdtemp(join(tmpdir(), 'births-'))
})
beforeEach(async () => {
  births?.close()
  issuer.answerKeys = undefined
  issuer.discovery = {}
  issuer.requests = 0
  clock = 0
  events = []
  agents = new FakeAgents()
  await rm(join(dir, 'identity'), { recursive: true, force: true })
  births = await openFresh()
  await writeFile(join(dir, 'identity', 'a.yaml'), files(issuer.url))
  births.close()
  births = await openFresh()
})
after(async () => {
  births.close()
  await issuer.close()
  await rm(dir, { recursive: true })
})

function openFresh(): Promise<BirthsPart> {
  return openBirths({
    approvals: noApprovals,
    gate: openGate,
    sources: new SourceRates(),
    logins: new MemoryLogins(),
    proofs: new DpopProofs(new MemoryProofUses(), () => Date.now() + clock),
    ownUrls: () => [gatewayUrl],
    dataDir: dir,
    gatewayUrl: () => `${gatewayUrl}/`,
    agents,
    connections: async () => [
      { name: 'orders-db', labels: { env: 'prod' } },
      { name: 'stage-db', labels: { env: 'stage' } },
    ],
    uses: new MemoryTokenUses(agents),
    onEvent: (event) => events.push(event),
    onConfig: () => {},
    onFault: (error) => assert.fail(String(error)),
    now: () => Date.now() + clock,
  })
}

interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

async function ask(
  form: Record<string, string>,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await births.routes.request('/oauth/token', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded', ...headers },
    body: new URLSearchParams(form).toString(),
  })
  return { status: response.status, body: (await response.json()) as Answer['body'] }
}

const bearer = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
const show = (
  assertion: string,
  headers?: Record<string, string>,
  more: Record<string, string> = {},
): Promise<Answer> => ask({ grant_type: bearer, assertion, ...more }, headers)

async function newProof(): Promise<
  (change?: Record<string, unknown>, key?: CryptoKey) => Promise<{ dpop: string }>
> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const jwk = await exportJWK(publicKey)
  return async (change = {}, key = privateKey) => ({
    dpop: await new SignJWT({
      jti: randomUUID(),
      htm: 'POST',
      htu: `${gatewayUrl}/oauth/token`,
      ...change,
    })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk })
      .setIssuedAt()
      .sign(key),
  })
}

function refused({ status, body }: Answer, why: RegExp): void {
  assert.equal(status, 400)
  assert.equal(body['error'], 'invalid_grant')
  assert.equal(body['code'], 'SP_TOKEN_REFUSED')
  const last = events.at(-1)
  assert.equal(last?.kind, 'token.refused')
  assert.match(last.why, why)
  // The caller learns nothing of the rule.
  assert.doesNotMatch(String(body['error_description']), why)
  assert.equal(agents.all.size, 0)
}

test('a job becomes a child of its run, below the ceiling and the grants of its rule', async () => {
  const { status, body } = await show(await issuer.token(job), {}, { scope: 'orders-db:read' })
  assert.equal(status, 200)
  assert.equal(body['token_type'], 'Bearer')
  const [root, child] = [...agents.all.values()]
  assert.deepEqual(child?.view.chain, ['gh-9', 'job-31'])
  assert.equal(body['access_token'], child.handle)
  assert.equal(root?.handle, undefined)
  assert.deepEqual(root?.request.layers, [
    {
      permits: [
        {
          connections: ['orders-db'],
          classes: ['read', 'explain', 'write', 'delete'].toSorted(byEffect),
          dimensions: {},
        },
      ],
    },
  ])
  assert.deepEqual(root.entitlement, [
    { permits: [{ connections: ['orders-db'], classes: ['read'], dimensions: {} }] },
  ])
  assert.deepEqual(root.request.budget, { writes: 5 })
  assert.deepEqual(root.request.delegate, { depth: 2, children: 256, ttlMs: 1_800_000 })
  assert.deepEqual(child.request.delegate, { depth: 1 })
  assert.equal((child.request as ChildBirth).purpose, 'migrates')
  assert.ok((child.request.ttlMs ?? Infinity) <= 1_800_000)
})

const order = ['read', 'explain', 'write', 'delete']
const byEffect = (a: string, b: string): number => order.indexOf(a) - order.indexOf(b)

test('jobs of one run are siblings, and jobs of two runs are not', async () => {
  for (const [run, check] of [
    ['9', '31'],
    ['9', '32'],
    ['10', '33'],
  ] as const) {
    await show(await issuer.token({ ...job, run_id: run, check_run_id: check }))
  }
  const chains = [...agents.all.values()]
    .filter(({ handle }) => handle !== undefined)
    .map(({ view }) => view.chain.join(' '))
  assert.deepEqual(chains, ['gh-9 job-31', 'gh-9 job-32', 'gh-10 job-33'])
})

const refusals: readonly (readonly [string, () => Promise<string>, RegExp])[] = [
  [
    'with the audience of another service',
    () => issuer.token({ ...job, aud: 'https://other.example.com' }),
    /"aud"/u,
  ],
  [
    'that has expired',
    () => issuer.token({ ...job, exp: Math.floor(Date.now() / 1000) - 31 }),
    /"exp"/u,
  ],
  [
    'that is not valid yet',
    () => issuer.token({ ...job, nbf: Math.floor(Date.now() / 1000) + 60 }),
    /"nbf"/u,
  ],
  [
    'that was issued in the future',
    () => issuer.token({ ...job, iat: Math.floor(Date.now() / 1000) + 60 }),
    /iat is in the future/u,
  ],
  ['without an end', () => issuer.token({ ...job, exp: undefined }), /"exp"/u],
  [
    'signed with a key that the issuer has not',
    async () => issuer.token(job, { key: (await generateKeyPair('RS256')).privateKey }),
    /signature/u,
  ],
  ['that names an unknown key', () => issuer.token(job, { kid: 'k2' }), /no applicable key/u],
  [
    'of another repository',
    () => issuer.token({ ...job, repository_id: '551123' }),
    /repository_id has another value/u,
  ],
  ['without a claim of the rule', () => issuer.token({ ...job, ref: undefined }), /ref is absent/u],
  [
    'whose claim is a list',
    () => issuer.token({ ...job, repository_id: ['551122'] }),
    /repository_id is absent/u,
  ],
  [
    'of another event',
    () => issuer.token({ ...job, event_name: 'workflow_dispatch' }),
    /event_name has another value/u,
  ],
  [
    'of pull_request_target where nobody allowed it',
    () => issuer.token({ ...job, repository_id: '7', event_name: 'pull_request_target' }),
    /not in allowEvents/u,
  ],
  [
    'of workflow_run',
    () => issuer.token({ ...job, repository_id: '7', event_name: 'workflow_run' }),
    /not in allowEvents/u,
  ],
  ['of another type', () => issuer.token(job, { typ: 'at+jwt' }), /its type is at\+jwt/u],
  [
    'of an issuer without a rule',
    () => issuer.token({ ...job, iss: 'https://evil.example.com' }),
    /no trust rule has this issuer/u,
  ],
  ['without a claim of the key', () => issuer.token({ ...job, run_id: undefined }), /root\.key/u],
  ['that is no token', async () => 'spa_x', /not a signed JSON Web Token/u],
  ['that is huge', async () => 'a'.repeat(20_000), /too large/u],
]
for (const [what, make, why] of refusals) {
  test(`a token ${what} is refused`, async () => refused(await show(await make()), why))
}

test('neither alg none nor HS256 with the public key passes', async () => {
  const [, payload] = (await issuer.token(job)).split('.')
  const none = `${base64url.encode(JSON.stringify({ alg: 'none', kid: 'k1' }))}.${payload}.`
  refused(await show(none), /algorithm none/u)
  const secret = new TextEncoder().encode(JSON.stringify(issuer.publicJwk))
  const now = Math.floor(Date.now() / 1000)
  const forged = await new SignJWT({ ...job, iss: issuer.url, iat: now, exp: now + 60 })
    .setProtectedHeader({ alg: 'HS256', kid: 'k1' })
    .sign(secret)
  refused(await show(forged), /algorithm HS256/u)
})

test('an event that a rule allows by name passes', async () => {
  assert.equal(
    (await show(await issuer.token({ ...job, event_name: 'pull_request_target' }))).status,
    200,
  )
})

test('a token without a proof works once', async () => {
  const token = await issuer.token({ ...job, jti: 'one' })
  assert.equal((await show(token)).status, 200)
  const second = await show(token)
  assert.equal(second.body['code'], 'SP_TOKEN_REPLAYED')
  // The same jti in a token that was signed anew is the same token.
  assert.equal(
    (await show(await issuer.token({ ...job, jti: 'one', run_id: '77' }))).body['code'],
    'SP_TOKEN_REPLAYED',
  )
  assert.equal(agents.all.size, 2)
  // Nor does a proof that comes later help.
  const proof = await newProof()
  assert.equal((await show(token, await proof())).body['code'], 'SP_TOKEN_REPLAYED')
})

test('a token without jti is known by what was signed', async () => {
  const token = await issuer.token(job)
  await show(token)
  assert.equal((await show(token)).body['code'], 'SP_TOKEN_REPLAYED')
})

test('of many requests with one token at once, one makes an agent', async () => {
  const token = await issuer.token(job)
  const answers = await Promise.all(Array.from({ length: 20 }, () => show(token)))
  assert.equal(answers.filter(({ status }) => status === 200).length, 1)
})

test('the same token with the same key gives the same agent, and with another key nothing', async () => {
  const token = await issuer.token({ ...job, jti: 'two' })
  const [mine, theirs] = [await newProof(), await newProof()]
  const first = await show(token, await mine())
  const again = await show(token, await mine())
  assert.equal(again.status, 200)
  assert.deepEqual(idOf(again), idOf(first))
  assert.notEqual(again.body['access_token'], first.body['access_token'])
  const stolen = await show(token, await theirs())
  assert.equal(stolen.body['code'], 'SP_TOKEN_REPLAYED')
  assert.equal(events.at(-1)?.kind, 'token.replayed')
  assert.equal((await show(token)).body['code'], 'SP_TOKEN_REPLAYED')
})

test('a job that asks for a second token with its key stays the agent that it was', async () => {
  const mine = await newProof()
  const first = await show(await issuer.token({ ...job, jti: 'a' }), await mine())
  const second = await show(await issuer.token({ ...job, jti: 'b' }), await mine())
  assert.deepEqual(idOf(second), idOf(first))
})

test('the token of an agent that was revoked brings it not back', async () => {
  const token = await issuer.token(job)
  const mine = await newProof()
  const first = await show(token, await mine())
  await agents.revoke(idOf(first))
  assert.equal((await show(token, await mine())).body['code'], 'SP_TOKEN_REPLAYED')
  assert.equal(agents.all.size, 2)
})

test('a run or a job that somebody stopped is not begun anew by further tokens of its platform', async () => {
  const first = await show(await issuer.token({ ...job, jti: 'x1' }))
  await agents.revoke(idOf(first))
  const again = await show(await issuer.token({ ...job, jti: 'x2' }))
  assert.equal(again.body['code'], 'SP_AGENT_REVOKED')
  assert.equal(again.body['error'], 'invalid_grant')
  const sibling = await show(await issuer.token({ ...job, check_run_id: '32' }))
  assert.equal(sibling.status, 200)
  const [root] = agents.all.keys()
  if (root !== undefined) await agents.revoke(root)
  const third = await show(await issuer.token({ ...job, check_run_id: '33' }))
  assert.equal(third.body['code'], 'SP_AGENT_REVOKED')
})

test('a token whose birth failed may be shown again', async () => {
  const token = await issuer.token(job)
  const createRoot = agents.createRoot.bind(agents)
  agents.createRoot = async () => Promise.reject(new Error('the store is away'))
  births.close()
  const faults: unknown[] = []
  births = await openBirths({
    approvals: noApprovals,
    gate: openGate,
    sources: new SourceRates(),
    logins: new MemoryLogins(),
    proofs: new DpopProofs(new MemoryProofUses(), () => Date.now() + clock),
    ownUrls: () => [gatewayUrl],
    dataDir: dir,
    gatewayUrl: () => `${gatewayUrl}/`,
    agents,
    connections: async () => [],
    uses: new MemoryTokenUses(agents),
    onEvent: () => {},
    onConfig: () => {},
    onFault: (error) => faults.push(error),
  })
  const failed = await show(token)
  assert.equal(failed.status, 500)
  assert.doesNotMatch(JSON.stringify(failed.body), /store/u)
  assert.equal(faults.length, 1)
  agents.createRoot = createRoot
  assert.equal((await show(token)).status, 200)
})

test('proofs for another address, method or time, used proofs and forged proofs are refused', async () => {
  const proof = await newProof()
  const stranger = (await generateKeyPair('ES256')).privateKey
  const used = await proof()
  await show(await issuer.token({ ...job, jti: 'p' }), used)
  const bad = [
    used,
    await proof({ htu: 'https://other.example.com/oauth/token' }),
    await proof({ htm: 'GET' }),
    await proof({ jti: undefined }),
    await proof({ jti: 5 }),
    await proof({ jti: 'x'.repeat(257) }),
    await proof({}, stranger),
    { dpop: 'x' },
  ]
  const before = agents.all.size
  for (const headers of bad) {
    const { status, body } = await show(await issuer.token(job), headers)
    assert.equal(status, 400)
    assert.equal(body['error'], 'invalid_dpop_proof')
  }
  clock = 120_000
  assert.equal(
    (await show(await issuer.token(job), await proof())).body['error'],
    'invalid_dpop_proof',
  )
  assert.equal(agents.all.size, before)
})

test('a proof counts as used with the first good token, so worthless ones fill no memory', async () => {
  const proof = await (await newProof())()
  const worthless = await show(await issuer.token({ ...job, aud: 'https://other.example' }), proof)
  assert.equal(worthless.body['code'], 'SP_TOKEN_REFUSED')
  assert.equal((await show(await issuer.token({ ...job, jti: 'good' }), proof)).status, 200)
  const again = await show(await issuer.token({ ...job, jti: 'good' }), proof)
  assert.equal(again.body['error'], 'invalid_dpop_proof')
})

test('an agent that ends while its token is shown again comes not back', async () => {
  const token = await issuer.token({ ...job, jti: 'late' })
  const mine = await newProof()
  const first = idOf(await show(token, await mine()))
  const spawn = agents.spawn.bind(agents)
  agents.spawn = async (...request) => {
    await agents.revoke(first)
    return await spawn(...request)
  }
  assert.equal((await show(token, await mine())).body['code'], 'SP_TOKEN_REPLAYED')
  const states = [...agents.all.values()].slice(1).map(({ view }) => view.state)
  assert.deepEqual(states, ['revoked', 'revoked'])
})

test('asking for limits that no grant states gives no more than the defaults', async () => {
  const delegate = { detach: true, depth: 16, agents: 10_000, children: 3 }
  const token = await issuer.token({ aud: gatewayUrl, repository_id: '7' })
  const details = JSON.stringify([{ type: 'sallyport_grant', delegate }])
  const { status } = await show(token, {}, { authorization_details: details })
  assert.equal(status, 200)
  const [root] = agents.all.values()
  assert.deepEqual(root?.request.delegate, { depth: 8, children: 3, agents: 500, detach: false })
})

test('a pod that starts again with its token gets its agent again', async () => {
  const now = Math.floor(Date.now() / 1000)
  const pod = {
    aud: ['pods'],
    exp: now + 3600,
    'kubernetes.io': { namespace: 'orders', pod: { name: 'orders-1', uid: 'u-1' } },
  }
  const token = await issuer.token(pod)
  const first = await show(token)
  const again = await show(token)
  assert.deepEqual(idOf(again), idOf(first))
  assert.notEqual(again.body['access_token'], first.body['access_token'])
  assert.equal(agents.get(idOf(first))?.chain.join(' '), 'orders-1 job')
  assert.ok(events.some(({ kind }) => kind === 'token.replayed'))
})

test('an agent does not outlive a token that lasts as long as its job', async () => {
  const now = Math.floor(Date.now() / 1000)
  await show(
    await issuer.token({
      aud: ['pods'],
      iat: now - 3000,
      exp: now + 600,
      'kubernetes.io': { namespace: 'orders', pod: { name: 'p', uid: 'u' } },
    }),
  )
  const child = [...agents.all.values()].at(-1)
  assert.ok((child?.request.ttlMs ?? Infinity) <= 600_000)
})

test('keys are never fetched through a redirect', async () => {
  issuer.answerKeys = (response) => response.writeHead(302, { location: '/moved' }).end()
  await unavailable()
})

test('huge key documents, wrong issuers in discovery and plain http elsewhere are refused', async () => {
  issuer.answerKeys = (response) =>
    response.end(JSON.stringify({ keys: [issuer.publicJwk], pad: 'x'.repeat(300_000) }))
  await unavailable()
  issuer.answerKeys = undefined
  clock += 60_000
  issuer.discovery = { issuer: 'https://other.example.com' }
  await unavailable()
  clock += 60_000
  issuer.discovery = { jwks_uri: 'http://keys.example.com/keys' }
  await unavailable()
  clock += 60_000
  issuer.discovery = {}
  assert.equal(
    (
      await show(
        await issuer.token({
          ...job,
          iat: Math.floor((Date.now() + clock) / 1000),
          exp: Math.floor((Date.now() + clock) / 1000) + 300,
        }),
      )
    ).status,
    200,
  )
})

async function unavailable(): Promise<void> {
  const { status, body } = await show(
    await issuer.token({ ...job, exp: Math.floor((Date.now() + clock) / 1000) + 300 }),
  )
  assert.equal(status, 503)
  assert.equal(body['error'], 'temporarily_unavailable')
  assert.equal(agents.all.size, 0)
}

test('tokens with unknown keys do not make the gateway ask the issuer again and again', async () => {
  for (let each = 0; each < 10; each += 1) await show(await issuer.token(job, { kid: `x${each}` }))
  assert.equal(issuer.requests, 2)
  clock = 31_000
  await show(await issuer.token(job, { kid: 'y' }))
  assert.equal(issuer.requests, 4)
})

test('a child by token exchange is a child of the subject, whatever the actor token says', async () => {
  const parent = await show(await issuer.token(job))
  const other = await show(await issuer.token({ ...job, run_id: '10' }))
  const exchange = {
    grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
    subject_token: String(parent.body['access_token']),
    subject_token_type: 'urn:sallyport:token-type:agent',
    scope: 'orders-db:read',
    name: 'scout',
    authorization_details: JSON.stringify([
      {
        type: 'sallyport_grant',
        allow: ['orders-db:read schema=public rows<=5'],
        budget: { rows: 9 },
      },
    ]),
  }
  const actor = {
    actor_token: await issuer.token({ ...job, run_id: '10', jti: 'act' }),
    actor_token_type: 'urn:ietf:params:oauth:token-type:jwt',
  }
  const child = await ask({ ...exchange, ...actor })
  assert.equal(child.status, 200)
  assert.equal(agents.get(idOf(child))?.path.at(-2), idOf(parent))
  const request = agents.all.get(idOf(child))?.request as ChildBirth
  assert.equal(request.born, 'mint')
  assert.equal(request.layers.length, 2)
  assert.equal(request.declared?.['run_id'], '10')
  assert.deepEqual(request.budget, { rows: 9 })
  // The token of the actor is spent, a handle attests nothing, and a wrong subject is nobody.
  assert.equal((await ask({ ...exchange, ...actor })).body['code'], 'SP_TOKEN_REPLAYED')
  const spliced = {
    ...exchange,
    actor_token: String(other.body['access_token']),
    actor_token_type: 'urn:sallyport:token-type:agent',
  }
  assert.equal((await ask(spliced)).body['error'], 'invalid_request')
  assert.equal((await ask({ ...exchange, subject_token: 'spa_no' })).body['error'], 'invalid_grant')
  assert.equal((await ask({ ...exchange, scope: 'orders-db' })).body['error'], 'invalid_scope')
  assert.equal(
    (await ask({ ...exchange, resource: 'https://other.example.com/c/a' })).body['error'],
    'invalid_target',
  )
  assert.equal(
    (await ask({ ...exchange, authorization_details: '{}' })).body['error'],
    'invalid_authorization_details',
  )
})

test('the token endpoint takes forms only, each parameter once, and known grants', async () => {
  const post = (body: string, type: string): Promise<Response> | Response =>
    births.routes.request('/oauth/token', {
      method: 'POST',
      headers: { 'content-type': type },
      body,
    })
  assert.equal((await post('{}', 'application/json')).status, 400)
  const twice = await post('grant_type=a&grant_type=b', 'application/x-www-form-urlencoded')
  assert.equal(twice.headers.get('cache-control'), 'no-store')
  assert.match(await twice.text(), /given twice/u)
  assert.equal((await ask({ grant_type: 'password' })).body['error'], 'unsupported_grant_type')
  assert.equal(
    (await post('a='.padEnd(70_000, 'x'), 'application/x-www-form-urlencoded')).status,
    400,
  )
})

test('metadata name what there is', async () => {
  for (const path of ['oauth-authorization-server', 'openid-configuration']) {
    const document = (await (await births.routes.request(`/.well-known/${path}`)).json()) as Record<
      string,
      unknown
    >
    assert.equal(document['issuer'], gatewayUrl)
    assert.equal(document['device_authorization_endpoint'], undefined)
  }
})

function idOf({ body }: Answer): Parameters<FakeAgents['get']>[0] {
  return (body['agent'] as { id: Parameters<FakeAgents['get']>[0] }).id
}
