import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { skipReason } from '@sallyport/testkit'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

/** Routes that are standards of their own, or pages for people: their documents are those of the standards. */
const excluded: readonly (readonly [route: RegExp, why: string])[] = [
  [/^GET \/oauth\/jwks$/u, 'RFC 7517'],
  [/^GET \/\.well-known\//u, 'RFC 8414 and OpenID Connect Discovery'],
  [/^POST \/oauth\/(?:token|device_authorization)$/u, 'RFC 6749, 7523, 8628 and 8693'],
  [/^GET \/(?:login|oauth\/authorize|login\/callback)$/u, 'RFC 6749: the way of a browser'],
  [/^(?:GET \/login\/saml|GET \/saml\/metadata|POST \/saml\/acs)$/u, 'SAML 2.0'],
  [/^(?:GET \/login\/done|POST \/login\/confirm)$/u, 'pages for people'],
  [/^(?:GET|POST) \/device(?:\/begin)?$/u, 'RFC 8628, section 3.3: a page for people'],
  [/^(?:GET \/a\/:approval|POST \/a\/answer)$/u, 'pages for people'],
  [/^(?:GET \/link|POST \/link\/(?:code|answer))$/u, 'pages for people'],
  [/^(?:GET|POST|PUT|PATCH|DELETE) \/scim\/v2\//u, 'RFC 7644'],
  [/^POST \/ssf\//u, 'RFC 8935'],
  [/^POST \/oidc\/backchannel-logout$/u, 'OpenID Connect Back-Channel Logout'],
]

/** What every request of these paths passes: limits, and who calls. The last answers what SCIM does not know. */
const middleware = [
  'ALL /*',
  'ALL /v1/*',
  'ALL /oauth/*',
  'ALL /a/*',
  'ALL /login/*',
  'ALL /link/*',
  'ALL /device',
  'ALL /saml/acs',
  'ALL /oidc/backchannel-logout',
  'ALL /ssf/events',
  'ALL /scim/v2/*',
]

/** The verb that reaches each operation; of what only a broker does, the source that calls it, and why. */
type Reached = readonly string[] | { readonly source: string; readonly why: string }

const broker = (source: string, why: string): Reached => ({
  source: `packages/cli/src/${source}`,
  why,
})

const verbsOf = (agent: string): Readonly<Record<string, Reached>> => ({
  'GET /healthz': { source: '', why: 'for load balancers: it says nothing that status does not' },
  'GET /v1/openapi.json': ['api'],
  'GET /v1/status': ['doctor'],
  'GET /v1/ledger': ['ledger'],
  'GET /v1/keys': ['keys'],
  'POST /v1/keys/rotate': ['keys', 'rotate'],
  'GET /v1/event-exports': ['exports', 'list'],
  'POST /v1/event-exports/{name}/test': ['exports', 'test', 'siem'],
  'GET /v1/connections': ['connections'],
  'POST /v1/connections': ['connections', 'add', 'postgres://u:p@127.0.0.1:1/d', '--name', 'two'],
  'GET /v1/connections/{name}': ['connections', 'set', 'shop', '--trust-function', 'app.score'],
  'PATCH /v1/connections/{name}': ['connections', 'set', 'shop', '--notices', 'always'],
  'DELETE /v1/connections/{name}': ['connections', 'rm', 'two'],
  'POST /v1/connections/{name}/test': ['connections', 'test', 'shop'],
  'POST /v1/connections/{name}/guard': ['connections', 'guard', 'shop', '--plan'],
  'POST /v1/credentials': ['credential', '--connection', 'shop'],
  'GET /v1/agents': ['status'],
  'POST /v1/agents': broker('verbs/login.ts', 'the handle goes into the memory of the broker'),
  'GET /v1/events': ['events'],
  'GET /v1/revocations/{epoch}': ['revocation', '1'],
  'POST /v1/tickets/redeem': broker('verbs/spawn.ts', 'join: as above, by a ticket'),
  'GET /v1/agents/{id}': ['status', agent],
  'GET /v1/agents/{id}/tree': ['tree', agent],
  'GET /v1/agents/{id}/budget': ['budget', agent],
  'GET /v1/agents/{id}/connections': broker('broker/held-agent.ts', 'run makes a socket for each'),
  'GET /v1/agents/{id}/lineage': ['lineage', agent],
  'POST /v1/agents/{id}/children': broker('broker/control.ts', 'run and spawn: as above'),
  'POST /v1/agents/{id}/tickets': ['ticket', '--name', 'far'],
  'POST /v1/agents/{id}/credentials': broker('broker/session.ts', 'run: one for each session'),
  'POST /v1/agents/{id}/narrow': ['narrow', agent, '--allow', 'shop:read'],
  'POST /v1/agents/{id}/renew': ['renew', agent, '--ttl', '1h'],
  'POST /v1/agents/{id}/beat': broker('broker/broker.ts', 'for as long as the program lives'),
  'POST /v1/agents/{id}/freeze': ['freeze', agent],
  'POST /v1/agents/{id}/unfreeze': ['unfreeze', agent],
  'POST /v1/agents/{id}/revoke': ['kill', agent],
  'POST /v1/agents/{id}/end': ['end', agent],
  'GET /v1/policies/groups': ['policy', 'lint', 'guardrails/postgres.yaml'],
  'GET /v1/policies/versions': ['policy', 'history'],
  'GET /v1/policies/versions/{number}': ['policy', 'show', '1'],
  'POST /v1/policies/versions/{number}/revert': ['policy', 'revert', '9', '--yes'],
  'POST /v1/policies/simulate': ['policy', 'simulate', 'guardrails/postgres.yaml'],
  'GET /v1/policies/files': ['policy', 'diff', 'guardrails/postgres.yaml'],
  'POST /v1/policies/explain':
    `policy explain --command commit --as agent:${agent} --on shop`.split(' '),
  'GET /v1/policies/recorded/{what}': ['policy', 'record', 's_0'],
  'GET /v1/decisions/{what}': ['policy', 'explain', 's_0#1'],
  'GET /v1/channels': ['channels', 'list'],
  'GET /v1/channels/links': ['channels', 'links'],
  'DELETE /v1/channels/links/{team}/{user}': ['channels', 'unlink', 'T1/U1'],
  'GET /v1/channels/log': ['channels', 'log'],
  'POST /v1/channels/{name}/test': ['channels', 'test', 'dba'],
  'GET /v1/approvals': ['approvals'],
  'GET /v1/approvals/events': ['approvals', 'watch'],
  'GET /v1/approvals/shapes': ['approvals', 'shapes'],
  'POST /v1/approvals/shapes/{id}/withdraw': ['approvals', 'withdraw', 'ap_0'],
  'GET /v1/approvals/bundles': ['approvals', 'bundles'],
  'GET /v1/approvals/stats': ['approvals', 'stats'],
  'POST /v1/approvals/bundles/{id}/answer': broker(
    'verbs/approval-bundles.ts',
    'approve --bundle: asked for only where there is one; e2e/approval-bundles.test.ts does',
  ),
  'POST /v1/approvals/callback/{channel}': broker(
    '../../gateway/src/control-plane/approvals/channels/webhook/callback-routes.ts',
    'for systems that a channel is configured for: what they send is signed by them',
  ),
  'GET /v1/break-glass': ['break-glass', 'list'],
  'POST /v1/break-glass': ['break-glass', '--on', 'shop', '--reason', 'a test'],
  'POST /v1/break-glass/{id}/end': ['break-glass', 'end', 'bg_0'],
  'GET /v1/approvals/{id}': ['approvals', 'show', 'ap_0'],
  'POST /v1/approvals/{id}/answer': ['approve', 'ap_0'],
  'POST /v1/approvals/{id}/count': ['approvals', 'count', 'ap_0'],
  'GET /v1/sessions': ['sessions'],
  'GET /v1/sessions/{session}': ['replay', 's_0', '--text'],
  'GET /v1/watch': ['watch'],
  'GET /v1/exports': ['export', 's_0', '--file', '-'],
  'POST /v1/reindex': ['reindex'],
  'GET /v1/retention': ['retention', 'plan'],
  'POST /v1/retention': ['retention', 'apply'],
  'GET /v1/holds': ['hold', 'list'],
  'POST /v1/holds': ['hold', 'add', agent, '--reason', 'case 1'],
  'DELETE /v1/holds/{id}': ['hold', 'remove', 'ho_0', '--reason', 'closed'],
  'GET /v1/incidents': ['incident'],
  'POST /v1/incidents': ['incident', 'new', agent, '--title', 'a look'],
  'GET /v1/incidents/{id}': ['incident', 'show', 'in_0'],
  'POST /v1/incidents/{id}/close': ['incident', 'close', 'in_0', '--note', 'done'],
  'GET /v1/incidents/{id}/report': ['incident', 'report', 'in_0', '--file', '-'],
})

/** Verbs that only ask: nothing of the gateway is loaded for them. */
const fast: readonly (readonly string[])[] = [
  ['version'],
  ['status'],
  ['connections'],
  ['sessions'],
  ['approvals'],
  ['tree'],
  ['ledger'],
  ['api'],
]

suite('the document of the API', { skip: skipReason(), timeout: 200_000 }, () => {
  let gateway: TestGateway
  let folder: string
  let agent: TestAgent
  let calls: string[]
  before(async () => {
    gateway = await startTestGateway()
    folder = await mkdtemp(join(tmpdir(), 'sallyport-verbs-'))
    agent = await new AgentFamily(gateway).root()
    const response = await fetch(`http://127.0.0.1:${gateway.gateway.ports.api}/v1/openapi.json`)
    const { paths } = (await response.json()) as { paths: Record<string, Record<string, object>> }
    calls = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
    )
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
    await rm(folder, { recursive: true, force: true })
  })

  /** What each verb asked of the gateway, and the packages that were loaded for all of them. */
  const run = async (
    verbs: readonly (readonly string[])[],
  ): Promise<{ asked: readonly string[][]; loaded: string }> => {
    const file = join(folder, 'verbs.json')
    const list = join(folder, 'modules')
    await writeFile(file, JSON.stringify({ verbs, data: gateway.dataDir }))
    await writeFile(list, '')
    const recorder = `import { registerHooks } from 'node:module'
import { appendFileSync } from 'node:fs'
registerHooks({ resolve(specifier, context, next) {
  const found = next(specifier, context)
  appendFileSync(${JSON.stringify(list)}, found.url + '\\n')
  return found
} })`
    const preload = `data:text/javascript,${encodeURIComponent(recorder)}`
    const main = fileURLToPath(new URL('run-verbs.ts', import.meta.url))
    const { SALLYPORT_AGENT: _, ...env } = process.env
    await promisify(execFile)(
      process.execPath,
      ['--conditions=@sallyport/source', '--import', preload, main, file],
      { env: { ...env, XDG_RUNTIME_DIR: folder }, maxBuffer: 64 * 1024 * 1024 },
    )
    return {
      asked: JSON.parse(await readFile(file, 'utf8')) as string[][],
      loaded: await readFile(list, 'utf8'),
    }
  }

  test('has every route that the gateway serves, but for those of a standard', () => {
    const served = [...new Set(gateway.gateway.routes)].filter(
      (route) => !middleware.includes(route),
    )
    assert.ok(served.length > calls.length, 'too few routes were seen')
    const documented = new Set(calls.map((call) => call.replaceAll(/\{(\w+)\}/gu, ':$1')))
    const strangers = served.filter(
      (route) => !documented.has(route) && !excluded.some(([pattern]) => pattern.test(route)),
    )
    assert.deepEqual(strangers, [])
    assert.deepEqual(
      [...documented].filter((route) => !served.includes(route)),
      [],
      'what is documented is served',
    )
    for (const [pattern, why] of excluded) {
      assert.ok(
        served.some((route) => pattern.test(route)),
        `no route is excluded by: ${why}`,
      )
      assert.ok(![...documented].some((route) => pattern.test(route)), `both: ${why}`)
    }
  })

  test('names no operation that no verb reaches', async () => {
    const table = verbsOf(agent.id)
    assert.deepEqual(Object.keys(table).toSorted(), calls.toSorted())
    const byVerb = Object.entries(table).filter((each): each is [string, readonly string[]] =>
      Array.isArray(each[1]),
    )
    const { asked } = await run(byVerb.map(([, words]) => words))
    for (const [at, [call, words]] of byVerb.entries()) {
      const pattern = new RegExp(`^${call.replaceAll(/\{\w+\}/gu, '[^/]+')}$`, 'u')
      const made = asked[at] ?? []
      assert.ok(
        made.some((each) => pattern.test(each)),
        `${words.join(' ')}: ${made.join(', ')}, not ${call}`,
      )
    }
    for (const [call, reached] of Object.entries(table)) {
      if (Array.isArray(reached) || !('source' in reached) || reached.source === '') continue
      assert.ok(
        readFileSync(reached.source, 'utf8').includes(`'${call}'`),
        `${reached.source}: ${call}`,
      )
    }
  })

  test('costs verbs nothing: no schema is loaded for those that only ask', async () => {
    const { loaded } = await run(fast)
    assert.match(loaded, /packages\/cli\/src\/verbs\/connections\.ts/u)
    assert.match(loaded, /node_modules\/commander\//u)
    assert.doesNotMatch(loaded, /node_modules\/zod\/|packages\/gateway\//u)
    const { loaded: all } = await run([['policy', 'lint', 'guardrails/postgres.yaml']])
    assert.match(all, /node_modules\/zod\//u, 'the recorder sees it where it is loaded')
  })

  test('is the only place that schemas are imported from, with what serves it', () => {
    const users = globSync('packages/*/src/**/*.ts').filter((file) =>
      /^import (?!type).* from 'zod'$/mu.test(readFileSync(file, 'utf8')),
    )
    assert.ok(users.length > 5, 'too few files were seen')
    const strangers = users.filter((file) => !/control-plane\/(?:contract|api)\//u.test(file))
    assert.deepEqual(strangers, [])
  })
})
