import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import test from 'node:test'
import { defaultPolicies } from '../../default-policies.ts'
import { lintPolicies, type LintKnowledge } from './lint-policies.ts'
import type { KnownGroup } from '../../contract/policies.ts'

const head =
  'apiVersion: sallyport.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  owner: group:dba\n'

function rule(fields: string): string {
  return `${head}  rules:\n    - {name: r, on: sql, ${fields}}\n`
}

function found(text: string, knowledge: LintKnowledge = {}): string[] {
  const { findings } = lintPolicies([{ file: 'p.yaml', text }], knowledge)
  return findings.map(
    ({ check, severity, line, column }) => `${line}:${column} ${severity} ${check}`,
  )
}

const blocks = 'effect: block, message: no'

const rows: [fields: string, expected: string[]][] = [
  [`when: op.class != "read", ${blocks}`, []],
  [`when: op.clas == "read", ${blocks}`, ['7:32 error unknown-field']],
  [`when: op.class == "delete", ${blocks}`, ['7:44 error enum-value']],
  [`when: op.class == "Read", ${blocks}`, ['7:44 error case-mismatch']],
  [`when: agent.depth > "x", ${blocks}`, ['7:32 error type-error']],
  [`when: has(op.class), ${blocks}`, ['7:32 error has-on-fact']],
  [`when: 'foo(op.verb) == "x"', ${blocks}`, ['7:33 error unknown-function']],
  [`when: 'op.text.matches("(?=a)")', ${blocks}`, ['7:49 error regex-not-re2']],
  [`when: op.text.matches(op.verb), ${blocks}`, ['7:48 error regex-dynamic']],
  [`when: conn.labels.tier == "x", ${blocks}`, ['7:32 error map-index']],
  [`when: op.unbounded && !op.unbounded, ${blocks}`, ['7:32 error always-false']],
  [`when: agent.depth >= 0, ${blocks}`, ['7:32 warning always-true']],
  [`when: '!op.text.matches("^select")', ${blocks}`, ['7:34 warning regex-as-allow-list']],
  ['when: op.unbounded, effect: block', ['7:7 error no-message']],
  [`when: op.unbounded, efect: x, ${blocks}`, ['7:46 error unknown-field']],
]
for (const [fields, expected] of rows) {
  test(`{${fields}} gives ${expected.join() || 'nothing'}`, () => {
    assert.deepEqual(found(rule(fields)), expected)
  })
}

