import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { skipReason, startPostgres, type TestPostgres } from '@sallyport/testkit'
import type { ConnectionConfig } from '../../../boundary/snapshot.ts'
import { readCatalog, type Catalog } from './catalog.ts'
import { SqlClassifier } from './classify/classify-sql.ts'
import type { Classified } from './classify/classified.ts'

/** Every way below ends in `wipe`, which deletes all of `kept`. `pure` says that it is immutable, so that it may stand in an index. */
const seed = `
  create table kept(n int); insert into kept values (1);
  create function wipe() returns int language plpgsql as $$ begin delete from public.kept; return 1; end $$;
  create function pure(int) returns int language plpgsql immutable as $$ begin perform public.wipe(); return $1; end $$;
  create function holds(int) returns bool language plpgsql immutable as $$ begin perform public.wipe(); return true; end $$;

  create function in_sql() returns int language sql as 'delete from kept; select 1';
  create function in_atomic() returns int begin atomic delete from kept; select 1; end;
  create function in_return() returns int return wipe();
  create function in_default(int default wipe()) returns int language sql as 'select $1';
  create function in_nested() returns int language sql as 'select in_sql()';
  create function in_if() returns int language plpgsql as $$ begin if wipe() = 1 then return 1; end if; return 2; end $$;
  create function in_assignment() returns int language plpgsql as $$ declare n int; begin n := wipe(); return n; end $$;
  create function in_declare() returns int language plpgsql as $$ declare n int := wipe(); begin return n; end $$;
  create function in_loop() returns int language plpgsql as $$ declare r record; begin for r in delete from kept returning n loop null; end loop; return 1; end $$;
  create function in_query() returns setof int language plpgsql as $$ begin return query delete from kept returning n; end $$;
  create function in_handler() returns int language plpgsql as $$ begin perform 1/0; return 1; exception when others then delete from kept; return 2; end $$;
  create function in_execute() returns int language plpgsql as $$ begin execute 'delete from public.kept'; return 1; end $$;
  create function in_format() returns int language plpgsql as $$ begin execute format('delete from %I', 'kept'); return 1; end $$;
  create function in_open() returns int language plpgsql as $$ declare c refcursor; n int; begin open c for execute 'delete from kept returning ' || 'n'; fetch c into n; return n; end $$;
  create function in_case() returns int language plpgsql as $$ begin case wipe() when 1 then return 1; else return 2; end case; end $$;
  create function in_raise() returns int language plpgsql as $$ begin raise notice '%', wipe(); return 1; end $$;
  create function in_definer() returns int language sql security definer set search_path = public as 'delete from kept; select 1';
  create function of_row(kept) returns int language sql as 'select wipe()';
  create procedure in_procedure() language plpgsql as $$ begin delete from kept; end $$;

  create function trigger_wipes() returns trigger language plpgsql as $$ begin perform wipe(); return coalesce(new, old); end $$;
  create table triggered(n int primary key); insert into triggered values (7);
  create trigger t before insert or delete on triggered for each row execute function trigger_wipes();
  create table upserted(n int primary key); insert into upserted values (7);
  create trigger t before update on upserted for each row execute function trigger_wipes();
  create table truncated(n int);
  create trigger t before truncate on truncated execute function trigger_wipes();
  create table conditional(n int);
  create function trigger_idle() returns trigger language plpgsql as $$ begin return new; end $$;
  create trigger t after insert on conditional for each row when (holds(new.n)) execute function trigger_idle();
  create table parent(n int) partition by range (n);
  create table child partition of parent for values from (0) to (100);
  create trigger t before insert on child for each row execute function trigger_wipes();
  create table above(n int);
  create table below() inherits (above); insert into below values (1);
  create trigger t before update on below for each row execute function trigger_wipes();
  create view shown as select n from triggered;
  create view replaced as select 1 as n;
  create trigger t instead of insert on replaced for each row execute function trigger_wipes();
  create table ruled(n int);
  create rule r as on insert to ruled do also delete from kept;
  create table owner_row(n int primary key); insert into owner_row values (1);
  create table owned_row(n int references owner_row on delete cascade on update set null); insert into owned_row values (1);
  create trigger t before delete on owned_row for each row execute function trigger_wipes();
  create trigger u before update on owned_row for each row execute function trigger_wipes();

  create function op(int, int) returns bool language sql as 'select wipe() = 1';
  create operator ### (leftarg = int, rightarg = int, function = op);
  create type pair as (a int);
  create function pair_text(pair) returns text language sql as 'select wipe()::text';
  create cast (pair as text) with function pair_text(pair);
  create type solo as (a int);
  create function solo_int(solo) returns int language sql as 'select wipe()';
  create cast (solo as int) with function solo_int(solo) as assignment;
  create table solos(s solo); insert into solos values (row(2));
  create domain checked as int check (holds(value));
  create domain twice as checked;
  create type composed as (a checked);
  create table of_domain(n checked);
  create function wants_domain(checked) returns int language plpgsql as $$ begin return 1; end $$;
  create table with_default(n int, m int default wipe());
  create table with_check(n int check (holds(n)));
  create table with_index(n int); create index on with_index ((pure(n)));
  create table with_partial(n int); create index on with_partial (n) where holds(n);
  create table generated(n int, m int generated always as (pure(n)) stored);
  create view calling as select wipe() as n;
  create view over_calling as select n from calling;
  create materialized view made as select 1 as n where holds(1) with no data;
  create function add_state(int, int) returns int language sql as 'select wipe()';
  create aggregate adds(int) (sfunc = add_state, stype = int, initcond = '0');
  create function of_ddl() returns event_trigger language plpgsql as $$ begin perform public.wipe(); end $$;
`

