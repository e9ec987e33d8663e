import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Handles that are bound to a key, the networks that they were used from, and proofs that were taken. */
export const handleTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      alter table agent_handle
        add column bound_to text,
        add column networks text[] not null default '{}'`.execute(db)
    await sql`
      create table dpop_proof (id text primary key, forget_at timestamptz not null)`.execute(db)
    await sql`create index dpop_proof_forget on dpop_proof (forget_at)`.execute(db)
    await sql`
      create function handle_stays_bound() returns trigger language plpgsql as $$
      begin
        if to_jsonb(new) - 'networks' is distinct from to_jsonb(old) - 'networks' then
          raise exception 'what a handle was made for never changes' using errcode = '23514';
        end if;
        return new;
      end $$`.execute(db)
    await sql`
      create trigger handle_stays_bound before update on agent_handle
        for each row execute function handle_stays_bound()`.execute(db)
  },
}
