import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { after, before, suite, test } from 'node:test'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { skipReason } from '@sallyport/testkit'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const program = fileURLToPath(new URL('../packages/cli/bin/sallyport.mjs', import.meta.url))

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: masks}
spec:
  owner: group:test
  rules:
    - {name: mail, on: sql, when: "true", effect: mask, mask: [{columns: ["users.email"], with: partial}]}
`

const seed = `
create table users (id int primary key, email text);
create view everybody as select * from users;
grant select on everybody to public;
`

suite('sallyport connections guard', { skip: skipReason() }, () => {
  let gateway: TestGateway
  before(async () => {
    gateway = await startTestGateway({ policy, seed })
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  const guard = async (...flags: string[]): Promise<{ code: number; out: string; err: string }> => {
    const args = ['--conditions=@sallyport/source', program, 'connections', 'guard', 'shop']
    const child = spawn(process.execPath, [...args, ...flags, '--data', gateway.dataDir])
    child.stdin.end(`${gateway.postgres.password}\n`)
    const [out, err] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      once(child, 'close'),
    ])
    return { code: child.exitCode ?? -1, out, err }
  }
  const setup = ['--setup-user', 'postgres']

  test('asks for one thing at a time, and for a login where it changes something', async () => {
    for (const flags of [
      [],
      ['--plan', '--check'],
      ['--apply'],
      ['--drop'],
      ['--apply', ...setup, '--lookup', 'users.email', '--lookup-budget', 'many'],
      ['--plan', '--writes', 'all'],
    ]) {
      const { code, out } = await guard(...flags)
      assert.equal(code, 2, flags.join(' '))
      assert.equal(out, '')
    }
  })

  test('shows a plan that is a script, and what everybody may read', async () => {
    const { code, out, err } = await guard('--plan', '-o', 'table')
    assert.equal(code, 0)
    assert.match(out, /^\\set ON_ERROR_STOP on\nbegin;/)
    assert.match(out, /create view .*"users" with \(security_barrier\)/)
    assert.match(err, /PUBLIC may use the table "public"."everybody"/)
    assert.equal(JSON.parse((await guard('--plan')).out).kind, 'planned')
  })

  test('applies, checks and drops, with exit codes for scripts', async () => {
    const unsafe = await guard('--apply', ...setup)
    assert.equal(unsafe.code, 8)
    assert.match(unsafe.err, /SP_GUARD_UNSAFE/)
    assert.equal((await guard('--check')).code, 2)
    const applied = await guard('--apply', ...setup, '--close-public', '-o', 'table')
    assert.equal(applied.code, 0)
    assert.match(applied.out, /✓ the target of shop enforces the masks of 1 mask set/)
    assert.match(applied.err, /\d+\/\d+ {2}masks of public/)
    assert.equal((await guard('--check')).code, 0)
    await gateway.postgres.sql('grant select on users to public')
    const found = await guard('--check', '-o', 'table')
    assert.equal(found.code, 8)
    assert.match(found.out, /✕ .*users\.email can be read in clear/)
    await gateway.postgres.sql(
      'revoke select on users from public; alter table users add phone text',
    )
    const drift = await guard('--check')
    assert.equal(drift.code, 8)
    assert.deepEqual(JSON.parse(drift.out).drift, [
      '"public"."users" has changed, or its masks have',
    ])
    assert.equal((await guard('--drop', ...setup)).code, 0)
    assert.equal(
      await gateway.postgres.sql(
        'select count(*) from information_schema.role_table_grants where grantee = $$PUBLIC$$ and table_name = $$everybody$$',
      ),
      '1',
    )
  })

  test('tells of a login that is refused, and of one that may not enough', async () => {
    const refused = await guard('--apply', '--setup-user', 'nobody')
    assert.equal(refused.code, 6)
    assert.match(refused.err, /SP_TARGET_LOGIN/)
    await gateway.postgres.sql(`create role weak login password '${gateway.postgres.password}'`)
    const weak = await guard('--apply', '--setup-user', 'weak')
    assert.equal(weak.code, 4)
    assert.match(weak.err, /SP_GUARD_FAILED.*roles: the target said: permission denied/)
  })
})
