import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** What identity providers report: each signal once, and from when on logins have to be newer. */
export const signalTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table signal_event (
        source text not null check (length(source) <= 512),
        id text not null check (length(id) <= 512),
        provider text not null,
        kind text not null,
        signal jsonb not null,
        received_at timestamptz not null,
        applied_at timestamptz,
        result jsonb,
        primary key (source, id),
        check ((applied_at is null) = (result is null)))`.execute(db)
    await sql`create index signal_event_received on signal_event (received_at desc)`.execute(db)
    await sql`create index signal_event_waits on signal_event (received_at) where applied_at is null`.execute(
      db,
    )
    await sql`
      create table login_floor (
        subject text primary key check (length(subject) <= 2048),
        at timestamptz not null,
        why text not null)`.execute(db)
    await sql`
      create table login_session (
        agent_id text primary key references agent (id),
        session text not null check (length(session) <= 2048))`.execute(db)
    await sql`create index login_session_session on login_session (session)`.execute(db)
    await guard(db)
    await directory(db)
  },
}

/** People and groups as a provider keeps them here by SCIM. `issuer` is the provider's own name, which outlives that of its object. */
async function directory(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table scim_user (
      issuer text not null,
      id text not null,
      user_name text not null check (length(user_name) <= 512),
      external_id text check (length(external_id) <= 512),
      names text[] not null,
      active boolean not null,
      attributes jsonb not null,
      created_at timestamptz not null,
      changed_at timestamptz not null,
      primary key (issuer, id))`.execute(db)
  await sql`create unique index scim_user_name on scim_user (issuer, lower(user_name))`.execute(db)
  await sql`create index scim_user_external on scim_user (issuer, external_id)`.execute(db)
  await sql`create index scim_user_names on scim_user using gin (names)`.execute(db)
  await sql`
    create table scim_group (
      issuer text not null,
      id text not null,
      display_name text not null check (length(display_name) <= 512),
      external_id text check (length(external_id) <= 512),
      created_at timestamptz not null,
      changed_at timestamptz not null,
      primary key (issuer, id))`.execute(db)
  await sql`create index scim_group_name on scim_group (issuer, display_name)`.execute(db)
  await sql`
    create table scim_member (
      issuer text not null,
      group_id text not null,
      user_id text not null,
      primary key (issuer, group_id, user_id),
      foreign key (issuer, group_id) references scim_group (issuer, id) on delete cascade,
      foreign key (issuer, user_id) references scim_user (issuer, id) on delete cascade)`.execute(
    db,
  )
  await sql`create index scim_member_user on scim_member (issuer, user_id)`.execute(db)
}

/** A signal that was forgotten could be played again, and one that was acted upon says for ever what it did. */
async function guard(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function signal_event_once() returns trigger language plpgsql as $$
    begin
      if tg_op = 'UPDATE' and old.applied_at is null
         and to_jsonb(new) - array['applied_at', 'result']
           = to_jsonb(old) - array['applied_at', 'result'] then
        return new;
      end if;
      raise exception 'what was recorded stays' using errcode = '23514';
    end $$`.execute(db)
  await sql`
    create trigger signal_event_once before update or delete on signal_event
      for each row execute function signal_event_once()`.execute(db)
  await sql`
    create trigger signal_event_not_emptied before truncate on signal_event
      for each statement execute function record_stays()`.execute(db)
  await sql`
    create function login_floor_only_rises() returns trigger language plpgsql as $$
    begin
      if new.subject <> old.subject or new.at < old.at then
        raise exception 'a login that was taken back stays taken back' using errcode = '23514';
      end if;
      return new;
    end $$`.execute(db)
  await sql`
    create trigger login_floor_only_rises before update on login_floor
      for each row execute function login_floor_only_rises()`.execute(db)
}
