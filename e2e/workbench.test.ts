import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import type { Explanation, LintReport, SimulationReport } from '@sallyport/gateway'
import { skipReason, until } from '@sallyport/testkit'
import { psql, sallyport } from './command-line.ts'
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
    gateway = await startTestGateway({
      policy: policy(dropRule),
      seed: 'create table orders(id int primary key, email text); create table spare(n int)',
    })
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
    assert.ok(report.notChecked.some(({ why }) => /no directory lists group:dba/u.test(why)))
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

  const explained = async (...words: string[]) => {
    const { code, out, err } = await run('policy', 'explain', ...words, '-o', 'json')
    assert.equal(code, 0, err)
    return JSON.parse(out) as Explanation
  }
  const refusedId = async (statement: string): Promise<string> => {
    const { err } = await psql(gateway, await gateway.url(), `${statement};\n`)
    const id = /(d_[0-9a-z]+)/u.exec(err)?.[1]
    assert.ok(id !== undefined, err)
    return id
  }
  const inForce = async (): Promise<number> => {
    const status = (await (await gateway.api('GET', '/v1/status')).json()) as {
      policies: { version: number }
    }
    return status.policies.version
  }
  const usePolicy = async (text: string): Promise<number> => {
    const before = await inForce()
    await gateway.writePolicy(text)
    await until('the policy is in force', async () => (await inForce()) > before)
    return await inForce()
  }

  test('a decision is explained by its id, clause by clause, with the facts of then', async () => {
    const id = await refusedId('drop table spare')
    const found = await explained(id)
    assert.deepEqual(
      [found.effect, found.rules, found.class, found.differs],
      ['block', ['test/no-drop'], 'ddl', undefined],
    )
    const [rule] = found.explained?.each ?? []
    assert.deepEqual(
      [rule?.id, rule?.standing, rule?.condition.state],
      ['test/no-drop', 'decided', 'true'],
    )
    assert.ok(rule?.condition.kind === 'clause')
    assert.deepEqual(rule.condition.facts, [{ path: 'sql.actions', value: ['drop table'] }])
    const text = await run('policy', 'explain', id.slice(0, -2), '-o', 'table')
    assert.match(text.out, /^BLOCKED by test\/no-drop {2}\(d_/)
    assert.match(text.out, /✓ "drop table" in sql\.actions {4}sql\.actions = \["drop table"\]/)
    assert.match(
      text.out,
      /What would have changed it: nothing about the caller.* Owner: group:dba/,
    )
    assert.equal((await run('policy', 'explain', 'd_0000000000000')).code, 2)
  })

  test('an old decision is explained by the policy of then, and a version is put in force again', async () => {
    const first = await inForce()
    const id = await refusedId('drop table spare')
    const second = await usePolicy(
      policy(
        '    - {name: reads-only, on: sql, when: op.class != "read" && agent.depth < 5, effect: block, message: no}\n',
      ),
    )
    assert.equal(second, first + 1)
    const later = await refusedId('drop table spare')
    assert.deepEqual((await explained(id)).rules, ['test/no-drop'])
    assert.equal((await explained(id)).policyVersion, first)
    const now = await explained(later)
    assert.deepEqual([now.rules, now.policyVersion], [['test/reads-only'], second])
    assert.deepEqual(now.explained?.wayOut, ['agent.depth < 5 would have to be false'])
    const listed = await run('policy', 'history', '-o', 'ndjson')
    const versions = listed.out
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { version: number }).version)
    assert.deepEqual(versions.slice(0, 2), [second, first])
    const reverted = await run('policy', 'revert', String(first), '--yes')
    assert.equal(reverted.code, 0, reverted.err)
    assert.equal(await inForce(), second + 1)
    const after = await refusedId('drop table spare')
    assert.deepEqual((await explained(after)).rules, ['test/no-drop'])
    const view = JSON.parse(reverted.out) as { version: number; author: string }
    assert.equal(view.version, second + 1)
    assert.notEqual(view.author, '')
    assert.equal((await run('policy', 'revert', '99', '--yes')).code, 2)
  })

  test('a command that nobody sends is judged over the target as it is', async () => {
    const credential = await gateway.credential('shop:read')
    const tree = (await (await gateway.api('GET', '/v1/agents')).json()) as {
      id: string
      grant: string[]
    }[]
    const agent = tree.find(({ grant }) => grant.join().includes('shop:read'))
    assert.ok(agent !== undefined && credential.user !== '')
    const as = ['--as', `agent:${agent.id}`, '--on', 'shop', '--command']
    const read = await explained(...as, 'select * from orders')
    assert.deepEqual([read.effect, read.class, read.decision], ['allow', 'read', undefined])
    const drop = await explained(...as, 'drop table orders')
    assert.equal(drop.effect, 'block')
    assert.match(drop.refused?.message ?? '', /not in your grant/)
    assert.deepEqual(drop.rules, ['test/no-drop'])
    assert.equal(await gateway.postgres.sql('select count(*) from orders'), '0')
    assert.equal((await run('policy', 'explain', ...as.slice(0, 2))).code, 2)
    assert.equal(
      (await run('policy', 'explain', '--as', 'a_none', '--on', 'shop', '--command', 'select 1'))
        .code,
      2,
    )
    assert.equal(
      (await run('policy', 'explain', '--as', agent.id, '--on', 'none', '--command', 'select 1'))
        .code,
      2,
    )
  })

  test('tests are written of what was recorded, without its literals, and pass by the policies of then', async () => {
    const rules = `    - {name: no-drop, on: sql, when: "\\"drop table\\" in sql.actions", effect: block, message: no}
    - {name: orders-only, on: sql, when: "op.class != \\"read\\" && !sql.writes.all(t, t == \\"public.orders\\")", effect: block, message: no}
    - {name: few, on: sql, when: "conn.env == \\"prod\\" && agent.depth >= 0 && sql.limit > 5", effect: allow}
`
    await usePolicy(policy(rules))
    const url = await gateway.url()
    await psql(
      gateway,
      url,
      `select email from orders where email = 'secret-literal' limit 9;
insert into orders values (77001, 'secret-literal');
delete from spare where n = 4242;
drop table spare;
select /* a comment */ 'secret-literal';
`,
    )
    const sessions = (await (await gateway.api('GET', '/v1/sessions')).json()) as { id: string }[]
    const recorded = await run('policy', 'record', sessions[0]?.id ?? '')
    assert.equal(recorded.code, 0, recorded.err)
    assert.doesNotMatch(recorded.out, /secret-literal|77001|4242/)
    assert.match(recorded.out, /run: select email from orders where email = 'x' limit 1/)
    assert.match(recorded.out, /sql\.limit: 9/)
    const tests = await file('recorded.yaml', recorded.out)
    const checked = await run('policy', 'test', await file('then.yaml', policy(rules)), tests)
    assert.equal(checked.code, 0, checked.out)
    const { results } = JSON.parse(checked.out) as {
      results: { want: string; failures: string[] }[]
    }
    assert.deepEqual(
      results.map(({ want }) => want),
      ['allow', 'allow', 'block', 'block', 'allow'],
    )
    const loose = await run('policy', 'test', await file('now.yaml', policy(dropRule)), tests)
    assert.equal(loose.code, 8)
    const one = await run('policy', 'record', await refusedId('drop table spare'))
    assert.equal(one.out.match(/want:/gu)?.length, 1)
    assert.equal((await run('policy', 'record', 'd_0000000000000')).code, 2)
    assert.equal((await run('policy', 'record', 's_0000000000000')).code, 2)
  })

  test('a simulation over what was recorded lists what would change, loosening apart; diff names what differs', async () => {
    await usePolicy(
      policy(
        `${dropRule}    - {name: mask, on: sql, when: "true", effect: mask, mask: [{columns: ["*.email"], with: partial}]}\n`,
      ),
    )
    await gateway.postgres.sql("insert into orders values (1, 'dana@example.com')")
    const since = new Date().toISOString().slice(0, 19)
    await psql(
      gateway,
      await gateway.url(),
      'select email from orders;\nselect id from orders;\ndrop table spare;\ninsert into spare values (1);\n',
    )
    const other = await file(
      'other.yaml',
      policy(
        '    - {name: no-write, on: sql, when: "\\"write\\" in op.classes", effect: block, message: no}\n',
      ),
    )
    const replayed = await run('policy', 'simulate', other, '--since', since, '-o', 'json')
    assert.equal(replayed.code, 0, replayed.err)
    const report = JSON.parse(replayed.out) as SimulationReport
    assert.deepEqual(
      report.changes.map(({ kind, commands, loosens }) => [kind, commands, loosens]),
      [
        ['allowed → blocked', 1, false],
        ['blocked → allowed', 1, true],
        ['masked → clear', 1, true],
      ],
    )
    assert.deepEqual([report.commands, report.unchanged, report.faultCount], [4, 1, 0])
    assert.equal(report.changes[1]?.examples[0]?.text, 'drop table spare;')
    const text = await run(
      'policy',
      'simulate',
      other,
      '--since',
      since,
      '-o',
      'table',
      '--fail-on',
      'loosening',
    )
    assert.equal(text.code, 8)
    assert.match(text.out, /blocked → allowed +1 .*← check\n +s_\w+#3 {2}drop table spare; {2}by/)
    const same = await run('policy', 'simulate', join(gateway.dataDir, 'policies'), '--since', '1h')
    const whole = JSON.parse(same.out) as SimulationReport
    assert.equal(whole.faultCount, 0)
    assert.ok(whole.commands > report.commands)
    assert.equal((await run('policy', 'simulate', other, '--since', 'soon')).code, 2)

    const linted = await run('policy', 'lint', other, '--history', '1h', '-o', 'json')
    const { findings, notChecked } = JSON.parse(linted.out) as LintReport
    assert.deepEqual([findings, notChecked], [[], []])
    const idle = await file(
      'idle.yaml',
      policy(
        '    - {name: idle, on: sql, when: op.verb == "vacuum", effect: block, message: no}\n',
      ),
    )
    const never = await run('policy', 'lint', idle, '--history', '1h', '--fail-on', 'warning')
    assert.equal(never.code, 8)
    assert.match(never.out, /never-matched.*idle matched none of \d+ commands since 1h/)

    const differs = await run('policy', 'diff', other, '-o', 'ndjson')
    assert.equal(differs.code, 8)
    assert.deepEqual(
      differs.out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
      [
        { change: 'removed', name: 'test/mask', fields: [] },
        { change: 'removed', name: 'test/no-drop', fields: [] },
        { change: 'added', name: 'test/no-write', fields: [] },
      ],
    )
    assert.equal((await run('policy', 'diff', join(gateway.dataDir, 'policies'))).code, 0)
  })
})
