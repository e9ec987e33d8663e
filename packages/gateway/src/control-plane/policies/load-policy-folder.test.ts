import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { printProblems } from './config-problem.ts'
import { loadPolicyFolder, readPolicyFiles, type LoadedPolicies } from './load-policy-folder.ts'
import { watchPolicyFolder } from './watch-policy-folder.ts'

const fixtures = join(import.meta.dirname, 'fixtures')

test('the example rules load, with the line of each rule', async () => {
  const loaded = await loadPolicyFolder(fixtures)
  if (loaded.kind === 'refused') assert.fail(printProblems(loaded.problems))
  const policy = loaded.policies[0]
  assert.equal(policy?.rules.length, 8)
  assert.deepEqual(policy?.defaults, { unmatched: 'allow', unknown: 'block' })
  assert.match(policy?.rules[0]?.at ?? '', /prod-guardrails\.yaml:8$/)
  const mask = policy?.rules.find((rule) => rule.name === 'mask-pii')?.masks[0]
  assert.deepEqual(mask?.columns, [
    ['*', 'email'],
    ['customers', 'ssn'],
  ])
})

const head = 'apiVersion: sallyport.dev/v1\nkind: Policy\nmetadata: {name: p}\n'

function load(text: string): LoadedPolicies {
  return readPolicyFiles([{ file: 'policies/p.yaml', text }])
}

function printed(text: string): string {
  const loaded = load(text)
  return loaded.kind === 'ok' ? 'ok' : printProblems(loaded.problems)
}

test('problems are printed with line, caret and suggestion, all of them', () => {
  const text = `${head}spec:
  owners: group:dba
  rules:
    - name: a
      on: sqll
      when: op.clas == "x"
      effect: block
      message: no
    - name: b
      on: sql
      when: >-
        agent.depth > 0 &&
        op.class == "delete"
      effect: allow
`
  assert.equal(
    printed(text),
    `error: unknown field "owners"
  --> policies/p.yaml:5:3  (spec.owners)
   |
 5 |   owners: group:dba
   |   ^^^^^^ did you mean "owner"?

error: "sqll" is not one of sql, mongo, redis, k8s, ssh, rdp, http, mcp, any, session, shell-line
  --> policies/p.yaml:8:11  (spec.rules.0.on)
   |
 8 |       on: sqll
   |           ^^^^ did you mean "sql"?

error: op.class is never "delete"; did you mean "delete" in op.classes?
  --> policies/p.yaml:16:21  (spec.rules.1.when)
   |
16 |         op.class == "delete"
   |                     ^^^^^^^^

3 errors. Nothing was applied. Docs: https://sallyport.dev/docs/config
`,
  )
})

function rule(body: string): string {
  return `${head}spec:\n  rules:\n    - {name: a, ${body}}\n`
}

for (const [body, expected] of [
  ['on: k8s, when: "true", effect: allow', /rules on k8s are not available yet/],
  ['on: sql, when: true, effect: allow', /when must be text\n.*\n.*\n.*\n.*write "true" in quotes/],
  ['on: sql, when: "true", effect: block', /missing field "message"/],
  ['on: sql, when: "true", effect: approve, message: x', /missing field "approve"/],
  ['on: sql, when: "true", effect: mask', /missing field "mask"/],
  ['on: sql, when: "true", effect: allow, mask: []', /mask is for rules with effect: mask/],
  ['on: [sql, session], when: op.unbounded, effect: allow', /unknown field "op.unbounded"/],
  ['on: session, when: "true", effect: mask, mask: []', /nothing to mask/],
  ['on: sql, when: "true", effect: mask, mask: [{columns: [a], with: null}]', /a.*table\.column/],
  ['on: sql, when: "true", effect: mask, mask: [{detect: [email], with: lst4}]', /"last4"\?/],
  ['on: sql, when: "op.verb == \\"x\\" && op.clas == \\"y\\"", effect: allow', /6:5\d .*when\)/],
  ['on: sql, when: "true", effect: block, message: x, coversUnknown: true', /coversUnknown is/],
  [
    'on: sql, when: "true", effect: allow}\n    - {name: a, on: sql, when: "true", effect: allow',
    /another/,
  ],
  ['on: sql, when: *x, effect: allow', /[Aa]lias/],
] as const) {
  test(`the loader refuses ${body}`, () => {
    assert.match(printed(rule(body)), expected)
  })
}

