import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { skipReason, until } from '@sallyport/testkit'
import { psql } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const pack = fileURLToPath(new URL('../guardrails/postgres.yaml', import.meta.url))
const bin = fileURLToPath(new URL('../packages/cli/bin/sallyport.mjs', import.meta.url))

const seed = `
  create table kept(n int primary key, note text); insert into kept values (1, 'a'), (2, 'b');
  create table log(n int);
  create view shown as select n from kept;
  create function wipe() returns int language plpgsql as $$ begin delete from kept; return 1; end $$;
  create function gone() returns int language plpgsql as $$ begin execute 'drop table log'; return 1; end $$;
  create function one(int) returns int language sql as 'delete from kept where n = $1 returning n';
  create function noted() returns trigger language plpgsql as $$ begin insert into log values (new.n); return new; end $$;
  create trigger noted after insert on kept for each row execute function noted();
  create procedure clean() language sql as 'truncate log';
  create role someone; create schema spare;
`

/** Statement, and the rule that must stop it; `unknown` for those whose effect can't be known. */
const attacks: readonly (readonly [statement: string, rule: string])[] = [
  ['drop database postgres', 'no-drop-database'],
  ['drop schema spare cascade', 'no-drop-database'],
  ['create table x(n int); drop schema spare', 'no-drop-database'],
  ['do $$ begin drop schema spare; end $$', 'no-drop-database'],
  ['drop owned by someone', 'no-drop-database'],
  ['drop table kept', 'no-drop-table'],
  ['DROP/**/TABLE/**/"kept" CASCADE', 'no-drop-table'],
  ['drop table U&"\\006bept"', 'no-drop-table'],
  ['truncate kept', 'no-drop-table'],
  ['select gone()', 'no-drop-table'],
  ['call clean()', 'no-drop-table'],
  ['alter table kept drop column note', 'no-drop-table'],
  ['begin; drop table kept; commit', 'no-drop-table'],
  ['explain analyze delete from kept', 'no-unbounded-writes'],
  ['delete from kept', 'no-unbounded-writes'],
  ['delete from shown where n = n', 'no-unbounded-writes'],
  ['update kept set n = n + 10 where true', 'no-unbounded-writes'],
  ['with d as (delete from kept returning n) select * from d', 'no-unbounded-writes'],
  ['select wipe()', 'no-unbounded-writes'],
  ['select * from kept where n = wipe()', 'no-unbounded-writes'],
  ['prepare p as delete from kept; execute p', 'no-unbounded-writes'],
  ["copy kept to '/tmp/kept'", 'no-files-of-the-server'],
  ["copy kept to program 'cat > /tmp/kept'", 'no-files-of-the-server'],
  ["copy (select 1) to program 'id'", 'no-files-of-the-server'],
  ["select pg_read_file('/etc/passwd')", 'no-files-of-the-server'],
  ["select lo_export(1, '/tmp/x')", 'no-files-of-the-server'],
  ["select * from pg_ls_dir('.')", 'no-files-of-the-server'],
  ['create publication p for all tables', 'no-other-servers'],
  ["create subscription s connection 'host=x' publication p", 'no-other-servers'],
  ['create extension dblink', 'no-server-administration'],
  ["alter system set work_mem = '1GB'", 'no-persistence'],
  ['create server s foreign data wrapper w', 'no-server-administration'],
  ['set role someone', 'no-server-administration'],
  ["select set_config('role', 'someone', false)", 'no-server-administration'],
  ['select pg_terminate_backend(1)', 'no-server-administration'],
  ["select pg_create_logical_replication_slot('s', 'test_decoding')", 'no-server-administration'],
  ['grant select on kept to public', 'no-privilege-changes'],
  ['alter role someone superuser', 'no-privilege-changes'],
  ["create role other login password 'x'", 'no-privilege-changes'],
  ['alter table kept owner to someone', 'no-privilege-changes'],
  ['alter table kept disable row level security', 'no-privilege-changes'],
  ['alter default privileges grant select on tables to public', 'no-privilege-changes'],
  ['select rolpassword from pg_authid', 'no-privilege-changes'],
  ['create function f() returns int language sql as $$select 1$$', 'no-persistence'],
  ['create trigger t before insert on log for each row execute function noted()', 'no-persistence'],
  ['create rule r as on insert to log do also delete from kept', 'no-persistence'],
  ['create event trigger e on ddl_command_end execute function noted()', 'no-persistence'],
  ['alter table kept disable trigger noted', 'no-persistence'],
  ["do $$ begin execute 'drop table ' || 'kept'; end $$", 'unknown'],
  ["select query_to_xml('delete from kept', true, true, '')", 'unknown'],
]

