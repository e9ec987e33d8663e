import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** What a credential or a ticket was made for stays, and what was used of it is never unused; no record goes with all others. */
export const secretGuards: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create function credential_only_wears() returns trigger language plpgsql as $$
      begin
        if to_jsonb(new) - array['uses', 'pin', 'expires_at']
            is distinct from to_jsonb(old) - array['uses', 'pin', 'expires_at'] then
          raise exception 'what a credential was made for never changes' using errcode = '23514';
        end if;
        if new.uses < old.uses or new.expires_at > old.expires_at
           or old.pin is not null and new.pin is distinct from old.pin then
          raise exception 'a credential only wears off' using errcode = '23514';
        end if;
        return new;
      end $$`.execute(db)
    await sql`
      create trigger credential_only_wears before update on credential
        for each row execute function credential_only_wears()`.execute(db)
    await sql`
      create function ticket_once() returns trigger language plpgsql as $$
      begin
        if old.redeemed_at is not null
           or to_jsonb(new) - array['redeemed_at', 'redeemed_by']
            is distinct from to_jsonb(old) - array['redeemed_at', 'redeemed_by'] then
          raise exception 'a ticket is redeemed once and never changes' using errcode = '23514';
        end if;
        return new;
      end $$`.execute(db)
    await sql`
      create trigger ticket_once before update on ticket
        for each row execute function ticket_once()`.execute(db)
    for (const table of ['agent', 'budget', 'agent_event', 'revocation']) {
      await sql`
        create trigger ${sql.ref(`${table}_not_emptied`)} before truncate on ${sql.table(table)}
          for each statement execute function record_stays()`.execute(db)
    }
  },
}
