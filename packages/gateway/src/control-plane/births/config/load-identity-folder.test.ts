import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { printProblems } from '../../policies/config-problem.ts'
import { IdentityFolder } from './identity-folder.ts'
import type { IdentityConfig } from './identity-config.ts'
import { readIdentityFiles } from './load-identity-folder.ts'

const head = (kind: string, name: string): string =>
  `apiVersion: sallyport.dev/v1\nkind: ${kind}\nmetadata: {name: ${name}}\n`

const github = (spec: string): string => `${head('TrustRule', 'shop')}spec:
  issuer: https://token.actions.githubusercontent.com
  owner: group:release
${spec}
`

function refusal(text: string): string {
  const loaded = readIdentityFiles([{ file: 'identity/a.yaml', text }])
  assert.equal(loaded.kind, 'refused', 'the file was taken')
  return loaded.kind === 'refused' ? printProblems(loaded.problems) : ''
}

function accepted(text: string): IdentityConfig {
  const loaded = readIdentityFiles([{ file: 'identity/a.yaml', text }])
  if (loaded.kind === 'ok') return loaded.config
  return assert.fail(printProblems(loaded.problems))
}

test('the trust rules of the documentation are read whole', () => {
  const { rules } = accepted(`${head('AgentProfile', 'migrations')}spec:
  ceiling: [{on: [{connections: [orders-db], schema: [public]}], allow: [rw]}]
  delegate: {depth: 1}
---
${github(`  match: {repository_id: "551122", environment: production, event_name: [push, workflow_dispatch], ref: {glob: refs/heads/*}}
  root: {key: [repository_id, run_id, run_attempt], name: "gh-{run_id}"}
  child: {key: [check_run_id], name: "job-{check_run_id}"}
  profile: migrations
  maxTtl: 30m`)}`)
  const rule = rules.get('shop')
  assert.deepEqual(rule?.match[3], { claim: 'ref', values: ['refs/heads/*'], glob: true })
  assert.deepEqual(rule?.child, { key: ['check_run_id'], name: 'job-{check_run_id}' })
  assert.equal(rule?.maxTtlMs, 30 * 60_000)
  assert.equal(rule?.replay, 'once')
})

test('a rule on pods takes a token again by default', () => {
  const { rules } = accepted(`${head('TrustRule', 'pods')}spec:
  issuer: https://kubernetes.default.svc
  jwksFile: keys.json
  match: {/kubernetes.io/namespace: orders}
  owner: group:orders
`)
  assert.equal(rules.get('pods')?.replay, 'per-pod')
  assert.deepEqual(rules.get('pods')?.keys, {
    kind: 'file',
    path: join(process.cwd(), 'identity/keys.json'),
  })
})

const lints: readonly (readonly [string, string, RegExp])[] = [
  ['a rule on names alone', '  match: {repository: acme/shop}', /has to pin a number/u],
  ['a pin that is no number', '  match: {repository_id: acme}', /has to pin a number/u],
  ['a rule on sub', '  match: {sub: "repo:acme/shop", repository_id: "1"}', /sub is not matched/u],
  ['a rule without claims', '  match: {}', /accepts everybody/u],
  [
    'foreign events',
    '  match: {repository_id: "1", event_name: pull_request_target}',
    /allowEvents: \[pull_request_target\]/u,
  ],
  [
    'a glob on another claim',
    '  match: {repository_id: "1", environment: {glob: "*"}}',
    /references only/u,
  ],
  ['an empty list', '  match: {repository_id: "1", environment: []}', /matches nothing/u],
  [
    'a number that YAML reads as a number',
    '  match: {repository_id: 551122}',
    /write "551122" in quotes/u,
  ],
  [
    'an unknown profile',
    '  match: {repository_id: "1"}\n  profile: migratons',
    /unknown profile "migratons"/u,
  ],
  ['a life above the limit', '  match: {repository_id: "1"}\n  maxTtl: 7h', /at most 360m/u],
  [
    'per-pod for a repository',
    '  match: {repository_id: "1"}\n  replay: per-pod',
    /kubernetes\.io/u,
  ],
]
for (const [what, spec, message] of lints) {
  test(`a trust rule with ${what} is refused`, () => {
    assert.match(refusal(github(spec)), message)
  })
}

test('GitLab claims are pinned at every issuer', () => {
  const rule = (match: string): string => `${head('TrustRule', 'deploy')}spec:
  issuer: https://gitlab.example.com
  owner: group:billing
  match: ${match}
`
  assert.match(refusal(rule('{project_path: acme/billing}')), /add project_id or namespace_id/u)
  accepted(rule('{project_path: acme/billing, project_id: "4711"}'))
})

test('problems show the line, a caret and a suggestion', () => {
  const text = refusal(github('  match: {repository_id: "1"}\n  maxTTL: 1h'))
  assert.match(text, /unknown field "maxTTL"\n {2}--> identity\/a\.yaml:8:3 {2}\(spec\.maxTTL\)/u)
  assert.match(text, /\^{6} did you mean "maxTtl"\?/u)
})

test('a secret in the file, everybody of Google and all tenants of Entra are refused', () => {
  const provider = (spec: string): string => refusal(`${head('OidcProvider', 'p')}spec: ${spec}\n`)
  assert.match(
    provider('{issuer: https://ex.okta.com, clientId: x, clientSecret: hunter2}'),
    /must be a reference/u,
  )
  assert.match(
    provider(
      '{issuer: https://ex.okta.com, clientId: x, clientSecret: {from: "env:NO_SUCH_NAME"}}',
    ),
    /has no value/u,
  )
  assert.match(
    provider('{issuer: https://accounts.google.com, clientId: x}'),
    /add allowedDomains/u,
  )
  assert.match(
    provider('{issuer: https://login.microsoftonline.com/common/v2.0, clientId: x}'),
    /all tenants/u,
  )
  assert.match(provider('{issuer: http://idp.example.com, clientId: x}'), /only https/u)
})

const twoProviders = (first: string, second: string): string =>
  refusal(`${head('OidcProvider', 'one')}spec: {issuer: https://one.example.com, clientId: x, ${first}}
---
${head('OidcProvider', 'two')}spec: {issuer: https://two.example.com, clientId: x, ${second}}
`)

test('two providers that could not be told apart by what they show are refused', () => {
  process.env['IDENTITY_TEST_LONG'] = 'x'.repeat(32)
  process.env['IDENTITY_TEST_SHORT'] = 'x'.repeat(31)
  const scim = 'signals: {scim: {token: {from: "env:IDENTITY_TEST_LONG"}}}'
  assert.match(twoProviders(scim, scim), /"one" has this token of signals\.scim already/u)
  const events = 'signals: {events: {issuer: https://signer.example.com}}'
  assert.match(twoProviders(events, events), /"one" has events of this issuer already/u)
  const short = 'signals: {scim: {token: {from: "env:IDENTITY_TEST_SHORT"}}}'
  assert.match(twoProviders(short, scim), /at least 32 characters/u)
  assert.match(twoProviders('signals: {scim: {token: abc}}', scim), /must be a reference/u)
  assert.match(twoProviders('signals: {mode: kill}', scim), /not one of revoke, freeze/u)
  const poll = 'signals: {events: {poll: {url: http://idp.example.com}}}'
  assert.match(twoProviders(poll, scim), /missing field "token"[\s\S]*only https/u)
})

/** Returns the path of a certificate of a new key. */
function makeCertificate(dir: string, name: string, ...kind: string[]): string {
  const files = ['-keyout', join(dir, 'key'), '-out', join(dir, name)]
  const args = ['req', '-x509', '-nodes', '-days', '2', '-subj', '/CN=idp', ...kind, ...files]
  execFileSync('openssl', args, { stdio: 'ignore' })
  return join(dir, name)
}

test('a SamlProvider needs certificates with strong keys, and a name of its own', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'saml-'))
  const good = makeCertificate(dir, 'good.pem', '-newkey', 'rsa:2048')
  const weak = makeCertificate(dir, 'weak.pem', '-newkey', 'rsa:1024')
  const curve = makeCertificate(
    dir,
    'curve.pem',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
  )
  await writeFile(join(dir, 'none.pem'), 'nothing')
  const file = (certificate: string, more = ''): string =>
    `${head('SamlProvider', 'adfs')}spec: {entityId: "urn:adfs", ssoUrl: https://adfs.example.com/sso, certificateFile: ${certificate}${more}}\n`
  assert.match(refusal(file(weak)), /2048 bits/u)
  assert.match(refusal(file(curve)), /must be RSA/u)
  assert.match(refusal(file(join(dir, 'none.pem'))), /1 to 4 certificates/u)
  assert.match(refusal(file(join(dir, 'absent.pem'))), /cannot be read/u)
  assert.match(refusal(file(good).replace('urn:adfs', 'a|b')), /no bar/u)
  const twin = `${head('OidcProvider', 'adfs')}spec: {issuer: https://one.example.com, clientId: x}\n`
  assert.match(refusal(`${twin}---\n${file(good)}`), /another kind of provider has this name/u)
  assert.equal(accepted(file(good)).samlProviders.get('adfs')?.ttlMs, 3_600_000)
  // Whoever reports that people are gone may have them for a working day.
  const events = ', signals: {events: {issuer: https://signer.example.com}}'
  assert.equal(accepted(file(good, events)).samlProviders.get('adfs')?.ttlMs, 8 * 3_600_000)
  assert.equal(
    accepted(file(good, ', signals: {mode: freeze}')).samlProviders.get('adfs')?.ttlMs,
    3_600_000,
  )
  await rm(dir, { recursive: true })
})

test('a grant reads every option, and refuses what would limit nothing', () => {
  const grant = (spec: string): string => `${head('Grant', 'devs')}spec: ${spec}\n`
  const read = accepted(
    grant(
      '{to: [group:dev], on: [{labels: {env: stage}, table: [a*], maxRows: 5}], allow: [ro], window: {hours: "Mon-Fri 08:00-19:00 Europe/Berlin"}, budget: {bytes: 2MB, writes: 3}, delegate: {depth: 3, ttl: 1h}, client: {minLevel: L2, cidr: [10.0.0.0/8]}}',
    ),
  ).grants.get('devs')
  assert.deepEqual(read?.on, [
    { connections: [], labels: { env: 'stage' }, dimensions: { table: ['a*'] }, rowsMax: 5 },
  ])
  assert.deepEqual(read.classes, ['read', 'explain'])
  assert.deepEqual(read.budget, { writes: 3, bytes: 2_000_000 })
  assert.deepEqual(read.delegate, { depth: 3, ttlMs: 3_600_000 })
  assert.deepEqual(read.client, { cidr: ['10.0.0.0/8'], minLevel: 2 })
  assert.match(
    refusal(grant('{to: [dev], on: [{connections: [a]}], allow: [ro]}')),
    /not user:name/u,
  )
  assert.match(
    refusal(grant('{to: [group:dev], on: [{}], allow: [ro]}')),
    /name connections or labels/u,
  )
  assert.match(refusal(grant('{to: [group:dev], on: [], allow: [ro]}')), /names no connection/u)
  assert.match(
    refusal(grant('{to: [group:dev], on: [{connections: [a], schema: []}], allow: [ro]}')),
    /schema names nothing/u,
  )
  assert.match(
    refusal(grant('{to: [trust:nobody], on: [{connections: [a]}], allow: [reed]}')),
    /unknown trust rule "nobody"/u,
  )
  assert.match(
    refusal(
      grant('{to: [group:dev], on: [{connections: [a]}], allow: [ro], client: {cidr: [ten]}}'),
    ),
    /spec\.client\.cidr/u,
  )
})

test('a broken file leaves the former objects in force and says what is wrong', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'identity-'))
  const grant = `${head('Grant', 'devs')}spec: {to: [group:dev], on: [{connections: [a]}], allow: [ro]}\n`
  await writeFile(join(dir, 'a.yaml'), grant)
  const changed = Promise.withResolvers<void>()
  const folder = await IdentityFolder.open(dir, () => changed.resolve())
  try {
    await writeFile(join(dir, 'a.yaml'), grant.replace('allow', 'alow'))
    await changed.promise
    assert.match(folder.problems, /did you mean "allow"/u)
    assert.deepEqual([...folder.config.grants.keys()], ['devs'])
  } finally {
    folder.close()
    await rm(dir, { recursive: true })
  }
})