test('a rule on what has no facts yet, names given twice and a policy without an owner are found', () => {
  const text = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: p}
spec:
  rules:
    - {name: a, on: k8s, when: "true", effect: block, message: no}
    - {name: b, on: sql, when: "true", effect: block, message: no}
    - {name: b, on: sql, when: "true", effect: block, message: no}
---
apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: p}
spec: {owner: group:dba, rules: []}
`
  assert.deepEqual(found(text), [
    '6:21 error wrong-protocol',
    '8:7 error duplicate-name',
    '12:18 error duplicate-name',
  ])
  const unowned = head.replace(
    '  owner: group:dba\n',
    '  rules: [{name: a, on: sql, when: op.unbounded, effect: block, message: no}]\n',
  )
  assert.deepEqual(found(unowned), ['5:3 warning no-owner'])
})

const approves = (from: string, count: number): string =>
  rule(
    `when: op.unbounded, effect: approve, message: no, approve: {from: ${from}, count: ${count}}`,
  )

/** Nothing is recorded, so that no rule is found to do nothing. */
const silent = { since: '30d', commands: 0, rules: [] }

const people = (from: KnownGroup['from'], ...names: string[]): KnownGroup => ({
  from,
  people: names,
})

test('too few approvers are an error where a directory keeps the group, and not checked where it is not known whole', () => {
  const groups = new Map([
    ['two', people('directory', 'Ana', 'ben')],
    ['empty', people('directory')],
    ['seen', people('logins', 'ana')],
  ])
  const asked = (from: string, count: number, knowledge: LintKnowledge = { groups }) => {
    const file = { file: 'p.yaml', text: approves(from, count) }
    const { findings, notChecked } = lintPolicies([file], { history: silent, ...knowledge })
    return [...findings.map(({ check }) => check), ...notChecked.map((one) => `? ${one.check}`)]
  }
  assert.deepEqual(asked('["group:two"]', 2), [])
  assert.deepEqual(asked('["group:two"]', 3), ['approvers-too-few'])
  assert.deepEqual(asked('["group:two", "user:ANA"]', 3), ['approvers-too-few'])
  assert.deepEqual(asked('["group:two", "user:cleo"]', 3), [])
  assert.deepEqual(asked('["group:empty"]', 1), ['approver-group-empty'])
  assert.deepEqual(asked('["group:seen"]', 1), [])
  assert.deepEqual(asked('["group:seen"]', 2), ['? approvers-too-few'])
  assert.deepEqual(asked('["group:nobody"]', 1), ['? approvers-too-few'])
  assert.deepEqual(asked('["owner", "agent:bot@service:reviews"]', 2), [])
  assert.deepEqual(asked('["owner"]', 2), ['approvers-too-few'])
  assert.deepEqual(asked('["group:two"]', 1, {}), ['? approvers-too-few'])
  assert.deepEqual(asked('["user:ana"]', 1, {}), [])
})

test('what ships is in order', () => {
  const file = 'guardrails/postgres.yaml'
  const report = lintPolicies([{ file, text: readFileSync(file, 'utf8') }], { history: silent })
  assert.deepEqual([report.findings, report.notChecked], [[], []])
  const masks = lintPolicies([{ file: 'd.yaml', text: defaultPolicies }], { history: silent })
  assert.deepEqual(
    [masks.findings, masks.notChecked.map(({ check }) => check)],
    [[], ['mask-no-such-column, mask-type']],
  )
  assert.ok(report.rules > 5)
})

test('a rule that did nothing in what is recorded is found, and nothing is said of it where nobody asked', () => {
  const text = rule('when: op.unbounded, effect: block, message: no')
  const asked = (matched: number, decided: number, commands = 100) =>
    found(text, { history: { since: '30d', commands, rules: [{ id: 'p/r', matched, decided }] } })
  assert.deepEqual(asked(3, 3), [])
  assert.deepEqual(asked(0, 0), ['7:7 warning never-matched'])
  assert.deepEqual(asked(3, 0), ['7:7 warning shadowed'])
  assert.deepEqual(asked(0, 0, 0), [])
  const observes = rule('when: op.unbounded, effect: block, message: no, observe: true')
  const history = { since: '30d', commands: 9, rules: [{ id: 'p/r', matched: 0, decided: 0 }] }
  assert.deepEqual(found(observes, { history }), ['7:7 warning observe-stale'])
  const { notChecked } = lintPolicies([{ file: 'p.yaml', text }], {})
  assert.match(notChecked[0]?.why ?? '', /--history/)
})

test('two rules that ask for more people together than there are is found where one command can meet both', () => {
  const groups = new Map([
    ['dba', people('directory', 'ana', 'ben')],
    ['ops', people('directory', 'Ben', 'cleo')],
    ['seen', people('logins', 'ana')],
  ])
  const pair = (one: string, left: string, other: string, right: string) => {
    const asks = (name: string, when: string, who: string) =>
      `    - {name: ${name}, on: sql, when: '${when}', effect: approve, message: m, approve: ${who}}\n`
    const text = `${head}  rules:\n${asks('a', one, left)}${asks('b', other, right)}`
    return found(text, { groups, history: silent })
  }
  const two = '{from: ["group:dba"], count: 2}'
  const ops = '{from: ["group:ops"], count: 1}'
  const both = '{from: ["group:ops"], count: 2}'
  assert.deepEqual(pair('op.unbounded', two, 'op.class == "write"', ops), [])
  assert.deepEqual(pair('op.unbounded', two, 'op.class == "write"', both), [
    '8:93 warning approvers-too-few',
  ])
  assert.deepEqual(pair('op.unbounded', two, '!op.unbounded', both), [])
  assert.deepEqual(pair('op.unbounded', two, 'op.class == "write"', '{from: ["user:ana"]}'), [
    '8:93 warning approvers-too-few',
  ])
  assert.deepEqual(pair('op.unbounded', two, 'op.class == "write"', '{from: ["owner"]}'), [])
})
