import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import type { Ran } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

/** Everything passes but for one table's column and one verb, so that every answer goes by the controls. */
const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: guard}
spec:
  owner: group:test
  rules:
    - name: mask-patients
      on: sql
      when: "true"
      effect: mask
      mask:
        - {columns: ["patients.diagnosis"], with: redact}
    - name: no-truncate
      on: sql
      when: op.verb == "truncate" && "public.patients" in op.objects
      effect: block
      message: "Patients stay."
`

const seed = `
create table patients(id int primary key, diagnosis text);
insert into patients values (1, 'a private matter');
create type mood as enum('sad', 'ok', 'happy');
create table items(
  id int generated always as identity primary key, name text not null default 'it''s', price numeric(10, 2) check (price >= 0),
  data bytea, doc jsonb, tags text[], feeling mood, made timestamptz default '2024-01-02 03:04:05Z');
insert into items(name, price, data, doc, tags, feeling)
  select E'tab\\t back\\\\slash ü€😀 ' || g, g * 1.25, decode(md5(g::text), 'hex'), jsonb_build_object('g', g),
    array['x', E'new\\nline', null], (array['sad', 'ok', 'happy'])[1 + g % 3]::mood from generate_series(1, 400) g;
create table notes(item int references items on delete cascade, body text);
insert into notes select id, null from items where id % 10 = 0;
create index on items using gin(doc);
create unique index notes_item on notes(item) where body is null;
create view dear as select id, name from items where price > 100;
create materialized view totals as select feeling, sum(price) from items group by feeling;
create function twice(int) returns int language sql immutable as 'select $1 * 2';
create trigger same before update on items for each row execute function suppress_redundant_updates_trigger();
create sequence tickets start 7 increment 3;
select nextval('tickets');
comment on table items is 'What there is; with a semicolon';
select lo_from_bytea(4242, '\\x00ff10');
`

suite(
  "PostgreSQL's own programs through the gateway",
  { skip: skipReason(), timeout: 300_000 },
  () => {
    let gateway: TestGateway
    let folder: string
    before(async () => {
      gateway = await startTestGateway({ policy, seed })
      folder = await mkdtemp(join(tmpdir(), 'sallyport-tools-'))
    })
    after(async () => {
      await gateway[Symbol.asyncDispose]()
      await rm(folder, { recursive: true, force: true })
    })

    type Way = 'direct' | 'through'
    const login = async (way: Way): Promise<Record<string, string>> => {
      const { host, port } = gateway.postgres
      if (way === 'direct') {
        const user = { PGUSER: 'app', PGPASSWORD: 'app-password', PGSSLMODE: 'disable' }
        return { PGHOST: host, PGPORT: String(port), ...user }
      }
      const { user, secret } = await gateway.credential()
      const through = { PGUSER: user, PGPASSWORD: secret, PGSSLMODE: 'require' }
      return { PGHOST: host, PGPORT: String(gateway.gateway.ports.postgres), ...through }
    }
    const run = async (way: Way, program: string, ...args: string[]): Promise<Ran> =>
      await runProgram(program, args, await login(way))

    /** Fails with what the program said, unless it ended well. */
    const succeed = async (way: Way, program: string, ...args: string[]): Promise<string> => {
      const { out, err, code } = await run(way, program, ...args)
      assert.equal(code, 0, `${program} ${args.join(' ')} (${way}): ${err}`)
      return out
    }
    const makeDatabase = async (name: string): Promise<string> => {
      await gateway.postgres.sql(`create database ${name}`)
      return name
    }
    const dump = async (way: Way, ...args: string[]): Promise<string> =>
      withoutKeys(await succeed(way, 'pg_dump', ...args))

    test('pg_dump writes the same script, as COPY and as INSERT', async () => {
      for (const args of [[], ['--inserts'], ['--column-inserts', '--data-only']]) {
        const plain = [...args, '--exclude-table-data=patients', 'postgres']
        const direct = await dump('direct', ...plain)
        assert.ok(direct.includes('ü€😀 400'), 'the dump holds the rows')
        assert.equal(await dump('through', ...plain), direct)
      }
    })

    test('pg_dump of a masked table writes it masked', async () => {
      const script = await dump('through', '-t', 'patients', 'postgres')
      assert.match(script, /^1\t/m)
      assert.ok(!script.includes('private matter'))
      assert.ok((await dump('direct', '-t', 'patients', 'postgres')).includes('private matter'))
    })

    test('an archive of pg_dump is restored by pg_restore through the gateway as it is direct', async () => {
      const restored = new Map<Way, string>()
      for (const way of ['direct', 'through'] as const) {
        const archive = join(folder, `${way}.dump`)
        const source = ['--exclude-table-data=patients', 'postgres']
        await succeed(way, 'pg_dump', '-Fc', '-f', archive, ...source)
        const database = await makeDatabase(`restored_${way}`)
        await succeed(way, 'pg_restore', '--exit-on-error', '-d', database, archive)
        restored.set(way, await dump('direct', database))
      }
      assert.ok(restored.get('direct')?.includes('ü€😀 400'))
      assert.equal(restored.get('through'), restored.get('direct'))
    })

    test('pg_restore works in one transaction and over what is there', async () => {
      const archive = join(folder, 'again.dump')
      await succeed('direct', 'pg_dump', '-Fc', '-f', archive, '-t', 'items', 'postgres')
      const listed = await succeed('through', 'pg_restore', '-l', archive)
      assert.match(listed, /TABLE DATA public items/)
      const restored = new Map<Way, string>()
      for (const way of ['direct', 'through'] as const) {
        const database = await makeDatabase(`again_${way}`)
        const type = `create type mood as enum('sad', 'ok', 'happy')`
        await succeed('direct', 'psql', '-Xq', '-d', database, '-c', type)
        for (let round = 0; round < 2; round += 1) {
          const how = ['--single-transaction', '--clean', '--if-exists']
          await succeed(way, 'pg_restore', ...how, '-d', database, archive)
        }
        restored.set(way, await dump('direct', database))
      }
      assert.equal(restored.get('through'), restored.get('direct'))
    })

    test('pgbench fills its tables and runs in each mode to the same end', async () => {
      const ends = new Map<Way, string>()
      for (const way of ['direct', 'through'] as const) {
        const database = await makeDatabase(`bench_${way}`)
        await succeed(way, 'pgbench', '-i', '-s', '1', '-q', '--foreign-keys', database)
        const filled = await dump('direct', database)
        for (const mode of ['simple', 'extended', 'prepared']) {
          // One seed and one session make the same changes whenever they run.
          const fixed = ['-M', mode, '-n', '-c', '1', '-t', '50', '--random-seed=7']
          const out = await succeed(way, 'pgbench', ...fixed, database)
          assert.match(out, /actually processed: 50\/50\nnumber of failed transactions: 0 /)
        }
        const end = await dump('direct', '--exclude-table-data=pgbench_history', database)
        const history = 'select tid, bid, aid, delta from pgbench_history order by 1, 2, 3, 4'
        const changes = await succeed('direct', 'psql', '-XAt', '-d', database, '-c', history)
        assert.equal(changes.trim().split('\n').length, 150)
        ends.set(way, filled + end + changes)
      }
      assert.ok(ends.get('through') === ends.get('direct'), 'the databases are the same')
    })

    test('pgbench with many sessions, threads and a script of its own loses no transaction', async () => {
      const database = await makeDatabase('bench_many')
      await succeed('through', 'pgbench', '-i', '-s', '1', '-q', database)
      const script = join(folder, 'own.sql')
      await writeFile(
        script,
        `\\set aid random(1, 1000)
