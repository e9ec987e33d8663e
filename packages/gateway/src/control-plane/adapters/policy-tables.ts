import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Every set of policies that was in force stays, since decisions name it; and a decision is found by its id. */
export const policyTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table policy_version (
        version integer primary key check (version > 0),
        digest text not null,
        author text not null,
        loaded_at timestamptz not null,
        policies jsonb not null,
        files jsonb not null)`.execute(db)
    await sql`
      create trigger policy_version_stays before update or delete on policy_version
        for each statement execute function record_stays()`.execute(db)
    await sql`alter table command add column decision text collate "C" not null default ''`.execute(
      db,
    )
    await sql`create index command_decision on command (decision) where decision <> ''`.execute(db)
  },
}
