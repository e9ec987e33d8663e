import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import { connect, psql } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: guard}
spec:
  owner: group:test
  rules:
    - name: no-delete
      on: sql
      when: '"delete" in op.classes'
      effect: block
      message: "Nothing is deleted."
`

const seed = 'create table kept(n int); insert into kept values (1)'

const body = `returns int language plpgsql as $$ begin delete from public.kept; return 1; end $$`

suite('functions that a session makes', { skip: skipReason(), timeout: 120_000 }, () => {
  let gateway: TestGateway
  before(async () => {
    gateway = await startTestGateway({ policy, seed })
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  const refused = async (...statements: readonly string[]): Promise<void> => {
    const options = statements.flatMap((statement) => ['-c', statement])
    const { err } = await psql(await gateway.url(), ...options)
    assert.match(err, /Nothing is deleted|unknown-function/)
    assert.equal(await gateway.postgres.sql('select count(*) from kept'), '1')
  }

  test('an overload of a built-in is not taken for it in the transaction that makes it', async () => {
    await refused('begin', `create function lower(int) ${body}`, 'select lower(1)', 'commit')
  })

  test('nor where another function is renamed to it', async () => {
    const make = `create function other(int) ${body}`
    await refused(
      'begin',
      make,
      'alter function other(int) rename to abs',
      'select abs(1)',
      'commit',
    )
  })

  test('nor in the string that makes it', async () => {
    await refused(`create function upper(int) ${body}; select upper(1)`)
  })

  test('nor behind an operator or a cast', async () => {
    const make = `create function evil(int, int) ${body.replace('returns int', 'returns boolean').replace('return 1', 'return true')}`
    const operator = 'create operator === (leftarg = int, rightarg = int, function = evil)'
    await refused('begin', make, operator, 'select 1 === 2', 'commit')
    const cast = 'create cast (text as int) with function evil(text) as assignment'
    await refused(
      'begin',
      `create function evil(text) ${body}`,
      cast,
      "select 'a'::text::int",
      'commit',
    )
  })

  test('a function that another session changes is read anew when that is committed', async () => {
    const [changing, calling] = await Promise.all([connect(gateway), connect(gateway)])
    await calling.query('create function steady() returns int language sql as $$select 1$$')
    assert.equal((await calling.query('select steady()')).rowCount, 1)
    await changing.query('begin')
    await changing.query(`create or replace function steady() ${body}`)
    // Another look into the catalog shows what holds until then.
    assert.equal((await calling.query('select steady()')).rowCount, 1)
    await changing.query('commit')
    await assert.rejects(calling.query('select steady()'), /no-delete/)
    await changing.end()
    await calling.end()
  })

  test('other functions are what they were', async () => {
    const make = 'create function trim_all(text) returns text language sql as $$select $1$$'
    const { out, err } = await psql(
      await gateway.url(),
      '-c',
      'begin',
      '-c',
      make,
      '-c',
      'select initcap($$x$$)',
      '-c',
      'rollback',
    )
    assert.equal(err.replace(/^NOTICE.*\n/gm, ''), '')
    assert.match(out, /^X$/m)
  })
})
