import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Requests for approval, and who answered them. */
export const approvalTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table approval (
        id text primary key,
        state text not null check (
          state in ('pending', 'approved', 'used', 'denied', 'expired', 'withdrawn')),
        wait text not null check (wait in ('hold', 'return')),
        session_id text not null,
        agent_id text not null,
        root_id text not null,
        connection text not null,
        binding text not null,
        asked jsonb not null,
        asked_at timestamptz not null,
        until_at timestamptz not null,
        ended_at timestamptz,
        note text not null default '')`.execute(db)
    // A command that comes again finds what was answered for it, and only one of its kind waits.
    await sql`
      create unique index approval_binding on approval (binding)
        where wait = 'return' and state in ('pending', 'approved')`.execute(db)
    await sql`create index approval_asked on approval (asked_at desc)`.execute(db)
    await sql`
      create table approval_answer (
        approval_id text not null references approval (id) on delete cascade,
        approver_id text not null,
        approver jsonb not null,
        answer text not null check (answer in ('approve', 'deny')),
        note text not null,
        at timestamptz not null,
        primary key (approval_id, approver_id))`.execute(db)
  },
}

/** What a command would have done, and how others of its shape were decided. */
export const previewColumns: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`alter table approval add column preview jsonb`.execute(db)
    await sql`create index approval_shape on approval ((asked ->> 'shape'), connection)`.execute(db)
  },
}

/** Glasses that were broken, and the incidents that they opened. */
export const breakGlassTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table break_glass (
        id text primary key,
        grant_name text not null,
        by_whom jsonb not null,
        agent_id text not null,
        connections jsonb not null,
        reason text not null check (reason <> ''),
        incident_id text not null references incident (id),
        opened_at timestamptz not null,
        until_at timestamptz not null,
        uses integer not null,
        skipped jsonb not null,
        ended_at timestamptz,
        why text not null)`.execute(db)
    await sql`alter table incident add column glass jsonb`.execute(db)
  },
}

/** How long commands on a connection may wait for an approval. */
export const holdColumns: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      alter table connection
        add column hold_max_ms integer not null default 86400000,
        add column hold_in_transaction_max_ms integer not null default 60000`.execute(db)
  },
}

/** Shapes of commands that are let through for a while. */
export const shapeTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table approved_shape (
        id text primary key references approval (id) on delete cascade,
        rules text not null,
        by_names jsonb not null,
        since timestamptz not null,
        until_at timestamptz not null,
        uses integer not null,
        ended_at timestamptz,
        why text not null)`.execute(db)
  },
}
