import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** What is told to people and systems about requests for approval: what waits, and what was told. */
export const channelTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table channel_notice (
        id bigint generated always as identity primary key,
        channel text not null,
        kind text not null check (kind in ('requested', 'decided', 'expired', 'withdrawn')),
        tree text not null,
        state text not null check (state in ('waiting', 'delivered', 'dropped')),
        begun_at timestamptz not null,
        due_at timestamptz not null,
        tries integer not null default 0,
        ended_at timestamptz,
        problem text not null default '',
        receipt jsonb)`.execute(db)
    await sql`
      create index channel_notice_due on channel_notice (channel, due_at) where state = 'waiting'`.execute(
      db,
    )
    await sql`
      create index channel_notice_like on channel_notice (channel, tree, kind, begun_at)`.execute(
      db,
    )
    // Each request is told once when it begins and once when it has ended, whatever is tried again.
    await sql`
      create table channel_told (
        channel text not null,
        approval_id text not null references approval (id) on delete cascade,
        phase text not null check (phase in ('requested', 'ended')),
        notice_id bigint not null references channel_notice (id) on delete cascade,
        primary key (channel, approval_id, phase))`.execute(db)
    await sql`create index channel_told_notice on channel_told (notice_id)`.execute(db)
  },
}

/** The last login of each person that the gateway itself has seen, for systems that speak for them. */
export const knownPeople: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table known_person (
        id text primary key check (length(id) <= 2048),
        name text not null,
        groups jsonb not null,
        provider text not null,
        session text,
        confirmed_at timestamptz not null)`.execute(db)
  },
}

/** Which account of a chat is whose, and who holds the socket of a channel. */
export const chatLinks: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table chat_link (
        team text not null check (length(team) <= 64),
        chat_user text not null check (length(chat_user) <= 64),
        principal text not null check (length(principal) <= 2048),
        name text not null,
        linked_at timestamptz not null,
        primary key (team, chat_user))`.execute(db)
    await sql`create index chat_link_principal on chat_link (principal)`.execute(db)
    await sql`
      create table channel_lease (
        channel text primary key,
        holder text not null,
        until_at timestamptz not null)`.execute(db)
  },
}