test('every object of the documentation is accepted', async () => {
  for (const name of ['OIDC_SECRET', 'SCIM_TOKEN', 'PUSH_TOKEN']) process.env[name] = 'x'.repeat(32)
  const dir = await mkdtemp(join(tmpdir(), 'documented-'))
  const page = (
    await readFile(new URL('../../../../../../docs/identity-providers.md', import.meta.url), 'utf8')
  ).replace('adfs.pem', makeCertificate(dir, 'adfs.pem', '-newkey', 'rsa:2048'))
  const blocks = [...page.matchAll(/^```yaml\n(.*?)^```/gmsu)].map((match) => match[1] ?? '')
  const config = accepted(blocks.join('---\n'))
  const { providers, samlProviders, rules, grants, profiles } = config
  const sizes = [providers, samlProviders, rules, grants, profiles].map(({ size }) => size)
  assert.deepEqual(sizes, [2, 1, 3, 1, 1])
  await rm(dir, { recursive: true })
})

test('a break-glass grant reads every field, needs each, and names persons for hours at most', () => {
  const fields = {
    to: 'to: [owner, "group:oncall", "user:maria@example.com"]',
    connections: 'connections: [shop, "orders-*"]',
    max: 'max: 30m',
    review: 'review: ["group:security"]',
  }
  const text = (over: Partial<typeof fields> = {}): string =>
    `${head('BreakGlass', 'oncall')}spec: {${Object.values({ ...fields, ...over })
      .filter((field) => field !== '')
      .join(', ')}}\n`
  assert.deepEqual(accepted(text()).breakGlass.get('oncall'), {
    name: 'oncall',
    to: ['owner', 'group:oncall', 'user:maria@example.com'],
    connections: ['shop', 'orders-*'],
    maxMs: 30 * 60_000,
    review: ['group:security'],
  })
  for (const name of ['to', 'connections', 'max', 'review'] as const)
    assert.ok(refusal(text({ [name]: '' })).includes(`missing field "${name}"`))
  assert.match(refusal(text({ to: 'to: ["agent:a_1"]' })), /a person it has to be/)
  assert.match(refusal(text({ to: 'to: ["service:jobs"]' })), /a person it has to be/)
  assert.match(refusal(text({ review: 'review: ["trust:ci"]' })), /a person it has to be/)
  assert.match(refusal(text({ to: 'to: []' })), /names nobody/)
  assert.match(refusal(text({ review: 'review: []' })), /names nobody/)
  assert.match(refusal(text({ connections: 'connections: []' })), /names no connection/)
  assert.match(refusal(text({ max: 'max: 5h' })), /at most 240m are possible/)
  assert.match(refusal(text({ max: 'max: ever' })), /max/)
})