/** What must go on as before. */
const everyday: readonly string[] = [
  'select * from kept where n = 1',
  'select count(*), max(n) from shown',
  "insert into kept values (3, 'c')",
  "update kept set note = 'z' where n = 1",
  'delete from kept where n = 2',
  'select one(3)',
  'with k as (select n from kept) select * from k join shown using (n)',
  'begin; select 1; commit',
  "set work_mem = '16MB'",
  'create temp table mine as select * from kept; select * from mine',
  'create table more(n int); create index on more(n); alter table more add column m int',
  'explain select * from kept',
  'copy kept to stdout',
  'vacuum kept',
]

const open = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: open}
spec: {owner: "group:test", rules: []}
`

suite('the guardrail pack for PostgreSQL', { skip: skipReason(), timeout: 180_000 }, () => {
  let gateway: TestGateway
  let url: string
  before(async () => {
    gateway = await startTestGateway({ policy: open, seed })
    url = await gateway.url()
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  const sallyport = async (...words: readonly string[]): Promise<string> => {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    const args = [bin, ...words, '--data', gateway.dataDir]
    execFile(process.execPath, args, (error, out, err) =>
      error === null ? resolve(out) : reject(new Error(err)),
    )
    return await promise
  }
  const loadedAfter = async (change: () => Promise<unknown>): Promise<void> => {
    const version = (await gateway.gateway.status()).policies.version
    await change()
    await until(
      'the policies are loaded',
      async () => (await gateway.gateway.status()).policies.version > version,
    )
  }
  const harmless = (statement: string): string => `begin; ${statement}; rollback`

  test('tried out, it changes nothing and says what it would do', async () => {
    await loadedAfter(async () => await sallyport('policy', 'try', pack))
    const { err } = await psql(url, '-c', harmless('delete from kept'))
    assert.doesNotMatch(err, /ERROR/)
    const told = JSON.parse(await sallyport('policy', 'observed', '-o', 'json')) as {
      rule: string
      would: string
      count: number
    }[]
    assert.deepEqual(
      told.map(({ rule, would, count }) => [rule, would, count]),
      [['guardrails-postgres/no-unbounded-writes', 'block', 1]],
    )
  })

  test('enforced, each attack is stopped by the rule that is for it', async () => {
    await loadedAfter(async () => await sallyport('policy', 'try', '--enforce', pack))
    const before = await gateway.postgres.sql('select * from kept order by n')
    const missed: string[] = []
    for (const [statement, rule] of attacks) {
      const { err } = await psql(url, '-c', statement)
      const expected = rule === 'unknown' ? 'cannot tell what' : `rule "${rule}"`
      if (!err.includes(expected)) missed.push(`${statement}\n  ${err}`)
    }
    assert.deepEqual(missed, [])
    assert.equal(await gateway.postgres.sql('select * from kept order by n'), before)
  })

  test('enforced, the work of a day goes on', async () => {
    for (const statement of everyday) {
      const { err } = await psql(url, '-c', statement)
      assert.doesNotMatch(err, /ERROR/, statement)
    }
  })

  test('taken out again, it is gone', async () => {
    await loadedAfter(async () => await sallyport('policy', 'try', '--off', pack))
    const { err } = await psql(url, '-c', harmless('truncate log'))
    assert.doesNotMatch(err, /ERROR/)
    await assert.rejects(readFile(join(gateway.dataDir, 'policies', 'guardrails-postgres.yaml')))
  })
})
