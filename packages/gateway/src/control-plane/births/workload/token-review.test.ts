import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer as createPlain, type RequestListener, type Server } from 'node:http'
import { createServer as createTls } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { json } from 'node:stream/consumers'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { DpopProofs } from '../../dpop.ts'
import { MemoryProofUses } from '../../memory-proof-uses.fixture.ts'
import { SourceRates } from '../../source-rates.ts'
import { type BirthsPart, openBirths } from '../births.ts'
import { noApprovals } from '../no-approvals.fixture.ts'
import { FakeAgents } from '../fake-agents.fixture.ts'
import { LocalIssuer } from '../local-issuer.fixture.ts'
import { MemoryLogins } from '../memory-logins.fixture.ts'
import { MemoryTokenUses } from '../memory-token-uses.fixture.ts'
import { openGate } from '../open-gate.fixture.ts'
import type { BirthEvent } from '../ports.ts'

const gatewayUrl = 'https://gw.example.com'
process.env['REVIEW_TEST_TOKEN'] = 'reviewer'

interface Asked {
  readonly url: string | undefined
  readonly authorization: string | undefined
  readonly body: unknown
}

let issuer: LocalIssuer
let cluster: Server
let answer: RequestListener
let asked: Asked[]
let dir: string
let births: BirthsPart
let agents: FakeAgents
let events: BirthEvent[]

/** What a cluster says of a token that it knows. */
const known = {
  authenticated: true,
  audiences: [gatewayUrl],
  user: {
    username: 'system:serviceaccount:orders:worker',
    uid: 'sa-uid-1',
    groups: ['system:serviceaccounts'],
    extra: { 'authentication.kubernetes.io/pod-uid': ['pod-uid-1'] },
  },
}
const claims = {
  aud: [gatewayUrl],
  sub: 'system:serviceaccount:orders:worker',
  'kubernetes.io': {
    namespace: 'orders',
    pod: { name: 'worker-1', uid: 'pod-uid-1' },
    serviceaccount: { name: 'worker', uid: 'sa-uid-1' },
  },
}

const say =
  (status: unknown, code = 201): RequestListener =>
  (_request, response) =>
    response.writeHead(code).end(JSON.stringify({ kind: 'TokenReview', status }))

before(async () => {
  issuer = await LocalIssuer.open()
  cluster = createPlain((request, response) => {
    void json(request).then((body) => {
      asked.push({ url: request.url, authorization: request.headers.authorization, body })
      answer(request, response)
    })
  })
  cluster.listen(0, '127.0.0.1')
  await once(cluster, 'listening')
})
beforeEach(async () => {
  asked = []
  events = []
  answer = say(known)
  dir = await mkdtemp(join(tmpdir(), 'review-'))
  await open(`{url: "${addressOf(cluster, 'http')}", token: {from: "env:REVIEW_TEST_TOKEN"}}`)
})
afterEach(async () => {
  births.close()
  await rm(dir, { recursive: true })
})
after(async () => {
  await issuer.close()
  cluster.closeAllConnections()
  cluster.close()
})

function addressOf(server: Server, protocol: string): string {
  return `${protocol}://127.0.0.1:${(server.address() as AddressInfo).port}`
}

async function open(review: string): Promise<void> {
  births?.close()
  agents = new FakeAgents()
  await mkdir(join(dir, 'identity'), { recursive: true })
  await writeFile(
    join(dir, 'identity', 'a.yaml'),
    `apiVersion: sallyport.dev/v1
kind: TrustRule
metadata: {name: workers}
spec:
  issuer: ${issuer.url}
  tokenReview: ${review}
  match: {/kubernetes.io/namespace: orders, /kubernetes.io/serviceaccount/name: worker}
  root: {key: [/kubernetes.io/pod/uid], name: "{/kubernetes.io/pod/name}"}
  owner: group:orders
`,
  )
  births = await openBirths({
    approvals: noApprovals,
    dataDir: dir,
    gatewayUrl: () => gatewayUrl,
    agents,
    connections: async () => [],
    uses: new MemoryTokenUses(agents),
    gate: openGate,
    logins: new MemoryLogins(),
    sources: new SourceRates(),
    proofs: new DpopProofs(new MemoryProofUses(), Date.now),
    ownUrls: () => [gatewayUrl],
    onEvent: (event) => events.push(event),
    onConfig: () => {},
    onFault: (error) => assert.fail(String(error)),
  })
}

async function show(token: string): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await births.routes.request('/oauth/token', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
      assertion: token,
    }).toString(),
  })
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

