import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Budgets that are taken from those above at birth, and ends that an agent above puts off: still only within the parent. */
export const birthTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`alter table budget add column reserved boolean not null default false`.execute(db)
    await sql`
      create or replace function budget_only_shrinks() returns trigger language plpgsql as $$
      begin
        if tg_op = 'DELETE' then
          raise exception 'a budget is not taken away' using errcode = '23514';
        end if;
        if (new.agent_id, new.kind) is distinct from (old.agent_id, old.kind)
           or new.cap > old.cap or new.reserved and not old.reserved then
          raise exception 'the cap of a budget only shrinks' using errcode = '23514';
        end if;
        return new;
      end $$`.execute(db)
    await sql`
      create or replace function agent_only_narrows() returns trigger language plpgsql as $$
      begin
        if (new.id, new.root_id, new.path, new.depth, new.principal, new.born, new.created_at)
            is distinct from
           (old.id, old.root_id, old.path, old.depth, old.principal, old.born, old.created_at)
           or new.parent_id is distinct from old.parent_id then
          raise exception 'what an agent was born with never changes' using errcode = '23514';
        end if;
        if old.state in ('ended', 'expired', 'revoked')
           and (new.state, new.ended_at) is distinct from (old.state, old.ended_at) then
          raise exception 'the end of an agent is final' using errcode = '23514';
        end if;
        if new.expires_at > old.expires_at and (
            old.state not in ('active', 'frozen') or new.expires_at > coalesce(
              (select expires_at from agent where id = new.parent_id), old.expires_at)) then
          raise exception 'an agent lives no longer than its parent' using errcode = '23514';
        end if;
        if jsonb_array_length(new.layers) < jsonb_array_length(old.layers) or exists (
            select from jsonb_array_elements(old.layers) with ordinality as o(layer, at)
            where new.layers -> (o.at - 1)::int is distinct from o.layer) then
          raise exception 'layers of a grant are only added' using errcode = '23514';
        end if;
        if (new.limits ->> 'detach')::boolean and not (old.limits ->> 'detach')::boolean
           or exists (
            select from unnest(array['depth', 'children', 'agents', 'ttlMs']) as name
            where new.limits ->> name is null
               or (new.limits ->> name)::numeric > (old.limits ->> name)::numeric) then
          raise exception 'limits of an agent only shrink' using errcode = '23514';
        end if;
        if new.on_parent_end = 'detach' and old.on_parent_end = 'end' then
          raise exception 'an agent is detached at birth or never' using errcode = '23514';
        end if;
        return new;
      end $$`.execute(db)
  },
}