begin;
select abalance from pgbench_accounts where aid = :aid \\gset
update pgbench_accounts set abalance = :abalance + 1 where aid = :aid;
insert into pgbench_history(tid, bid, aid, delta, mtime) values (:client_id, 1, :aid, 1, now());
end;
\\startpipeline
select 1;
select :aid;
\\endpipeline
`,
      )
      // The simple protocol has no pipelines.
      await writeFile(`${script}.simple`, withoutPipeline(await readFile(script, 'utf8')))
      for (const mode of ['simple', 'extended', 'prepared']) {
        const file = mode === 'simple' ? `${script}.simple` : script
        const how = ['-M', mode, '-n', '-c', '6', '-j', '2', '-t', '25', '-f', file]
        const out = await succeed('through', 'pgbench', ...how, database)
        assert.match(out, /actually processed: 150\/150\nnumber of failed transactions: 0 /)
      }
      const counted = await succeed(
        'direct',
        'psql',
        '-XAt',
        '-d',
        database,
        '-c',
        'select count(*) from pgbench_history',
      )
      assert.equal(counted.trim(), '450')
    })

    /** Runs the same psql input direct and through the gateway, each in a database of its own, and compares all that is printed. */
    const samePsql = async (name: string, input: string, ...args: string[]): Promise<string> => {
      const printed = new Map<Way, Ran>()
      for (const way of ['direct', 'through'] as const) {
        const database = await makeDatabase(`${name}_${way}`)
        await succeed('direct', 'psql', '-Xq', '-d', database, '-c', psqlSeed)
        const file = join(folder, `${name}.sql`)
        await writeFile(file, input.replaceAll('FOLDER', join(folder, way)))
        const { out, err, code } = await run(way, 'psql', '-X', '-d', database, ...args, '-f', file)
        const own = (text: string): string =>
          text
            .replaceAll(database, 'DATABASE')
            .replaceAll(join(folder, way), 'FOLDER')
            .replaceAll(/with PID \d+/g, 'with PID')
        printed.set(way, { out: own(out), err: own(withoutGreeting(err)), code })
      }
      assert.deepEqual(printed.get('through'), printed.get('direct'))
      return printed.get('direct')?.out ?? ''
    }

    test('psql describes what there is', async () => {
      const out = await samePsql(
        'described',
        String.raw`\d
