import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { openPgliteStore } from '../adapters/pglite-store.ts'
import { Bench } from '../agents/agents.fixture.ts'
import { StoredTokenUses } from '../agents/token-uses.ts'
import { DpopProofs } from '../dpop.ts'
import { MemoryLogins } from './memory-logins.fixture.ts'
import { MemoryProofUses } from '../memory-proof-uses.fixture.ts'
import { SourceRates } from '../source-rates.ts'
import { type BirthsPart, openBirths } from './births.ts'
import { noApprovals } from './no-approvals.fixture.ts'
import { LocalIssuer } from './local-issuer.fixture.ts'
import { openGate } from './open-gate.fixture.ts'

const gatewayUrl = 'https://gw.example.com'

const files = (issuer: string, allow: string): string => `apiVersion: sallyport.dev/v1
kind: AgentProfile
metadata: {name: migrations}
spec: {ceiling: [{on: [{connections: [orders, stage]}], allow: [rw]}], delegate: {depth: 1}}
---
apiVersion: sallyport.dev/v1
kind: TrustRule
metadata: {name: shop}
spec:
  issuer: ${issuer}
  match: {repository_id: "551122"}
  root: {key: [run_id], name: "gh-{run_id}"}
  child: {key: [check_run_id], name: "job-{check_run_id}"}
  profile: migrations
  owner: group:release
---
apiVersion: sallyport.dev/v1
kind: Grant
metadata: {name: release}
spec: {to: ["trust:shop"], on: [{connections: ["*"]}], allow: ${allow}, budget: {writes: 5}, delegate: {depth: 2, children: 4}}
`

suite('births, with the agents of the store', () => {
  const dir = mkdtempSync(join(tmpdir(), 'births-agents-'))
  const bench = new Bench(() => openPgliteStore(join(dir, 'store')))
  let issuer: LocalIssuer
  let births: BirthsPart

  before(async () => {
    issuer = await LocalIssuer.open()
    await bench.start()
    // Tokens are made by the clock of this machine, and the start may have taken long.
    bench.nowMs = Date.now()
    write('[ro]')
    births = await open()
  })
  after(async () => {
    births.close()
    await issuer.close()
    await bench.stop()
    rmSync(dir, { recursive: true, force: true })
  })

  function write(allow: string): void {
    mkdirSync(join(dir, 'identity'), { recursive: true })
    writeFileSync(join(dir, 'identity', 'a.yaml'), files(issuer.url, allow))
  }

  function open(): Promise<BirthsPart> {
    return openBirths({
      approvals: noApprovals,
      gate: openGate,
      sources: new SourceRates(),
      logins: new MemoryLogins(),
      proofs: new DpopProofs(new MemoryProofUses(), () => bench.nowMs),
      ownUrls: () => [gatewayUrl],
      dataDir: dir,
      gatewayUrl: () => gatewayUrl,
      agents: bench.service,
      connections: async () => [{ name: 'orders', labels: {} }],
      uses: new StoredTokenUses(bench.store, () => bench.nowMs),
      onEvent: () => {},
      onConfig: () => {},
      onFault: (error) => bench.faults.push(error),
      now: () => bench.nowMs,
    })
  }

  async function ask(form: Record<string, string>): Promise<Record<string, unknown>> {
    const body = new URLSearchParams(form)
    const response = await births.routes.request('/oauth/token', { method: 'POST', body })
    return (await response.json()) as Record<string, unknown>
  }

  const job = { aud: gatewayUrl, repository_id: '551122', run_id: '9', check_run_id: '31' }
  const show = (
    assertion: string,
    more: Record<string, string> = {},
  ): Promise<Record<string, unknown>> =>
    ask({ grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion, ...more })
  const exchange = (
    subject: unknown,
    more: Record<string, string>,
  ): Promise<Record<string, unknown>> =>
    ask({
      grant_type: 'urn:ietf:params:oauth:grant-type:token-exchange',
      subject_token: String(subject),
      subject_token_type: 'urn:sallyport:token-type:agent',
      ...more,
    })

  test('a token makes an agent that works, spawns as deep as its grants say, and no deeper', async () => {
    const job31 = await show(await issuer.token(job), { scope: 'orders:read' })
    const self = bench.service.authenticateHandle(String(job31['access_token']))
    assert.deepEqual(self?.chain, ['gh-9', 'job-31'])
    assert.equal(self.declared?.['rule'], 'shop')
    const scout = await exchange(job31['access_token'], {
      name: 'scout',
      scope: 'orders:read',
      ttl: '5m',
    })
    assert.ok(scout['access_token'], JSON.stringify(scout))
    const deeper = await exchange(scout['access_token'], { name: 'deeper' })
    assert.equal(deeper['code'], 'SP_SPAWN_DEPTH')
    const wider = await exchange(job31['access_token'], { name: 'wider', scope: 'orders:write' })
    assert.equal(wider['error'], 'invalid_scope')
    assert.equal(wider['code'], 'SP_GRANT_EXCEEDS_PARENT')
  })

  test('a job that asks for more than its rule is granted is refused, and may ask again', async () => {
    const token = await issuer.token({ ...job, check_run_id: '40' })
    assert.equal((await show(token, { scope: 'orders:write' }))['code'], 'SP_GRANT_EXCEEDS_PARENT')
    assert.ok((await show(token, { scope: 'orders:read' }))['access_token'])
  })

  test('a token works once, also after a restart', async () => {
    const token = await issuer.token({ ...job, check_run_id: '50' })
    assert.ok((await show(token))['access_token'])
    births.close()
    await bench.restart()
    births = await open()
    assert.equal((await show(token))['code'], 'SP_TOKEN_REPLAYED')
  })

  test('a changed file changes what living trees hold', async () => {
    const born = await show(await issuer.token({ ...job, check_run_id: '60' }))
    const { path } = born['agent'] as { readonly path: readonly string[] }
    const heldByRoot = (): string =>
      JSON.stringify(bench.service.changesSince(0).agents.find(({ id }) => id === path[0])?.layers)
    assert.match(heldByRoot(), /"explain"/u)
    births.close()
    write('[read]')
    births = await open()
    // The layer of the ceiling stays; that of the grants has changed.
    assert.match(heldByRoot(), /"classes":\["read"\]/u)
  })

  test('the handle of a revoked tree exchanges for nothing', async () => {
    const born = await show(await issuer.token({ ...job, run_id: '70' }))
    const { path } = born['agent'] as { readonly path: readonly string[] }
    await bench.service.revoke(path[0] ?? '', 'dana', 'test')
    const refused = await exchange(born['access_token'], { name: 'late' })
    assert.equal(refused['error'], 'invalid_grant')
    assert.equal(refused['code'], 'SP_AGENT_REVOKED')
    // The run stays stopped when memory has forgotten its agents, as a restart makes it.
    births.close()
    await bench.restart()
    births = await open()
    const more = await show(await issuer.token({ ...job, run_id: '70', check_run_id: '71' }))
    assert.equal(more['code'], 'SP_AGENT_REVOKED')
  })
})
