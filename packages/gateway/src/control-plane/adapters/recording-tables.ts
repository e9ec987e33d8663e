import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** How far each part of a recording is in the recording store: what a restart goes on from. */
export const recordingTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table recording_part (
        session_id text not null,
        part text not null,
        worker integer not null,
        run integer not null,
        reference bigint not null,
        shipped integer not null check (shipped >= 0),
        segments integer not null check (segments >= 0),
        bytes bigint not null,
        head text not null,
        previous text not null,
        anchor_first integer,
        anchor_last integer,
        problems jsonb not null,
        sealed_at timestamptz,
        primary key (session_id, part))`.execute(db)
    await sql`create index recording_part_run on recording_part (worker, run)`.execute(db)
  },
}
