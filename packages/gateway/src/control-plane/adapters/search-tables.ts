import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** The index of what was run. It holds nothing that is not recorded, and is made again from the recordings where it is lost. */
export const searchTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    // A day is a partition, so that forgetting one costs no scan.
    await sql`
      create table command (
        at timestamptz not null,
        session_id text not null,
        part text not null,
        seq integer not null,
        id text not null,
        verdict text not null check (verdict in ('allowed', 'held', 'blocked')),
        rules text[] not null,
        class text not null,
        verb text not null,
        objects jsonb not null,
        text text not null,
        text_bytes integer not null,
        status text,
        code text,
        rows bigint not null,
        bytes bigint not null,
        columns text[] not null,
        masks text[] not null,
        mask_values bigint[] not null,
        terms text[] not null,
        primary key (session_id, part, seq, at)) partition by range (at)`.execute(db)
    await sql`create index command_at on command (at)`.execute(db)
    await sql`create index command_terms on command using gin (terms) with (gin_pending_list_limit = 256)`.execute(
      db,
    )
    await sql`create index command_rows on command (rows) where rows >= 100`.execute(db)
    await sql`create index command_bytes on command (bytes) where bytes >= 100000`.execute(db)
    await sql`
      create table command_day (
        day date primary key,
        commands bigint not null,
        analyzed bigint not null default 0)`.execute(db)
    await sql`
      create table search_term (term text collate "C" primary key, parts text[])`.execute(db)
    await sql`
      create table indexed_part (
        session_id text not null,
        part text not null,
        worker integer not null,
        run integer not null,
        position integer not null,
        problem text,
        primary key (session_id, part))`.execute(db)
    await sql`create index indexed_part_run on indexed_part (worker, run)`.execute(db)
    // What was recorded before there was an index is read once.
    await sql`insert into setting (name, value) values ('search.rebuild', '"resume"')`.execute(db)
    await indexTexts(db)
  },
}

/** Words of sessions stand with the sessions, and no longer with each of their commands. */
export const sessionWords: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`alter table session add column terms text[] not null default '{}'`.execute(db)
    // As `sessionTerms` makes them.
    await sql`
      update session set terms = array(
        select distinct left(word, 2) || left(substr(word, 3), 250) from unnest(
          array['c:' || connection, 'l:' || coalesce(level, 0), 'u:' || path[1], 'U:' || (chain ->> 0),
            'g:' || path[cardinality(path)], 'G:' || (chain ->> -1)]
          || array(select 't:' || id from unnest(path) as id)
          || array(select 'T:' || name from jsonb_array_elements_text(chain) as name)) as word
        where word is not null)`.execute(db)
    await sql`create index session_terms on session using gin (terms) with (fastupdate = off)`.execute(
      db,
    )
    // By time within a session, so that its newest commands are found without reading the others.
    await sql`
      alter table command drop constraint command_pkey,
        add primary key (session_id, at, part, seq)`.execute(db)
  },
}

/** Makes the index for parts of texts where the server has pg_trgm; without it such searches read all texts of their time. */
async function indexTexts(db: Kysely<unknown>): Promise<void> {
  await sql`
    do $$ begin
      create extension if not exists pg_trgm;
      create index command_text on command using gin (text gin_trgm_ops) with (gin_pending_list_limit = 256);
    exception
      when insufficient_privilege or undefined_file or undefined_object or feature_not_supported then null;
    end $$`.execute(db)
}
