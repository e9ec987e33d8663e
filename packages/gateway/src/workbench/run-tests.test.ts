import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { printProblems } from '../control-plane/policies/config-problem.ts'
import { readPolicyFiles } from '../control-plane/policies/load-policy-folder.ts'
import { dangerMatrix } from './danger-matrix.ts'
import { runPolicyTests, type TestReport } from './run-tests.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: prod}
spec:
  owner: group:dba
  rules:
    - name: agent-writes
      on: sql
      when: conn.env == "prod" && agent.depth > 0 && op.class != "read"
      effect: approve
      approve: {from: [group:dba]}
      message: "A DBA must approve writes by agents in prod."
    - name: no-drop
      on: sql
      when: sql.actions.exists(a, a == "drop table")
      effect: block
      message: "Nothing is dropped."
    - name: mask-pii
      on: sql
      when: agent.depth > 0 || root.kind != "human"
      effect: mask
      mask: [{columns: ["*.email"], with: partial}]
    - name: office-hours
      on: session
      when: '!now.within("Mon-Fri 08:00-19:00 Europe/Berlin")'
      effect: block
      message: "Come back tomorrow."
---
`

function tests(lines: string, given = '{}'): string {
  return `${policy}apiVersion: sallyport.dev/v1
kind: PolicyTest
metadata: {name: t}
spec:
  given: ${given}
  tests:
${lines}`
}

const agent =
  '{labels: {env: prod}, agent: {depth: 1}, tables: {customers: [id, email], sales.orders: [id, total]}}'

async function report(text: string): Promise<TestReport> {
  const run = await runPolicyTests([{ file: 't.yaml', text }])
  if (run.kind === 'refused') assert.fail(printProblems(run.problems))
  return run.report
}

const rows: [test: string, failures: string[]][] = [
  ['run: select 1, want: allow', []],
  ['run: select 1, want: block', ['want block, got allow']],
  ['run: delete from customers where id = 1, want: approve, rules: [agent-writes]', []],
  ['run: delete from customers where id = 1, want: approve, rules: [prod/agent-writes]', []],
  [
    'run: delete from customers where id = 1, want: approve, rules: [no-drop]',
    ['want the rules prod/no-drop, got prod/agent-writes'],
  ],
  [
    'run: delete from customers where id = 1, want: approve, rules: []',
    ['want the rules , got prod/agent-writes'],
  ],
  ['run: drop table customers, want: block, rules: [no-drop]', []],
  ['run: delete from customers where id = 1, given: {agent: {depth: 0}}, want: allow', []],
  ['run: delete from customers where id = 1, given: {labels: {}}, want: allow', []],
  ['run: select * from customers, want: allow, masks: [public.customers.email]', []],
  ['run: select upper(email) from customers, want: allow, masks: [public.customers.email]', []],
  ['run: select id from customers, want: allow, masks: []', []],
  [
    'run: select * from customers, want: allow, masks: []',
    ['want the masks none, got public.customers.email'],
  ],
  ["run: select id from customers where email = 'x', want: block", []],
  ['run: select id from sales.orders where total = 1, want: allow, masks: []', []],
  ['run: "do $$ begin execute x; end $$", want: block', []],
  ['run: select my_own(1), want: block', []],
  ['run: "select my_own(1)", given: {trustedFunctions: [public.my_own]}, want: allow', []],
  ['facts: {op.class: write, conn.env: prod, sql.actions: []}, want: approve', []],
  ['facts: {op.class: read, sql.actions: [drop table]}, want: block', []],
  ['facts: {op.class: write, agent.depth: 0, sql.actions: []}, want: allow', []],
  ['facts: {op.class: read, sql.actions: null}, want: block', []],
  ['facts: {op.class: unknown, sql.actions: []}, want: block', []],
  ['on: session, given: {now: "2026-11-20T09:30:00Z"}, want: allow', []],
  ['on: session, given: {now: "2026-11-22T09:30:00Z"}, want: block', []],
  ['on: session, want: block', []],
]
for (const [line, failures] of rows) {
  test(`{${line}} gives ${failures.join() || 'a pass'}`, async () => {
    const { results } = await report(tests(`    - {name: a, ${line}}\n`, agent))
    assert.deepEqual(results[0]?.failures, failures)
  })
}

test('a test names its file and line, and the rules that decided with theirs', async () => {
  const { results } = await report(tests('    - {name: a, run: drop table x, want: allow}\n'))
  const [result] = results
  assert.deepEqual([result?.file, result?.line, result?.got], ['t.yaml', 35, 'block'])
  assert.deepEqual(result?.rules, [{ id: 'prod/no-drop', at: 't.yaml:13' }])
})

test('what is not known in a test is refused with its place and a suggestion', async () => {
  const refused = async (line: string): Promise<string> => {
    const run = await runPolicyTests([{ file: 't.yaml', text: tests(`    - {${line}}\n`) }])
    return run.kind === 'ok' ? 'ok' : printProblems(run.problems)
  }
  assert.match(await refused('name: a, runn: x, want: allow'), /"runn"[\s\S]*35:17[\s\S]*"run"\?/)
  assert.match(
    await refused('name: a, facts: {op.clas: read}, want: allow'),
    /"op\.clas"[\s\S]*35:25[\s\S]*\^{7} did you mean "op\.class"\?/,
  )
  assert.match(
    await refused('name: a, facts: {op.class: raed}, want: allow'),
    /did you mean "read"/,
  )
  assert.match(await refused('name: a, facts: {agent.depth: x}, want: allow'), /whole number/)
  assert.match(await refused('name: a, run: x, want: alow'), /did you mean "allow"/)
  assert.match(await refused('name: a, want: allow'), /run or facts/)
  assert.match(await refused('run: x, want: allow'), /missing field "name"/)
  assert.match(await refused('name: a, run: x'), /missing field "want"/)
  assert.match(await refused('name: a, run: x, want: allow, masks: []'), /given\.tables/)
  assert.match(await refused('name: a, given: {now: soon}, run: x, want: allow'), /not a time/)
  assert.match(await refused('name: a, on: session, run: x, want: allow'), /runs nothing/)
  assert.match(
    await refused('name: a, given: {agent: {depht: 1}}, run: x, want: allow'),
    /"depth"\?/,
  )
})

test('coverage lists what no test has shown both ways, and nothing once all are shown', async () => {
  const some = await report(tests('    - {name: a, run: select 1, want: allow}\n'))
  const writes = some.uncovered.find(({ id }) => id === 'prod/agent-writes')
  assert.deepEqual(writes, {
    id: 'prod/agent-writes',
    at: 't.yaml:7',
    neverMatched: true,
    alwaysMatched: false,
    neverTrue: ['conn.env == "prod"', 'agent.depth > 0', 'op.class != "read"'],
    neverFalse: [],
  })
  assert.equal(some.uncovered.length, 4)
  assert.deepEqual(some.clauses, { covered: 6, all: 14 })
  const all = await report(
    tests(`    - {name: a, run: select 1, want: allow}
    - {name: b, run: drop table x, want: block}
    - {name: c, run: delete from x where id = 1, given: {agent: {depth: 1}, labels: {env: prod}}, want: approve}
    - {name: d, run: select 1, given: {root: {kind: service}}, want: allow}
    - {name: e, on: session, given: {now: "2026-11-20T09:30:00Z"}, want: allow}
    - {name: f, on: session, given: {now: "2026-11-22T09:30:00Z"}, want: block}
