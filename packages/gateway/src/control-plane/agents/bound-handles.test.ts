import assert from 'node:assert/strict'
import { createHash, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Secret } from '@sallyport/core'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { apiRoutes } from '../api/api-routes.ts'
import { DpopProofs } from '../dpop.ts'
import { LineageKey } from '../keys/lineage-key.ts'
import { SourceRates } from '../source-rates.ts'
import { agentRoutes } from './agent-routes.ts'
import { type Bench, hasCode, onBothStores, unseen } from './agents.fixture.ts'
import { CallerRates } from './caller-rates.ts'
import { roamingNetworkOf } from './handles.ts'
import { StoredProofUses } from './proof-uses.ts'

const url = 'https://gw.example.com'
const self = '/v1/agents/self'
const keys = mkdtempSync(join(tmpdir(), 'sallyport-bound-'))
const lineageKey = await LineageKey.open(keys)
after(() => rmSync(keys, { recursive: true, force: true }))

type Prove = (method: string, path: string, handle?: string) => Promise<string>

async function newKey(): Promise<Prove> {
  const { privateKey, publicKey } = await generateKeyPair('ES256')
  const jwk = await exportJWK(publicKey)
  return async (htm, path, handle) => {
    const ath =
      handle === undefined ? {} : { ath: createHash('sha256').update(handle).digest('base64url') }
    return await new SignJWT({ jti: randomUUID(), htm, htu: url + path, ...ath })
      .setProtectedHeader({ alg: 'ES256', typ: 'dpop+jwt', jwk })
      .setIssuedAt()
      .sign(privateKey)
  }
}

interface Answer {
  readonly status: number
  readonly code: string | undefined
  readonly challenge: string | null
  readonly body: { handle?: string; cnf?: { jkt: string }; agent?: { id: string } }
}

