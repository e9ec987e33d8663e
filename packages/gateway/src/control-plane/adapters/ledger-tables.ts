import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** The index of ledgers. It holds nothing that they do not, and is made again from them. */
export const ledgerTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table fact (
        session_id text not null,
        part text not null,
        position integer not null,
        at timestamptz not null,
        what text not null,
        by_kind text not null,
        actor text not null,
        chain text[] not null,
        path text[] not null,
        subject text not null,
        source text not null,
        detail jsonb not null,
        primary key (session_id, part, position))`.execute(db)
    await sql`create index fact_at on fact (at, session_id, position)`.execute(db)
    await sql`create index fact_subject on fact (subject, at)`.execute(db)
    await sql`create index fact_path on fact using gin (path)`.execute(db)
  },
}
