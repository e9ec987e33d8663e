import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Incidents: what they cover stands here, what happened stands in the recordings. */
export const incidentTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table incident (
        id text primary key,
        title text not null,
        opened_by text not null,
        opened_at timestamptz not null,
        scope_kind text not null check (scope_kind in ('session', 'agent', 'query')),
        scope text not null,
        from_at timestamptz,
        until_at timestamptz,
        sessions text[] not null)`.execute(db)
  },
}

/** When somebody said that an incident is over, and what came of it. */
export const incidentEnds: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      alter table incident add column closed_at timestamptz, add column closed_by text,
        add column close_note text`.execute(db)
  },
}