onBothStores('handles that are bound to a key', (bench: Bench) => {
  const call = async (
    method: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: unknown,
  ): Promise<Answer> => {
    const ownerToken = new Secret('owner')
    const agents = agentRoutes({
      agents: bench.service,
      ownerToken,
      owner: 'dana',
      address: () => ({ host: '127.0.0.1', port: 1 }),
      connections: async () => [],
      lineageKey,
      gatewayUrl: () => url,
      proofs: new DpopProofs(new StoredProofUses(bench.store)),
      ownUrls: () => [url],
      sources: new SourceRates(),
      callers: unseen,
      rates: new CallerRates(),
    })
    const response = await apiRoutes({ refused: () => undefined } as never, ownerToken, unseen, [
      agents,
    ]).request(path, {
      method,
      headers: { 'content-type': 'application/json', ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const answer = (await response.json()) as Answer['body'] & { error?: { code: string } }
    return {
      status: response.status,
      code: answer.error?.code,
      challenge: response.headers.get('www-authenticate'),
      body: answer,
    }
  }
  const bound = async (handle: string, proof: string): Promise<Answer> =>
    await call('GET', self, { authorization: `DPoP ${handle}`, dpop: proof })
  const root = async (prove: Prove): Promise<string> => {
    const headers = { authorization: 'Bearer owner', dpop: await prove('POST', '/v1/agents') }
    const { status, body } = await call('POST', '/v1/agents', headers, {})
    assert.equal(status, 201)
    assert.match(body.cnf?.jkt ?? '', /^[\w-]{43}$/)
    return body.handle ?? ''
  }
  const findings = async (rule: string): Promise<number> => {
    await bench.service.stop()
    const rows = await bench.store.db
      .selectFrom('sharing_finding')
      .select('id')
      .where('rule', '=', rule)
      .execute()
    return rows.length
  }

  test('open with their key alone: not as a bearer, not with another key, and it is noticed', async () => {
    const [mine, thief] = [await newKey(), await newKey()]
    const handle = await root(mine)
    assert.equal((await bound(handle, await mine('GET', self, handle))).status, 200)
    const before = await findings('S8')
    const stolen = await call('GET', self, { authorization: `Bearer ${handle}` })
    assert.deepEqual([stolen.status, stolen.code], [401, 'SP_LOGIN_REFUSED'])
    assert.match(stolen.challenge ?? '', /DPoP algs="[^"]*ES256/)
    const other = await bound(handle, await thief('GET', self, handle))
    assert.deepEqual([other.status, other.code], [401, 'SP_LOGIN_REFUSED'])
    assert.equal(await findings('S8'), before + 2)
    // Only so much is kept of whoever tries without end.
    for (let n = 0; n < 30; n += 1) await bound(handle, await thief('GET', self, handle))
    assert.ok((await findings('S8')) <= before + 10)
    assert.equal((await bound(handle, await mine('GET', self, handle))).status, 200)
  })

  test('take each proof once, for its request and its handle, also after a restart', async () => {
    const mine = await newKey()
    const handle = await root(mine)
    const other = await root(mine)
    const seen = await mine('GET', self, handle)
    assert.equal((await bound(handle, seen)).status, 200)
    await bench.restart()
    const bad = [
      seen,
      await mine('POST', self, handle),
      await mine('GET', '/v1/agents', handle),
      await mine('GET', self, other),
      await mine('GET', self),
      'x',
    ]
    for (const proof of bad) {
      const { status, code, challenge } = await bound(handle, proof)
      assert.deepEqual([status, code], [401, 'SP_PROOF_REFUSED'])
      assert.match(challenge ?? '', /error="invalid_dpop_proof"/)
    }
    const none = await call('GET', self, { authorization: `DPoP ${handle}` })
    assert.equal(none.code, 'SP_PROOF_REFUSED')
    assert.equal((await bound(handle, await mine('GET', self, handle))).status, 200)
    assert.ok((await findings('S8')) > 0)
  })

  test('make children that are bound to the same key, and a ticket makes one with a key of its own', async () => {
    const [mine, far] = [await newKey(), await newKey()]
    const handle = await root(mine)
    const ask = async (path: string, body: unknown): Promise<Answer> => {
      const dpop = await mine('POST', path, handle)
      return await call('POST', path, { authorization: `DPoP ${handle}`, dpop }, body)
    }
    const { body: child } = await ask(`${self}/children`, { name: 'a' })
    const childHandle = child.handle ?? ''
    assert.equal((await call('GET', self, { authorization: `Bearer ${childHandle}` })).status, 401)
    assert.equal((await bound(childHandle, await mine('GET', self, childHandle))).status, 200)
    const issued = await ask(`${self}/tickets`, { name: 'b' })
    const { ticket } = issued.body as unknown as { ticket: string }
    const redeem = '/v1/tickets/redeem'
    const born = await call('POST', redeem, { dpop: await far('POST', redeem) }, { ticket })
    const farHandle = born.body.handle ?? ''
    assert.equal((await bound(farHandle, await mine('GET', self, farHandle))).status, 401)
    assert.equal((await bound(farHandle, await far('GET', self, farHandle))).status, 200)
  })

  test('stay what they are: one without a key is no DPoP token, and the table refuses to free one', async () => {
    const mine = await newKey()
    const { body } = await call('POST', '/v1/agents', { authorization: 'Bearer owner' }, {})
    const bearer = body.handle ?? ''
    assert.equal(body.cnf, undefined)
    assert.equal((await call('GET', self, { authorization: `Bearer ${bearer}` })).status, 200)
    await root(mine)
    for (const change of [{ bound_to: null }, { bound_to: 'x' }, { secret_sha256: 'x' }])
      await assert.rejects(
        bench.store.db
          .updateTable('agent_handle')
          .set(change)
          .where('bound_to', 'is not', null)
          .execute(),
        { code: '23514' },
      )
  })

  test('that are replaced by a birth that is asked for again are noted, unless the same key asks (S10)', async () => {
    const before = await findings('S10')
    const { agent } = await bench.root()
    const again = async (boundTo?: string): Promise<string> => {
      const more = {
        key: 'pod',
        born: 'attach' as const,
        ...(boundTo === undefined ? {} : { boundTo }),
      }
      return (await bench.child(agent.id, 'pod', more)).handle ?? ''
    }
    const first = await again('k1')
    const second = await again('k1')
    assert.equal(await findings('S10'), before)
    const third = await again('k2')
    assert.equal(await findings('S10'), before + 1)
    for (const [handle, thumbprint, isGood] of [
      [first, 'k1', false],
      [second, 'k1', false],
      [third, 'k2', true],
    ] as const)
      assert.equal(bench.service.agentOfHandle(handle, { thumbprint }) !== undefined, isGood)
    await again()
    assert.equal(await findings('S10'), before + 2)
  })

  test('in a new network: a bearer freezes its agent (S9), a bound one is noted, and a person lets it go on', async () => {
    const { agent, handle = '' } = await bench.root()
    const use = (source: string): unknown => bench.service.agentOfHandle(handle, { source })
    const home = [
      '10.0.0.1',
      '10.0.0.77',
      '::ffff:10.0.0.9',
      '2001:db8:1:2::3',
      '2001:db8:1:ffff::1',
    ]
    for (const source of [...home, '127.0.0.1', '::1', 'unknown', '']) use(source)
    await bench.restart()
    for (const source of home) use(source)
    assert.equal(bench.service.get(agent.id)?.state, 'active')
    assert.throws(() => use('10.0.1.1'), hasCode('SP_AGENT_FROZEN', /S9/))
    await bench.service.stop()
    assert.equal(bench.service.get(agent.id)?.state, 'frozen')
    await bench.service.unfreeze(agent.id, 'dana', 'it was the train')
    use('10.0.1.2')
    assert.equal(bench.service.get(agent.id)?.state, 'active')
    assert.throws(() => use('2001:db8:2::1'), hasCode('SP_AGENT_FROZEN'))
    const key = await bench.root({ boundTo: 'k' })
    for (const source of ['10.0.0.1', '192.168.0.1'])
      bench.service.agentOfHandle(key.handle ?? '', { source, thumbprint: 'k' })
    await bench.service.stop()
    assert.equal(bench.service.get(key.agent.id)?.state, 'active')
    assert.ok((await findings('S9')) >= 3)
  })
})

for (const [address, network] of [
  ['10.1.2.3', '10.1.2.0/24'],
  ['::ffff:10.1.2.3', '10.1.2.0/24'],
  ['127.8.0.1', 'here'],
  ['::1', 'here'],
  ['2001:db8:a:b::c', '2001:db8:a::/48'],
  ['2001:0db8:000a::', '2001:db8:a::/48'],
  ['2001:db8::a:b', '2001:db8:0::/48'],
  ['fe80::1%eth0', 'fe80:0:0::/48'],
  ['unknown', undefined],
] as const)
  test(`${address} is in ${network ?? 'no network'}`, () => {
    assert.equal(roamingNetworkOf(address), network)
  })
