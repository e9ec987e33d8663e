import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { after, before, suite, test } from 'node:test'
import pg from 'pg'
import { skipReason } from '@sallyport/testkit'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = (inference: string): string => `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: guard}
spec:
  owner: group:test
  defaults: {unmatched: allow, unknown: allow}
  rules:
    - name: mask-people
      on: sql
      when: "true"
      effect: mask
      inference: ${inference}
      mask:
        - {columns: ["people.email"], with: partial}
        - {columns: ["people.ssn", "people.salary"], with: redact}
`

const seed = `
create table people(
  id int primary key, name text, email text unique, ssn text, salary int,
  host text generated always as (split_part(email, '@', 2)) stored);
insert into people(id, name, email, ssn, salary)
  select g, 'n' || g, 'zecret' || g || '@zorro.example', 'zsn-' || g, 71000 + g from generate_series(1, 3) g;
create table orders(id int primary key, person int, item text, stock int default 1);
insert into orders select g, g, 'i' || g from generate_series(1, 3) g;
create table scratch(note text);
create table late(email text unique deferrable initially deferred);
create view contacts as select id, email as contact, upper(email) as loud from people;
create view plain as select id, name from people;
create materialized view stored as select id, email as kept from people;
create table events(id int, email text) partition by range (id);
create table events_1 partition of events for values from (0) to (100);
create function first_email() returns text language sql stable as 'select email from people order by id limit 1';
create function hello(text) returns text language sql immutable as 'select ''hello '' || $1';
create function reach() returns setof people language sql stable as 'select * from people';
create function hidden() returns text language plpgsql as 'begin return (select email from people limit 1); end';
create function leak_sum(int, int) returns int language sql stable as 'select max(salary) from people';
create function add_email(text, int) returns text language sql stable as 'select coalesce($1, email) from people limit 1';
create aggregate any_email(int) (sfunc = add_email, stype = text);
create function stock_of(int) returns int language plpgsql stable as 'begin return (select stock from orders where id = $1); end';
create operator @@@ (leftarg = int, rightarg = int, function = leak_sum);
create function copy_row() returns trigger language plpgsql as
  'begin insert into scratch values (new.email); return new; end';
create table watched(id int, email text);
insert into watched values (1, 'zecret9@zorro.example');
create trigger copies after update on people for each row execute function copy_row();
analyze;
`