`),
  )
  assert.deepEqual(all.uncovered, [])
  assert.deepEqual(all.clauses, { covered: 14, all: 14 })
})

test('the matrix shows what the guardrails make of dangerous commands, and what nobody is asked about', async () => {
  const guarded = readPolicyFiles([
    { file: 'g', text: readFileSync('guardrails/postgres.yaml', 'utf8') },
  ])
  assert.ok(guarded.kind === 'ok')
  const connections = [{ name: 'shop', labels: {}, type: 'postgres' }]
  const allowed = async (policies: typeof guarded.policies) => {
    const cells = await dangerMatrix(policies, connections)
    return cells
      .filter(({ effect, caller }) => effect === 'allow' && caller === 'agent')
      .map(({ command }) => command)
  }
  assert.deepEqual(await allowed(guarded.policies), ['change some rows', 'read everything'])
  const open = await allowed([])
  assert.ok(open.includes('drop a table') && open.includes('run a program'))
  // Nobody can tell what these do, so they are blocked without a rule.
  assert.ok(!open.includes('dynamic SQL') && !open.includes('reach another server'))
  const cells = await dangerMatrix(guarded.policies, connections)
  assert.deepEqual(cells.find(({ command }) => command === 'drop a table')?.rules, [
    'guardrails-postgres/no-drop-table',
  ])
})

test('the tests of the guardrail pack pass, and show every rule', async () => {
  const files = ['guardrails/postgres.yaml', 'guardrails/postgres.test.yaml']
  const run = await runPolicyTests(
    files.map((file) => ({ file, text: readFileSync(file, 'utf8') })),
  )
  assert.ok(run.kind === 'ok')
  const failed = run.report.results.filter(({ failures }) => failures.length > 0)
  assert.deepEqual(failed, [])
  const unshown = run.report.uncovered.filter((rule) => rule.neverMatched || rule.alwaysMatched)
  assert.deepEqual(unshown, [])
})