\d things
\d+ things
\dt+ things
\dv
\df
\dT+ shade
\di
\ds
\du app
\dn+
\l DATABASE
\sf twice
\sv seen
\dp things
\d nothing
\dconfig work_mem
\z things
`,
      )
      assert.match(out, /Table "public.things"/)
    })

    test('psql copies in and out', async () => {
      const out = await samePsql(
        'copied',
        String.raw`\copy (select * from things order by id) to 'FOLDER.txt'
\copy things to 'FOLDER.csv' with (format csv, header, force_quote *)
\copy things to 'FOLDER.bin' with (format binary)
truncate things;
\copy things from 'FOLDER.txt'
select count(*), sum(id), md5(string_agg(name, ',' order by id)) from things;
truncate things;
\copy things from 'FOLDER.csv' with (format csv, header)
select count(*), sum(id), md5(string_agg(name, ',' order by id)) from things;
truncate things;
\copy things from 'FOLDER.bin' with (format binary)
select count(*), sum(id), md5(string_agg(name, ',' order by id)) from things;
copy things(id, name) from stdin;
900	from\tthe script
901	\N
\.
select * from things where id >= 900 order by id;
copy things from stdin;
1	again
\.
copy things from stdin with (format csv);
902,"unfinished
\.
\copy (select id from things where id >= 900 order by id) to stdout
copy (select name from things where id < 4 order by id) to stdout with (format csv, header);
\copy nothing from 'FOLDER.txt'
\copy things from 'FOLDER.missing'
select count(*) from things;
`,
        '-a',
      )
      assert.match(out, /^ *900 \| from +the script/m)
    })

    test('psql runs variables, \\gexec, \\gset, \\gdesc, repetition and formats', async () => {
      const out = await samePsql(
        'varied',
        String.raw`\set who 'it''s "me"'
\set tab things
select :'who' as literal, :"tab".id from :"tab" order by id limit 2;
select format('insert into things values (%s, %L)', 1000 + g, 'made ' || g) from generate_series(1, 5) g \gexec
select count(*) as howmany, max(id) as most from things \gset
\echo :howmany :most
select id, name from things \gdesc
select * from things where id > 1000 order by id \gx
\if :{?most}
  select 'there is one' as answer;
