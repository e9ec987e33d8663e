import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** What waits to be told to others, how far each of them is, and how far the journals were read for them. */
export const exportTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table export_event (
        id bigint generated always as identity primary key,
        uid text not null unique,
        at timestamptz not null,
        body jsonb not null)`.execute(db)
    await sql`
      create table export_cursor (
        name text primary key,
        position bigint not null,
        since timestamptz not null)`.execute(db)
    await sql`
      create table export_part (
        session_id text not null,
        part text not null,
        worker integer not null,
        run integer not null,
        position integer not null,
        state jsonb,
        primary key (session_id, part))`.execute(db)
  },
}