test('a token that its cluster knows makes an agent, and the cluster is asked about the audience', async () => {
  const token = await issuer.token(claims)
  const { status, body } = await show(token)
  assert.equal(status, 200, JSON.stringify(body))
  assert.equal(asked.length, 1)
  const [{ url, authorization, body: request } = {} as Asked] = asked
  assert.equal(url, '/apis/authentication.k8s.io/v1/tokenreviews')
  assert.equal(authorization, 'Bearer reviewer')
  assert.deepEqual(request, {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenReview',
    spec: { token, audiences: [gatewayUrl] },
  })
})

const refusals: readonly (readonly [string, unknown, RegExp])[] = [
  ['that its cluster does not know any more', { authenticated: false, error: 'gone' }, /any more/u],
  ['of which its cluster says nothing', {}, /any more/u],
  ['that is authenticated in another way', { ...known, authenticated: 'true' }, /any more/u],
  ['for another audience', { ...known, audiences: ['https://other'] }, /another audience/u],
  ['of a cluster that knows no audiences', { ...known, audiences: undefined }, /another audience/u],
  [
    'of another account',
    { ...known, user: { ...known.user, username: 'system:serviceaccount:orders:admin' } },
    /another service account/u,
  ],
  [
    'of an account that was made again',
    { ...known, user: { ...known.user, uid: 'sa-uid-2' } },
    /made again/u,
  ],
  ['of nobody', { ...known, user: undefined }, /another service account/u],
]
for (const [what, status, why] of refusals) {
  test(`a token ${what} makes no agent`, async () => {
    answer = say(status)
    const { status: code, body } = await show(await issuer.token(claims))
    assert.equal(code, 400)
    assert.equal(body['code'], 'SP_TOKEN_REFUSED')
    assert.equal(agents.all.size, 0)
    const [event] = events
    assert.match(event?.kind === 'token.refused' ? event.why : '', why)
  })
}

test('a container that starts again is asked about again', async () => {
  const token = await issuer.token({ ...claims, jti: 'one' })
  assert.equal((await show(token)).status, 200)
  assert.equal((await show(token)).status, 200)
  answer = say({ authenticated: false })
  assert.equal((await show(token)).status, 400)
  assert.equal(asked.length, 3)
})

test('strangers cannot make the gateway ask', async () => {
  const others = [
    issuer.token({ ...claims, aud: ['https://other'] }),
    issuer.token({ ...claims, exp: Math.floor(Date.now() / 1000) - 600 }),
    issuer.token({ ...claims, 'kubernetes.io': { namespace: 'other' } }),
    issuer.token(claims, { kid: 'unknown' }),
  ]
  for (const token of others) assert.equal((await show(await token)).status, 400)
  assert.deepEqual(asked, [])
})

const failures: readonly (readonly [string, RequestListener])[] = [
  ['refuses the reviewer', say({}, 403)],
  ['is broken', say(known, 500)],
  [
    'sends the token elsewhere',
    (_request, response) => response.writeHead(307, { location: '/' }).end(),
  ],
  ['answers without JSON', (_request, response) => response.writeHead(201).end('<html>')],
  ['answers with too much', say({ ...known, error: 'x'.repeat(100_000) })],
  ['hangs up', (request) => request.socket.destroy()],
]
for (const [what, listener] of failures) {
  test(`while the cluster ${what}, a token makes no agent and may be shown again`, async () => {
    answer = listener
    const token = await issuer.token(claims)
    const { status, body } = await show(token)
    assert.equal(status, 503, JSON.stringify(body))
    assert.equal(agents.all.size, 0)
    answer = say(known)
    assert.equal((await show(token)).status, 200)
  })
}

test('a cluster is asked over TLS, with its own authority and no other', async (t) => {
  const files = ['-keyout', join(dir, 'key'), '-out', join(dir, 'ca.pem')]
  const name = ['-subj', '/CN=cluster', '-addext', 'subjectAltName=IP:127.0.0.1']
  const kind = ['-newkey', 'rsa:2048', '-nodes', '-days', '2']
  execFileSync('openssl', ['req', '-x509', ...kind, ...name, ...files], { stdio: 'ignore' })
  const [key, cert] = await Promise.all(['key', 'ca.pem'].map((file) => readFile(join(dir, file))))
  const server = createTls({ key: key ?? '', cert: cert ?? '' }, (request, response) => {
    void json(request).then(() => say(known)(request as never, response as never))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const at = `url: "${addressOf(server, 'https')}", token: {from: "env:REVIEW_TEST_TOKEN"}`
  await open(`{${at}}`)
  const token = await issuer.token(claims)
  assert.equal((await show(token)).status, 503)
  await open(`{${at}, caFile: ../ca.pem}`)
  assert.equal((await show(token)).status, 200)
  await open(`{${at}, caFile: ../absent.pem}`)
  assert.equal((await show(token)).status, 503)
})