\else
  select 'there is none' as answer;
\endif
\pset format csv
select id, name from things where id > 1003 order by id;
\pset format html
table shades;
\pset format aligned
\x auto
select 1 as a, null as b;
\x off
select 1 \; select 2 \; select 3 as third;
select id, feeling, 1 as n from things join shades using (id) order by id, feeling \crosstabview
\set FETCH_COUNT 3
select id from things order by id limit 10;
\unset FETCH_COUNT
select 'repeated' as what;
\g
\g (format=unaligned)
`,
      )
      assert.match(out, /repeated/)
      assert.match(out, /made 5/)
    })

    test('psql -f runs transactions, savepoints and errors as direct', async () => {
      const input = String.raw`begin;
insert into made values (1, 'one'), (2, 'two') returning *;
savepoint before;
insert into made values (1, 'double');
rollback to before;
update made set note = upper(note) where id = 2 returning note;
declare walk scroll cursor for select id from generate_series(1, 10) id;
fetch 3 from walk;
fetch backward 1 from walk;
move 4 in walk;
fetch all from walk;
close walk;
commit;
begin; insert into made values (3, 'three'); select * from nothing; select 'not run'; rollback;
begin \; insert into made values (4, 'four') \; commit;
prepare find(int) as select note from made where id = $1;
execute find(1);
execute find(4);
deallocate find;
select 1/0;
selct;
set work_mem = '5MB';
show work_mem;
reset work_mem;
explain (costs off) select * from made where id = 1;
analyze made;
lock table made;
listen news;
notify news, 'payload';
unlisten *;
create table made_up as select 1 as one;
drop table if exists made_up;
create table if not exists made(id int);
vacuum made;
discard all;
select * from made order by id;
`
      await samePsql('script', input, '-e')
      await samePsql('one_transaction', input, '-1')
      const stopped = await samePsql('stopped', input, '-v', 'ON_ERROR_STOP=1', '--echo-errors')
      assert.match(stopped, /one/)
    })

    test('psql is refused in the words of the rule in the middle of a script, and goes on', async () => {
      const file = join(folder, 'refused.sql')
      await writeFile(
        file,
        'select 1;\ntruncate patients;\nselect 2;\nselect diagnosis from patients;\n',
      )
      const { out, err } = await run('through', 'psql', '-XAt', '-d', 'postgres', '-f', file)
      assert.match(out, /^1\n2\n(?!.*private)/)
      assert.match(err, /Patients stay\./)
      assert.equal(await gateway.postgres.sql('select count(*) from patients'), '1')
    })
  },
)

const psqlSeed = `
create table things(id int primary key, name text);
insert into things select g, E'thing\\t"' || g || E'"\\\\ ü€😀' from generate_series(1, 50) g;
create type shade as enum('dark', 'light');
create table shades(id int references things on delete cascade, feeling shade);
insert into shades values (1, 'dark'), (2, 'light');
alter table shades drop constraint shades_id_fkey;
create view seen as select id from things;
create function twice(int) returns int language sql immutable as 'select $1 * 2';
create sequence tickets;
comment on table things is 'a comment';
create table made(id int primary key, note text);
`

/** Long enough for a loaded machine; a program that hangs is killed, and its code is then null. */
const programMsMax = 120_000

async function runProgram(
  program: string,
  args: readonly string[],
  login: Readonly<Record<string, string>>,
): Promise<Ran> {
  const env = { ...process.env, PGCONNECT_TIMEOUT: '20', ...login }
  const child = spawn(program, args, {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: programMsMax,
  })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  return { out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString(), code }
}

/** Newer versions of pg_dump guard a script with a random key; it is all that may differ. */
function withoutKeys(script: string): string {
  return script.replaceAll(/^\\(un)?restrict .*\n/gm, '')
}

/** The gateway tells an interactive caller who it is taken for, once. */
function withoutGreeting(text: string): string {
  return text.replace(/^NOTICE: {2}Sallyport: .*\n/, '')
}

function withoutPipeline(script: string): string {
  return script.replaceAll(/^\\(?:start|end)pipeline\n/gm, '')
}
