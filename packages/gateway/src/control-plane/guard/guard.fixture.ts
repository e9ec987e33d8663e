import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { type MaskRule, type MaskSet, maskSetOf } from '@sallyport/core'
import type { TestPostgres } from '@sallyport/testkit'
import { GuardNames } from './guard-names.ts'
import { apply, type GuardSubject } from './guard-runs.ts'
import type { GuardState } from './guard-state.ts'
import type { GuardOptions } from './plan-types.ts'
import { maskedPath } from './set-parts.ts'

/** A value that no guarded role may ever see; each place has one of its own. */
export const secrets = {
  email: 'zebra.quagga@example.com',
  ssn: '859-31-7406',
  salary: '84213.77',
  note: 'xylophone',
} as const

/** Tables, views and functions in all the relations that a mask has to follow. */
export const guardSeed = `
create role app login password 'app-password';
create role other login;
create extension if not exists citext;
create schema hr;
create type mood as enum ('calm', 'angry');
create domain code as text check (value ~ '^[a-z]+$') not null;
create table users (id serial primary key, name text, email text unique, ssn varchar(11) not null, salary numeric(10,2),
  born date, seen timestamptz, mood mood, code code, doc jsonb, alias citext, level int2, photo bytea, key uuid,
  upper_email text generated always as (upper(email)) stored, name_length int generated always as (length(name)) stored);
insert into users (name, email, ssn, salary, born, seen, mood, code, doc, alias, level, photo, key) values
  ('Ada', '${secrets.email}', '${secrets.ssn}', ${secrets.salary}, '1971-03-04', '2024-05-06 07:08:09+00', 'angry', 'zebra',
   '"${secrets.email}"', '${secrets.email}', 32767, '\\xdeadbeefdeadbeef', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'),
  ('Bob', null, '123-45-6789', null, 'infinity', '-infinity', null, 'yak', '{"a": 1}', null, -5, null, null);
create table orders (id int primary key, user_id int references users, total numeric(8,2));
insert into orders values (1, 1, 10), (2, 1, 20), (3, 2, 5);
create table hr.people (id int primary key, email text, secret_note text);
insert into hr.people values (1, '${secrets.email}', '${secrets.note}');
create table events (id int, email text, at date) partition by range (id);
create table events_1 partition of events for values from (0) to (100);
insert into events values (1, '${secrets.email}', '2024-01-01');
create table base (id int, label text);
create table heir (email text) inherits (base);
insert into heir values (7, 'x', '${secrets.email}');
create view contacts as select id, name, email as contact, left(email, 3) as part from users;
create view over_contacts as select c.contact, o.total from contacts c join orders o on o.user_id = c.id;
create view totals as select user_id, sum(total) as total from orders group by user_id;
create view mixed as select u.email, p.secret_note from users u join hr.people p on true;
create materialized view mails as select id, email as mail from users;
create materialized view order_copy as select id, total from orders;
create function leak() returns setof text language sql security definer as 'select email from public.users';
create function plain(i int) returns int language sql immutable as 'select i + 1';
create table ruled (id int, email text);
create rule r as on insert to ruled do also select * from users;
create table fired (id int, email text);
create function tell() returns trigger language plpgsql as $$ begin raise notice '%', old.email; return new; end $$;
create trigger tell before update on fired for each row execute function tell();
create function public."odd ""name\\" (x text) returns text language sql as 'select x';
create table "Odd ""T\\" (id int, "E mail" text);
grant usage on schema public, hr to app;
grant select, insert, update, delete on all tables in schema public, hr to app;
grant usage on all sequences in schema public to app;
create table closed (a int);
create table half (a int, b int);
insert into half values (1, 2);
grant select (a) on half to app;
create schema shut;
create table shut.t (a int);
grant select on shut.t to app;
analyze;
`

export const guardMasks: readonly Pick<MaskRule, 'columns' | 'with'>[] = [
  {
    columns: [
      ['*', 'email'],
      ['*', 'alias'],
    ],
    with: 'partial',
  },
  { columns: [['users', 'ssn']], with: 'last4' },
  {
    columns: [
      ['users', 'salary'],
      ['users', 'level'],
    ],
    with: 'round:1000',
  },
  {
    columns: [
      ['users', 'born'],
      ['users', 'seen'],
    ],
    with: 'round:year',
  },
  {
    columns: [
      ['users', 'mood'],
      ['users', 'code'],
      ['users', 'doc'],
      ['users', 'photo'],
    ],
    with: 'redact',
  },
  { columns: [['users', 'key']], with: 'hash' },
  { columns: [['people', 'secret_note']], with: 'block' },
]

export const guardOptions: GuardOptions = { writes: 'none', lookup: undefined, closePublic: true }

export function subjectFor(
  postgres: TestPostgres,
  masks: readonly Pick<MaskRule, 'columns' | 'with'>[] = guardMasks,
): GuardSubject {
  const set = maskSetOf(masks)
  return {
    connection: {
      name: 'shop',
      type: 'postgres',
      labels: {},
      target: { host: '127.0.0.1', port: postgres.port },
      login: { user: 'app', password: 'app-password' },
      database: 'postgres',
      tls: { mode: 'off' },
      notices: 'never',
      responses: 'masked',
      trustedFunctions: [],
      masking: 'lineage',
      holdMaxMs: 86_400_000,
      holdInTransactionMaxMs: 60_000,
    },
    names: new GuardNames(createHash('sha256').update('test').digest(), 'shop'),
    sets: set === undefined ? [] : [set],
  }
}

export async function applied(
  postgres: TestPostgres,
  subject: GuardSubject,
  options: Partial<GuardOptions> = {},
): Promise<{ state: GuardState; notes: readonly string[] }> {
  const setup = { user: 'postgres', password: postgres.password }
  return await apply(subject, { ...guardOptions, ...options }, setup, () => undefined)
}

/** Runs psql as a guarded role, with the search path that the gateway gives it. */
export async function asGuarded(
  postgres: TestPostgres,
  subject: GuardSubject,
  state: GuardState,
  sql: string,
  set: Pick<MaskSet, 'id'> | undefined = subject.sets[0],
): Promise<{ out: string; err: string }> {
  const id = set?.id ?? ''
  const schemas = state.sets.find((each) => each.id === id)?.schemas ?? {}
  const path = maskedPath(schemas, ['public', 'hr'])
  const { promise, resolve } = Promise.withResolvers<{ out: string; err: string }>()
  const env = {
    ...process.env,
    PGPASSWORD: subject.names.password(id),
    PGOPTIONS: `-c search_path=${path.join(',')}`,
  }
  const address = ['-h', '127.0.0.1', '-p', String(postgres.port), '-U', subject.names.login(id)]
  execFile('psql', ['-XAt', ...address, '-d', 'postgres', '-c', sql], { env }, (_error, out, err) =>
    resolve({ out, err }),
  )
  return await promise
}