suite('masked columns through the gateway', { skip: skipReason() }, () => {
  let gateway: TestGateway
  before(async () => {
    gateway = await startTestGateway({ policy: policy('observe'), seed })
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  /** Runs statements in one session; gives what psql printed for each, errors too. */
  const psql = async (...statements: string[]): Promise<string[]> => {
    const url = await gateway.url({ allow: 'shop:*,unknown', query: 'sslmode=require' })
    const marked = statements.flatMap((sql) => ['-c', '\\echo <', '-c', sql, '-c', '\\echo >'])
    const out = await run('sh', ['-c', 'psql "$@" 2>&1', 'sh', url, '-XAt', ...marked])
    return [...out.matchAll(/^<\n([\s\S]*?)^>$/gm)].map(([, text = '']) => text.trimEnd())
  }
  const each = async (statements: string[], expected: RegExp, never: RegExp): Promise<void> => {
    const answers = await psql(...statements)
    for (const [index, sql] of statements.entries()) {
      assert.match(answers[index] ?? '', expected, sql)
      assert.doesNotMatch(answers[index] ?? '', never, sql)
    }
  }
  const infers = async (isRefused: boolean): Promise<boolean> => {
    const [answer = ''] = await psql("select 1 from people where email = 'x'")
    return answer.includes('SP_MASKED_INFERENCE') === isRefused
  }
  const explain = async (what: string): Promise<string> => {
    const bin = 'packages/cli/bin/sallyport.mjs'
    const words = ['policy', 'explain', what, '-o', 'table', '--data', gateway.dataDir]
    return await run(process.execPath, ['--conditions=@sallyport/source', bin, ...words])
  }
  const secret = /zecret|zorro|zsn-|7100\d/i

  test('a value that is a column is masked, and one that is computed is NULL', async () => {
    const cases = [
      ['select email from people where id = 1', 'z**@***.example'],
      ['select p.email as "a b" from people p where id = 1', 'z**@***.example'],
      ['select contact, loud from contacts where id = 1', 'z**@***.example|'],
      ['select * from plain where id = 1', '1|n1'],
      ['select kept from stored where id = 1', 'z**@***.example'],
      ['select upper(email), name from people where id = 1', '|n1'],
      ['select coalesce(email, $$none$$) from people where id = 1', 'z**@***.example'],
      [
        'select case when id = 1 then email else name end from people where id < 3 order by id',
        'z**@***.example\nn•••2'.replace('n•••2', '•••'),
      ],
      ['select (p).email from people p where id = 1', 'z**@***.example'],
      ['select p from people p where id = 1', ''],
      ['select row_to_json(p) from people p where id = 1', ''],
      ['select host from people where id = 1', ''],
      ['select x from (select email as x from people where id = 1) s', 'z**@***.example'],
      ['with c(y) as (select email from people where id = 1) select y from c', 'z**@***.example'],
      [
        'with recursive r(n, e) as (select 1, email from people where id = 1 union all select n + 1, e from r where n < 2) select * from r',
        '1|z**@***.example\n2|z**@***.example',
      ],
      [
        'select name from people where id = 1 union all select email from people where id = 2',
        '•••\nz**@***.example',
      ],
      ['select (select email from people where id = 1)', 'z**@***.example'],
      ['select array(select email from people)', ''],
      ['select id, email from people join orders using (id) where id = 1', '1|z**@***.example'],
      ['select first_email()', 'z**@***.example'],
      ['select hello(email) from people where id = 1', ''],
      ['select hello(name) from people where id = 1', 'hello n1'],
      ['select email from reach() where id = 1', 'z**@***.example'],
      ['select 1 @@@ 2', ''],
      ['select any_email(id) from orders', ''],
      ['select hidden()', ''],
      ['select max(email), count(*), count(email) from people', '|3|3'],
      ['select string_agg(email, $$,$$) over () from people where id = 1', ''],
      ['select query from pg_stat_activity where pid = pg_backend_pid()', ''],
      [
        "select histogram_bounds from pg_stats where tablename = 'people' and attname = 'email'",
        '',
      ],
      ['copy (select email, name from people where id = 1) to stdout', 'z**@***.example\tn1'],
      [
        'copy people(id, email) to stdout',
        '1\tz**@***.example\n2\tz**@***.example\n3\tz**@***.example',
      ],
      [
        "copy (select id, nullif(name, name), email from people where id = 1) to stdout with (null 'none')",
        '1\tnone\tnone',
      ],
      [
        "copy (select nullif(email, email), email from people where id = 1) to stdout with (format csv, null 'none')",
        'none,z**@***.example',
      ],
      [
        'prepare p(int) as select email from people where id = $1; execute p(1)',
        'PREPARE\nz**@***.example',
      ],
      [
        'begin; declare c cursor for select upper(email), name from people order by id; fetch 1 from c; commit',
        'BEGIN\nDECLARE CURSOR\n|n1\nCOMMIT',
      ],
      ['select count(*) from people', '3'],
      ['select o.id, o.item from people p join orders o on o.person = p.id where p.id = 1', '1|i1'],
    ] as const
    const answers = await psql(...cases.map(([sql]) => sql))
    for (const [index, [sql, expected]] of cases.entries()) {
      const answer = withoutNotices(answers[index])
      assert.doesNotMatch(answer, secret, sql)
      assert.equal(answer, expected, sql)
    }
  })

  test('who guesses a value as the text of NULL reads the same of every row', async () => {
    const guess = 'zecret1@zorro.example'
    const [answer] = await psql(`copy (select email from people) to stdout with (null '${guess}')`)
    assert.equal(withoutNotices(answer), [guess, guess, guess].join('\n'))
  })

  test('the recording says by which way a masked value came', async () => {
    await psql("select loud, contact as c from contacts where contact <> 'x'")
    const sessions = (await (await gateway.api('GET', '/v1/sessions')).json()) as { id: string }[]
    const path = `/v1/sessions/${sessions[0]?.id}`
    const text = await (await gateway.api('GET', path)).text()
    const via = 'public.people.email → view public.contacts'
    for (const line of [
      `column 1 loud: computed from ${via}, so NULL by guard/mask-people`,
      `column 2 c: ${via} → alias c, masked with partial by guard/mask-people`,
      `WHERE depends on ${via} (inference: observe)`,
    ])
      assert.ok(text.includes(line), `${line}\n${text}`)
    const told = await explain(`${sessions[0]?.id}#1`)
    assert.match(told, /ALLOWED by guard\/mask-people/)
    assert.match(told, /column 2 c: public\.people\.email → view public\.contacts → alias c/)
    assert.match(told, /6 values masked by guard\/mask-people/)
    const [refused = ''] = await psql('create table taken as select email from people')
    const decision = /policy explain (d_\w+)/.exec(refused)?.[1] ?? ''
    assert.match(
      await explain(decision),
      /refused +SP_MASKED_WRITE[^]*to a new table: public\.people\.email/,
    )
  })

  test('masked values are not moved to where no mask covers them', async () => {
    const moving = [
      'insert into scratch select email from people',
      'insert into orders(id, item) select 100 + id, ssn from people',
      'create table taken as select email from people',
      'select email into taken from people',
      'create temp table taken as select upper(email) from people',
      'create materialized view taken as select email from people',
      'create view taken as select email from people',
      'update orders set item = (select ssn from people where people.id = orders.person)',
      'update people set name = email',
      'update people set email = reverse(email)',
      'update people set email = ssn where id = 1',
      'insert into people(id, name) select 50, email from people where id = 1',
      'merge into orders o using people p on o.person = p.id when matched then update set item = p.email',
      "select set_config('application_name', email, false) from people",
      "select pg_notify('news', email) from people",
      'select setval(pg_get_serial_sequence($$orders$$, $$id$$), salary) from people',
      "select lo_from_bytea(0, convert_to(email, 'UTF8')) from people",
      "copy (select email from people) to '/tmp/taken'",
      'alter table people rename column email to other',
      'alter table people rename to others',
      'alter table people set schema pg_catalog',
      'alter table people add column g text generated always as (email) stored',
      'alter table people alter column email type text using ssn',
      'create trigger t after update on orders for each row execute function copy_row()',
      'create rule r as on delete to orders do also insert into scratch select email from people',
      'do $$ begin insert into scratch select email from people; end $$',
      'create function taken() returns text language sql as $$select email from people$$',
      'create or replace function copy_row() returns trigger language plpgsql as $$begin perform email from people; return new; end$$',
      "create function sneaky(text) returns text language plpgsql as $$begin execute 'insert into scratch values ($1)' using $1; return $1; end$$",
      'alter table orders alter column item set default first_email()',
      'alter table orders add column more text default first_email()',
      'create table filled(id int, t text default first_email())',
      'create domain filling as text default first_email()',
      "update people set name = 'x' where id = 1",
      'create table parent(id int, mail text) ; create function f() returns text language sql as $$select 1::text$$; create or replace function hello(text) returns text language sql as $$select email from people$$; insert into scratch select hello(name) from people',
    ]
    await each(moving, /SP_MASKED_WRITE/, secret)
    assert.equal(await gateway.postgres.sql('select count(*) from scratch'), '0')
  })

  test('ways around every mask are refused', async () => {
    const doors = [
      "select pg_read_file('postgresql.conf')",
      "select pg_ls_dir('.')",
      "select lo_export(1, '/tmp/x')",
      "copy scratch from '/etc/hostname'",
      'create server s foreign data wrapper w',
    ]
    await each(doors, /SP_MASK_SIDE_DOOR|SP_MASKED_WRITE/, secret)
  })

  test('an error does not quote a value, whatever its class', async () => {
    const failing = [
      'select email::regclass from people where id = 2',
      'select current_setting(email) from people where id = 2',
      'select email::int from people',
      'alter table people add check (length(email) < 3)',
      "insert into people(id, email) values (9, 'zecret1@zorro.example')",
    ]
    await each(failing, /ERROR/, /zecret\d@/)
  })

  test('what comes late or by itself quotes no value either', async () => {
    const answers = await psql(
      'select email from people where id = 1',
      'listen news',
      "notify news, 'zecret1@zorro.example'",
      'begin; insert into late(email) values (1); insert into late values (1); commit',
      'selct 1',
    )
    assert.match(answers.join('\n'), /notification "news"/)
    assert.match(answers.join('\n'), /violates unique constraint "late_email_key"/)
    assert.match(answers.at(-1) ?? '', /syntax error at or near "selct"/)
    assert.doesNotMatch(answers.join('\n'), /zecret|already exists/)
  })

  test('what somebody else changes past the gateway counts from the next statement on', async () => {
    const client = new pg.Client({
      connectionString: await gateway.url({ allow: 'shop:*,unknown', query: 'sslmode=no-verify' }),
    })
    await client.connect()
    const ask = async (sql: string): Promise<unknown> =>
      Object.values(((await client.query(sql)).rows as object[])[0] ?? {})[0]
    const elsewhere = async (sql: string): Promise<string> => await gateway.postgres.sql(sql)
    try {
      assert.equal(await ask('select name from plain where id = 1'), 'n1')
      await elsewhere('create or replace view plain as select id, email as name from people')
      assert.equal(await ask('select name from plain where id = 1'), 'z**@***.example')
      assert.equal(await ask('select upper(name) from plain where id = 1'), null)
      assert.equal(await ask("select hello('x')"), 'hello x')
      await elsewhere(
        `create or replace function hello(text) returns text language sql immutable as 'select max(email) from people'`,
      )
      assert.equal(await ask("select hello('x')"), null)
      await client.query('begin')
      assert.equal(await ask('select stock from orders where id = 1'), 1)
      await elsewhere(
        'drop view plain; create view plain as select id, name from people; create or replace view turned as select id, ssn as name from people',
      )
      assert.equal(await ask('select name from turned where id = 1'), null)
      await client.query('commit')
      assert.equal(await ask('select name from turned where id = 1'), '•••')
      assert.equal(await ask('select name from plain where id = 1'), 'n1')
    } finally {
      await client.end()
      await elsewhere(
        `create or replace function hello(text) returns text language sql immutable as 'select ''hello '' || $1'`,
      )
    }
  })

  test('what does not meet masked columns stays as it is', async () => {
    const cases = [
      ['select * from orders order by id limit 1', '1|1|i1|1'],
      ["insert into orders values (10, 1, 'x', 2) returning *", '10|1|x|2\nINSERT 0 1'],
      ["update orders set item = 'y' where id = 10 returning item", 'y\nUPDATE 1'],
      ['delete from orders where id = 10', 'DELETE 1'],
      ['select stock_of(1)', '1'],
      [
        "begin; create table fresh(id int, t text); insert into fresh values (1, 'a'); select * from fresh; create view over_it as select * from fresh; select * from over_it; rollback",
        'BEGIN\nCREATE TABLE\nINSERT 0 1\n1|a\nCREATE VIEW\n1|a\nROLLBACK',
      ],
      [
        'create table other(id int, t text); create view other_view as select t from other',
        'CREATE TABLE\nCREATE VIEW',
      ],
      [
        "select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace where relname = 'people'",
        'public|people',
      ],
    ] as const
    const answers = await psql(...cases.map(([sql]) => sql))
    for (const [index, [sql, expected]] of cases.entries())
      assert.equal(withoutNotices(answers[index]), expected, sql)
  })

  test('masked columns decide nothing where the rule says block, and are looked up where it says so', async () => {
    await gateway.writePolicy(policy('block'))
    await until(async () => await infers(true))
    const inferring = [
      "select id from people where email like 'z%'",
      'select id from people order by email',
      'select count(*) from people group by email',
      'select distinct email from people',
      'select email from people union select name from people',
      'select o.id from orders o join people p on p.email = o.item',
      'select id from people p join orders o using (id) where p.salary > 71001',
      "select case when email like 'z%' then 1 / 0 else 1 end from people",
      'select row_number() over (order by salary) from people',
      'select id from people limit (select salary from people where id = 1) - 71000',
      'select email::int from people',
      '  select 1 / (salary - 71001) from people',
      'select pg_sleep(0.01) from people where salary > 1',
      'explain select email from people',
      "insert into people(id, email) values (9, 'zecret1@zorro.example')",
      "delete from people where ssn = 'zsn-1'",
      'select generate_series(1, salary) from people',
      'select id from people where exists (select 1 from orders where item = email)',
      'select sum(id) filter (where salary > 71001) from people having max(salary) > 1',
    ]
    await each(inferring, /SP_MASKED_INFERENCE/, /^\d/m)
    const [whole] = await psql('select id, email from people where id = 2 order by name limit 1')
    assert.equal(withoutNotices(whole), '2|z**@***.example')
    await gateway.writePolicy(policy('lookup'))
    await until(async () => await infers(false))
    const [found, guessed] = await psql(
      "select id from people where email = 'zecret2@zorro.example'",
      "select id from people where email > 'zecret2'",
    )
    assert.equal(withoutNotices(found), '2')
    assert.match(guessed ?? '', /SP_MASKED_INFERENCE/)
    await gateway.writePolicy(policy('allow'))
  })
})

async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 100; tries += 1) if (await holds()) return
  throw new Error('the policy did not come')
}

function withoutNotices(text: string | undefined): string {
  return (text ?? 'nothing').replaceAll(/^NOTICE:.*\n?/gm, '').trimEnd()
}

async function run(program: string, args: string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'], timeout: 60_000 })
  let out = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  await new Promise((resolve) => child.on('close', resolve))
  return out
}
