import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile, mkdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from 'jose'
import { DpopProofs } from '../../dpop.ts'
import { MemoryProofUses } from '../../memory-proof-uses.fixture.ts'
import { SourceRates } from '../../source-rates.ts'
import { type BirthsPart, openBirths } from '../births.ts'
import { noApprovals } from '../no-approvals.fixture.ts'
import { FakeAgents } from '../fake-agents.fixture.ts'
import { MemoryLogins } from '../memory-logins.fixture.ts'
import { MemoryTokenUses } from '../memory-token-uses.fixture.ts'
import { openGate } from '../open-gate.fixture.ts'
import type { BirthEvent } from '../ports.ts'

const gatewayUrl = 'https://gw.example.com'
const objects = `apiVersion: sallyport.dev/v1
kind: Service
metadata: {name: nightly}
spec: {jwksFile: nightly.json, owner: "group:ops", profile: jobs, maxTtl: 30m}
---
apiVersion: sallyport.dev/v1
kind: Service
metadata: {name: other}
spec: {jwksFile: other.json, owner: "group:ops"}
---
apiVersion: sallyport.dev/v1
kind: AgentProfile
metadata: {name: jobs}
spec: {ceiling: [{on: [{connections: [orders-db]}], allow: [read]}]}
---
apiVersion: sallyport.dev/v1
kind: Grant
metadata: {name: jobs}
spec: {to: ["service:nightly"], on: [{connections: [orders-db]}], allow: [rw]}
`
let dir: string
let births: BirthsPart
let agents: FakeAgents
let events: BirthEvent[]
let key: CryptoKey
let otherKey: CryptoKey

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sallyport-service-'))
  await mkdir(join(dir, 'identity'))
  const make = async (name: string): Promise<CryptoKey> => {
    const { privateKey, publicKey } = await generateKeyPair('ES256')
    const jwk = { ...(await exportJWK(publicKey)), kid: 'k1', alg: 'ES256' }
    await writeFile(join(dir, 'identity', `${name}.json`), JSON.stringify({ keys: [jwk] }))
    return privateKey
  }
  key = await make('nightly')
  otherKey = await make('other')
  await writeFile(join(dir, 'identity', 'a.yaml'), objects)
})
beforeEach(async () => {
  births?.close()
  agents = new FakeAgents()
  events = []
  births = await openBirths({
    approvals: noApprovals,
    gate: openGate,
    sources: new SourceRates(),
    logins: new MemoryLogins(),
    proofs: new DpopProofs(new MemoryProofUses()),
    ownUrls: () => [gatewayUrl],
    dataDir: dir,
    gatewayUrl: () => gatewayUrl,
    agents,
    connections: async () => [],
    uses: new MemoryTokenUses(agents),
    onEvent: (event) => events.push(event),
    onConfig: (problems) => assert.equal(problems, ''),
    onFault: (error) => assert.fail(String(error)),
  })
})
after(async () => {
  births.close()
  await rm(dir, { recursive: true })
})

async function assertion(
  change: Record<string, unknown> = {},
  { by = key, head = {} }: { by?: CryptoKey; head?: Record<string, unknown> } = {},
): Promise<string> {
  const now = Math.floor(Date.now() / 1000)
  const claims = { iss: 'nightly', sub: 'nightly', aud: gatewayUrl, jti: randomUUID() }
  return await new SignJWT({ ...claims, iat: now, exp: now + 60, ...change })
    .setProtectedHeader({ alg: 'ES256', kid: 'k1', ...head })
    .sign(by)
}

async function show(
  client_assertion: string,
  more: Record<string, string> = {},
): Promise<{ status: number; body: Record<string, unknown> & { agent?: { id: string } } }> {
  const response = await births.routes.request('/oauth/token', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      grant_type: 'client_credentials',
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion,
      ...more,
    }).toString(),
  })
  return { status: response.status, body: (await response.json()) as never }
}

