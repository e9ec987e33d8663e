import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** What keeps recordings from being erased, and which are being erased. */
export const retentionTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table legal_hold (
        id text primary key,
        kind text not null check (kind in ('session', 'tree')),
        subject text not null,
        reason text not null,
        by_name text not null,
        at timestamptz not null)`.execute(db)
    await sql`
      create table erasure (session_id text primary key, at timestamptz not null)`.execute(db)
    await sql`create index session_closed on session (closed_at) where closed_at is not null`.execute(
      db,
    )
  },
}