const plainSeed = `
  create table stamped(n serial primary key, at timestamptz default now(), total int check (total > 0), twice int generated always as (total * 2) stored);
  create function stamp() returns trigger language plpgsql as $$ begin if new.at is null then new.at := now(); end if; return new; end $$;
  create trigger stamp before insert or update on stamped for each row execute function stamp();
  create view totals as select date_trunc('day', at) as day, sum(total) as total from stamped group by 1;
  create function total_of(int) returns int language sql stable as 'select total from stamped where n = $1';
  create function fresh(n int) returns int language plpgsql as $$ declare t stamped%rowtype; begin select * into t from stamped s where s.n = fresh.n; return t.total; end $$;
  create type couple as (a int);
`

/** Each deletes the row of `kept`, and none says so. */
const ways: readonly string[] = [
  'select wipe()',
  'select in_sql()',
  'select in_atomic()',
  'select in_return()',
  'select in_default()',
  'select in_nested()',
  'select in_if()',
  'select in_assignment()',
  'select in_declare()',
  'select in_loop()',
  'select in_query()',
  'select * from in_query()',
  'select in_handler()',
  'select in_execute()',
  'select in_format()',
  'select in_open()',
  'select in_case()',
  'select in_raise()',
  'select in_definer()',
  'select k.of_row from kept k',
  'call in_procedure()',
  'do $$ begin perform in_sql(); end $$',
  'do $$ begin delete from kept; end $$',
  "do 'begin execute ''delete from kept''; end'",
  "do $$ begin execute 'dele' || 'te from kept'; end $$",
  'select 1 where pure(1) = 1',
  'select count(*) from kept having pure(1) = 1',
  'select 1 order by wipe()',
  'values (wipe())',
  'select array(select wipe())',
  'explain analyze select wipe()',
  'with w as (select wipe()) select * from w',
  'create temp table copied as select wipe()',
  'insert into triggered values (1)',
  'delete from triggered',
  'delete from shown',
  'insert into triggered select 2 where true',
  'with i as (insert into triggered values (3) returning n) select * from i',
  'insert into upserted values (7) on conflict (n) do update set n = 8',
  'merge into upserted u using (select 7 as n) s on u.n = s.n when matched then update set n = 9',
  'truncate truncated',
  'insert into conditional values (1)',
  'insert into parent values (1)',
  'update above set n = 2',
  'insert into replaced values (1)',
  'insert into ruled values (1)',
  'delete from owner_row',
  'update owner_row set n = 2',
  'select 1 ### 2',
  'select 1 operator(public.###) 2',
  'select 1 where 1 ### any (array[2])',
  'select row(1)::pair::text',
  'insert into above select row(1)::solo',
  'insert into solos values (row(1)::solo); insert into above select s from solos s',
  'insert into above select s from solos s',
  'select 1::checked',
  'select 1::twice',
  'select array[1]::checked[]',
  "select '(1)'::composed",
  'select wants_domain(1)',
  'insert into of_domain values (1)',
  'insert into with_default(n) values (1)',
  'insert into with_check values (1)',
  'insert into with_index values (1)',
  'insert into with_partial values (1)',
  'insert into generated values (1)',
  'select * from calling',
  'select * from over_calling',
  'refresh materialized view made',
  'select adds(n) from kept',
  'create function late() returns int language sql as $$ delete from kept; select 1 $$; select late()',
  'create function late() returns int language sql as $$ delete from kept; select 1 $$; select public.late()',
  'create or replace function op(int, int) returns bool language sql as $$ delete from kept; select true $$; select 1 ### 2',
  'create trigger late before insert on with_check for each row execute function trigger_wipes(); insert into with_check values (2)',
  'create event trigger late on ddl_command_end execute function of_ddl(); create table more(n int)',
]