test('a service with its key is a root within its grants, its profile and its time', async () => {
  const { status, body } = await show(await assertion(), { ttl: '1h', scope: 'orders-db:read' })
  assert.equal(status, 200, JSON.stringify(body))
  const [made] = agents.all.values()
  const request = made?.request
  assert.ok(request !== undefined && 'principal' in request)
  assert.deepEqual(request.principal, {
    id: 'service:nightly',
    kind: 'service',
    name: 'nightly',
    groups: [],
  })
  assert.deepEqual(
    [request.born, request.owner, request.ttlMs],
    ['service', 'group:ops', 1_800_000],
  )
  assert.equal(request.layers.length, 2)
  assert.deepEqual(request.entitlement[0]?.permits[0]?.connections, ['orders-db'])
})

test('who holds no grant is born with nothing', async () => {
  await show(await assertion({ iss: 'other', sub: 'other' }, { by: otherKey }))
  const [made] = agents.all.values()
  assert.ok(made !== undefined && 'entitlement' in made.request)
  assert.deepEqual(made.request.entitlement, [{ permits: [] }])
})

test('an assertion makes one root, and one boot keeps its root', async () => {
  const once = await assertion()
  assert.equal((await show(once)).status, 200)
  assert.equal((await show(once)).body['code'], 'SP_TOKEN_REPLAYED')
  const roots = await Promise.all(
    ['b1', 'b1', 'b2'].map(
      async (boot_id) => (await show(await assertion({ boot_id }))).body.agent?.id,
    ),
  )
  assert.equal(new Set(roots).size, 2)
})

const now = (): number => Math.floor(Date.now() / 1000)
const bad: readonly (readonly [string, () => Promise<string>])[] = [
  ['of nobody', () => assertion({ iss: 'nobody', sub: 'nobody' })],
  ['of another service', () => assertion({ iss: 'other', sub: 'other' })],
  ['for another subject', () => assertion({ sub: 'other' })],
  ['for another server', () => assertion({ aud: 'https://other.example.com' })],
  ['for several servers', () => assertion({ aud: [gatewayUrl, 'https://other.example.com'] })],
  ['without an audience', () => assertion({ aud: undefined })],
  ['without jti', () => assertion({ jti: undefined })],
  ['with an empty jti', () => assertion({ jti: '' })],
  ['that lives long', () => assertion({ exp: now() + 3600 })],
  ['that is old', () => assertion({ iat: now() - 3600, exp: now() + 60 })],
  ['that has expired', () => assertion({ iat: now() - 200, exp: now() - 100 })],
  ['from the future', () => assertion({ iat: now() + 3600, exp: now() + 3660 })],
  ['of another type', () => assertion({}, { head: { typ: 'dpop+jwt' } })],
  ['with a number for a boot', () => assertion({ boot_id: 7 })],
  ['by a foreign key', () => assertion({}, { by: otherKey })],
  ['that is none', async () => 'a.b.c'],
  ['that is empty', async () => ''],
  ['without a signature', async () => `${(await assertion()).split('.').slice(0, 2).join('.')}.`],
]
for (const [what, make] of bad)
  test(`an assertion ${what} is refused with the same words as any other`, async () => {
    const { status, body } = await show(await make())
    assert.deepEqual(
      [status, body],
      [
        401,
        {
          error: 'invalid_client',
          error_description: 'this assertion is not accepted',
          code: 'SP_TOKEN_REFUSED',
        },
      ],
    )
    assert.equal(agents.all.size, 0)
    assert.equal(events.at(-1)?.kind, 'token.refused')
  })

test('a workload token is no assertion, and the name beside it has to be the same', async () => {
  const other = await show(await assertion(), { client_id: 'other' })
  assert.equal(other.body['error'], 'invalid_client')
  const untyped = await show(await assertion(), { client_assertion_type: 'x' })
  assert.equal(untyped.body['error'], 'invalid_request')
  const bearer = await births.routes.request('/oauth/token', {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({
      grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
      assertion: await assertion(),
    }).toString(),
  })
  assert.equal(bearer.status, 400)
  assert.equal(agents.all.size, 0)
})