for (const [defaults, expected] of [
  ['{unknown: approve}', /missing field "approve"/],
  ['{unknown: block, approve: {from: [group:dba]}}', /approve is for defaults that say approve/],
  ['{unmatched: approve, approve: {from: []}}', /nobody could approve/],
  ['{unmatched: approve, approve: {from: [dba]}}', /"dba" names nobody/],
  ['{unmatched: approve, approve: {from: ["group:"]}}', /"group:" names nobody/],
  ['{unmatched: approve, approve: {from: [owner], offer: [shape-9h]}}', /at most 8 h/],
  ['{unmatched: approve, approve: {from: [owner], offer: [bundle]}}', /bundle needs once/],
  ['{unmatched: approve, approve: {from: [owner], offer: []}}', /offers nothing/],
  ['{unmatched: approve, approve: {from: [owner], wait: ever}}', /"ever"/],
  ['{unmatched: approve, approve: {from: [owner], selfRoot: maybe}}', /"maybe"/],
  ['{unmatched: approve, approve: {from: [owner], chatt: {maxRows: 1}}}', /unknown field "chatt"/],
  ['{unmatched: approve, approve: {from: [owner], shape: {maxRows: -1}}}', /shape.maxRows/],
  ['{unmatched: approve, approve: {from: [owner], within: 2d}}', /at most 24 h/],
  ['{unmatched: approve, approve: {from: [owner], offer: [twice]}}', /"twice" cannot be offered/],
  ['{unmatched: approve, approve: {from: [owner], chat: {}}}', /missing field "maxRows"/],
  ['{unmatched: approve, approve: {from: [owner], chat: {maxRows: 10001}}}', /from 0 to 10000/],
  [
    '{unmatched: approve, approve: {from: [owner], offer: [shape-5m], chat: {maxRows: 5}}}',
    /a chat approves once, and offer has no once/,
  ],
  ['{unmatched: approve, approve: {from: [owner], within: soon}}', /"soon" is not a duration/],
] as const) {
  test(`the loader refuses defaults ${defaults}`, () => {
    assert.match(printed(`${head}spec: {rules: [], defaults: ${defaults}}\n`), expected)
  })
}

test('whose approval a default asks for is kept', () => {
  const approve =
    '{from: [group:dba], count: 2, within: 5m, offer: [once, shape-30m, bundle], shape: {maxRows: 7}, selfRoot: allow, wait: return, chat: {maxRows: 5}}'
  const loaded = load(
    `${head}spec: {rules: [], defaults: {unmatched: approve, approve: ${approve}}}`,
  )
  assert.deepEqual(loaded.kind === 'ok' && loaded.policies[0]?.defaults, {
    unmatched: 'approve',
    approve: {
      from: ['group:dba'],
      count: 2,
      withinMs: 300_000,
      offer: ['once', 'shape-30m', 'bundle'],
      shapeRowsMax: 7,
      selfRoot: 'allow',
      wait: 'return',
      chatRowsMax: 5,
    },
  })
})

test('a detector that does not exist is refused where it stands', () => {
  const text = rule(
    'on: sql, when: "true", effect: mask, mask: [{detect: [pii, e_mail], with: last4}]',
  )
  assert.match(
    printed(text),
    /"e_mail" is not one of pii, secret, email[^]*\n *\| *\^{6} did you mean "email"\?/,
  )
  assert.equal(load(text.replace('e_mail', 'email')).kind, 'ok')
})

test('a thousand rules load, over all files; one more is refused with the number and the limit', () => {
  const file = (name: string, count: number): { file: string; text: string } => {
    const rules = Array.from(
      { length: count },
      (_, at) => `{name: r${at}, on: sql, when: "true", effect: allow}`,
    )
    const text = `${head.replace('name: p', `name: ${name}`)}spec: {rules: [${rules.join(', ')}]}\n`
    return { file: `${name}.yaml`, text }
  }
  assert.equal(readPolicyFiles([file('p', 600), file('q', 400)]).kind, 'ok')
  const refused = readPolicyFiles([file('p', 600), file('q', 401), file('r', 1)])
  assert.deepEqual(
    refused.kind === 'refused' && refused.problems.map((each) => `${each.file} ${each.message}`),
    ['q.yaml there are 1001 rules up to here; at most 1000 are taken'],
  )
})

test('two policies in one file load, and two of one name are refused', () => {
  const one = `${head}spec: {rules: []}\n`
  assert.equal(load(`${one}---\n${one.replace('name: p', 'name: q')}`).kind, 'ok')
  assert.match(printed(`${one}---\n${one}`), /there is another policy "p"/)
})

test('a change reloads the folder, and a broken file is reported', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'policies-'))
  t.after(() => rm(dir, { recursive: true }))
  const text = await readFile(join(fixtures, 'prod-guardrails.yaml'), 'utf8')
  const results: LoadedPolicies[] = []
  let wake = (): void => undefined
  const watching = await watchPolicyFolder(dir, (loaded) => {
    results.push(loaded)
    wake()
  })
  t.after(() => {
    watching.close()
  })
  for (const content of [text, 'kind: Polcy\n']) {
    const changed = new Promise<void>((resolve) => (wake = resolve))
    await writeFile(join(dir, 'a.yaml'), content)
    const alive = setInterval(() => undefined, 1000)
    await changed
    clearInterval(alive)
  }
  assert.deepEqual(
    results.map((loaded) => loaded.kind),
    ['ok', 'refused'],
  )
})
