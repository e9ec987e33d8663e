import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import { sallyport } from './command-line.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = (rules: string): string => `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: test}
spec:
  owner: group:dba
  rules:
${rules}`

const dropRule =
  '    - {name: no-drop, on: sql, when: "\\"drop table\\" in sql.actions", effect: block, message: no}\n'

suite('the policy workbench against a gateway', { skip: skipReason() }, () => {
  let gateway: TestGateway
  let dir: string
  before(async () => {
    gateway = await startTestGateway({ policy: policy(dropRule) })
    dir = await mkdtemp(join(tmpdir(), 'sallyport-policies-'))
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
    await rm(dir, { recursive: true, force: true })
  })

  const run = async (...words: string[]): Promise<{ code: number; out: string; err: string }> => {
    using running = sallyport(gateway, words)
    const code = await running.ended()
    return { code, out: running.out, err: running.err }
  }
  const file = async (name: string, text: string): Promise<string> => {
    const path = join(dir, name)
    await writeFile(path, text)
    return path
  }

  test('lint asks the gateway who is in a group, and says what it could not find out', async () => {
    const asks =
      '    - {name: r, on: sql, when: op.unbounded, effect: approve, message: m, approve: {from: ["group:dba"]}}\n'
    const path = await file('asks.yaml', policy(asks))
    const asked = await run('policy', 'lint', path)
    assert.equal(asked.code, 0)
    const report = JSON.parse(asked.out) as { notChecked: { why: string }[] }
    assert.match(report.notChecked[0]?.why ?? '', /no directory lists group:dba/)
    const alone = await run('policy', 'lint', path, '--no-gateway')
    assert.match(alone.out, /no gateway was asked/)
  })

  test('lint ends with 8 where something was found, as far as it is asked to', async () => {
    const path = await file('bad.yaml', policy(dropRule).replace('  owner: group:dba\n', ''))
    assert.equal((await run('policy', 'lint', path)).code, 0)
    assert.equal((await run('policy', 'lint', path, '--fail-on', 'warning')).code, 8)
    const wrong = await file('wrong.yaml', policy(dropRule.replace('sql.actions', 'sql.action')))
    const found = await run('policy', 'lint', wrong, '-o', 'table')
    assert.equal(found.code, 8)
    assert.match(found.out, /wrong\.yaml:7:\d+ {2}error {4}unknown-field .*sql\.actions/)
    assert.equal((await run('policy', 'lint', wrong, '--fail-on', 'never')).code, 0)
    assert.equal((await run('policy', 'lint', wrong, '--fail-on', 'some')).code, 2)
    assert.equal((await run('policy', 'lint', join(dir, 'nothing-here.yaml'))).code, 2)
    const sarif = await run('policy', 'lint', wrong, '-o', 'sarif')
    const log = JSON.parse(sarif.out) as {
      runs: { results: { ruleId: string; locations: object[] }[] }[]
    }
    assert.equal(log.runs[0]?.results[0]?.ruleId, 'unknown-field')
  })

  test('the matrix has a row for each connection of the gateway', async () => {
    const path = await file('drop.yaml', policy(dropRule))
    const shown = await run('policy', 'lint', path, '--matrix', '-o', 'table')
    assert.equal(shown.code, 0)
    assert.match(shown.out, /shop person +shop agent/)
    assert.match(shown.out, /drop a table +blocked +blocked/)
    assert.match(shown.out, /read everything +allowed +allowed/)
  })

  test('policy test needs no gateway, and ends with 8 where a test fails', async () => {
    const tests = (want: string): string => `${policy(dropRule)}---
apiVersion: sallyport.dev/v1
kind: PolicyTest
metadata: {name: t}
spec:
  tests:
    - {name: drops, run: drop table x, want: ${want}}
`
    const passed = await run('policy', 'test', await file('pass.yaml', tests('block')))
    assert.equal(passed.code, 0)
    const failed = await run(
      'policy',
      'test',
      await file('fail.yaml', tests('allow')),
      '-o',
      'table',
    )
    assert.equal(failed.code, 8)
    assert.match(
      failed.out,
      /PASS 0 {2}FAIL 1\nFAIL .*fail\.yaml:\d+ {2}"drops"\n {2}want allow, got block \(test\/no-drop/,
    )
    assert.equal((await run('policy', 'test', await file('none.yaml', policy(dropRule)))).code, 2)
  })
})