/** What an application does all day: nothing about it is unknown, and nothing is deleted. */
const benign: readonly (readonly [statement: string, effectClass: string])[] = [
  ['insert into stamped (total) values (1)', 'write'],
  ['update stamped set total = 2 where n = 1', 'write'],
  ['insert into stamped (total) values (1) on conflict (n) do update set total = 3', 'write'],
  ['select * from totals where total > 1 order by day', 'read'],
  ['select total_of(1)', 'read'],
  ['select fresh(1)', 'read'],
  ['select distinct total, n from stamped union select 1, 2 order by 1', 'read'],
  ['select 1::text, now()::date', 'read'],
  [
    'do $$ declare n int := 1; begin for i in 1..3 loop n := n + i; end loop; raise notice $m$%$m$, n; end $$',
    'read',
  ],
  ['select row(1)::couple', 'read'],
]

/** A cast that deletes, and statements in which no value of its type can be. */
const castSeed = `create table pairs(c couple, t text); create table words(w text);
  create function couple_text(couple) returns text language sql as $$ delete from stamped; select 'x' $$;
  create cast (couple as text) with function couple_text(couple) as assignment;`
const castless: readonly (readonly [statement: string, effectClass: string])[] = [
  ['select 1 + 1, version()', 'read'],
  ['values (1)', 'read'],
  ["select 'a'::text", 'read'],
  ["insert into words values ('1')", 'write'],
  ['select c from pairs', 'read'],
]

suite('code that the target keeps', { skip: skipReason(), timeout: 120_000 }, () => {
  let postgres: TestPostgres
  let catalog: Catalog
  let classifier: SqlClassifier
  before(async () => {
    classifier = await SqlClassifier.create()
    postgres = await startPostgres()
  })
  after(async () => {
    await classifier.close()
    await postgres.stop()
  })

  const seedWith = async (text: string, generation: number): Promise<void> => {
    await postgres.sql(text)
    catalog = await readCatalog(configOf(postgres), postgres.database, generation)
  }
  const classify = (text: string): Classified =>
    classifier.classify(text, catalog.view(true, new Set()))

  suite('of an application', () => {
    before(async () => await seedWith(plainSeed, 1))

    for (const [statement, effectClass] of benign) {
      test(`is what it looks like: ${statement}`, async () => {
        await postgres.sql(`begin; ${statement}`)
        const { effects } = classify(statement)
        assert.deepEqual(
          [effects.class, effects.opaque, effects.classes.includes('delete')],
          [effectClass, [], false],
        )
      })
    }
  })

  suite('behind a cast', () => {
    before(async () => await seedWith(castSeed, 3))

    test('runs where a value of its type can be, and nowhere else', () => {
      for (const [statement, effectClass] of castless)
        assert.equal(classify(statement).effects.class, effectClass, statement)
      for (const statement of [
        'select c::text from pairs',
        'insert into words select c from pairs',
        'insert into words values ($1)',
      ])
        assert.ok(classify(statement).effects.classes.includes('delete'), statement)
    })
  })

  suite('that does harm', () => {
    before(async () => await seedWith(seed, 2))

    for (const statement of ways) {
      test(`says that it deletes, or that nobody knows: ${statement}`, async () => {
        const left = await postgres.sql(`begin; ${statement}; select 'left ' || count(*) from kept`)
        assert.match(left, /^left 0$/m, 'the target itself does not delete')
        const { effects } = classify(statement)
        const isTold =
          effects.classes.includes('delete') &&
          effects.sql?.writes.some((name) => name.join('.') === 'public.kept') === true
        assert.ok(isTold || effects.class === 'unknown', JSON.stringify(effects))
      })
    }

    test('functions are told that no name stands for in the text', () => {
      for (const [statement, name] of [
        ['select 1 ### 2', 'public.op'],
        ['select k.of_row from kept k', 'public.of_row'],
        ['select s::int from solos s', 'public.solo_int'],
      ] as const)
        assert.ok(classify(statement).effects.sql?.functions.includes(name), statement)
    })

    test('most of it is told, not refused as unknown', () => {
      const unknown = ways.filter((statement) => classify(statement).effects.class === 'unknown')
      assert.deepEqual(unknown, [
        'select in_format()',
        'select in_open()',
        "do $$ begin execute 'dele' || 'te from kept'; end $$",
      ])
    })
  })
})

function configOf(postgres: TestPostgres): ConnectionConfig {
  return {
    name: 'shop',
    type: 'postgres',
    labels: {},
    target: { host: postgres.host, port: postgres.port },
    login: { user: postgres.user, password: postgres.password },
    database: postgres.database,
    tls: { mode: 'off' },
    notices: 'auto',
    responses: 'none',
    trustedFunctions: [],
    masking: 'lineage',
    holdMaxMs: 86_400_000,
    holdInTransactionMaxMs: 60_000,
  }
}
