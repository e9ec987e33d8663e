import { type Kysely, sql } from 'kysely'
import type { Migration } from 'kysely/migration'

/** Agents as a tree with states, limits and budgets. Rows of the version before become root agents of the local owner. */
export const agentTables: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await alterAgents(db)
    await alterCredentials(db)
    await createTables(db)
    await alterSessions(db)
    await guardAgents(db)
    await guardOthers(db)
  },
}

async function alterAgents(db: Kysely<unknown>): Promise<void> {
  await sql`drop index agent_path`.execute(db)
  await sql`
    alter table agent
      alter column path type text[] using string_to_array(path, '.'),
      add column root_id text references agent (id),
      add column owner text,
      add column born text not null default 'login' check (born in
        ('login', 'jwt', 'service', 'mint', 'ticket', 'attach', 'inferred')),
      add column state text not null default 'active' check (state in
        ('active', 'frozen', 'ended', 'expired', 'revoked')),
      add column layers jsonb,
      add column entitlement jsonb not null default '[]',
      add column limits jsonb not null
        default '{"depth": 8, "children": 32, "agents": 500, "ttlMs": 28800000, "detach": false}',
      add column purpose text,
      add column declared jsonb not null default '{}',
      add column birth_key text,
      add column last_beat_at timestamptz,
      add column freezes jsonb not null default '[]',
      add column ended_at timestamptz,
      add column ended_by text,
      add column end_reason text,
      add column on_parent_end text not null default 'end' check (on_parent_end in ('end', 'detach'))`.execute(
    db,
  )
  await sql`
    update agent set root_id = path[1], owner = principal,
      layers = jsonb_build_array(jsonb_build_object('permits', permits)),
      state = case when expires_at <= now() then 'expired' else 'active' end,
      ended_at = case when expires_at <= now() then expires_at end,
      ended_by = case when expires_at <= now() then 'time' end,
      end_reason = case when expires_at <= now() then 'its time was over' end`.execute(db)
  await sql`
    alter table agent
      drop column permits,
      alter column root_id set not null,
      alter column owner set not null,
      alter column layers set not null,
      alter column born drop default`.execute(db)
  await sql`create index agent_path on agent using gin (path)`.execute(db)
  await sql`create index agent_live on agent (root_id) where state in ('active', 'frozen')`.execute(
    db,
  )
  await sql`create index agent_ended on agent (ended_at) where ended_at is not null`.execute(db)
  await sql`
    create unique index agent_sibling on agent (parent_id, name)
      where state in ('active', 'frozen')`.execute(db)
  await sql`
    create unique index agent_birth_key on agent (coalesce(parent_id, ''), birth_key)
      where birth_key is not null and state in ('active', 'frozen')`.execute(db)
}

async function alterCredentials(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table credential
      add column protocol text not null default 'postgres' check (protocol = 'postgres'),
      add column level integer not null default 0 check (level between 0 and 4),
      add column max_uses integer check (max_uses > 0),
      add column uses integer not null default 0 check (uses <= max_uses),
      add column pin text`.execute(db)
  await sql`
    create table credential_verifier (
      credential_id text not null references credential (id) on delete cascade,
      kind text not null check (kind = 'scram256'),
      data jsonb not null,
      primary key (credential_id, kind))`.execute(db)
  await sql`insert into credential_verifier select id, 'scram256', scram from credential`.execute(
    db,
  )
  await sql`alter table credential drop column scram`.execute(db)
  await sql`create index credential_agent on credential (agent_id)`.execute(db)
}

async function createTables(db: Kysely<unknown>): Promise<void> {
  await sql`
    create table token_use (
      token text primary key,
      thumbprint text,
      birth_key text not null,
      agent_id text references agent (id),
      forget_at timestamptz not null)`.execute(db)
  await sql`
    create table agent_handle (
      id text primary key,
      agent_id text not null references agent (id),
      secret_sha256 text not null,
      created_at timestamptz not null)`.execute(db)
  await sql`create index agent_handle_agent on agent_handle (agent_id)`.execute(db)
  await sql`
    create table ticket (
      id text primary key,
      parent_id text not null references agent (id),
      secret_sha256 text not null,
      request jsonb not null,
      expect jsonb not null,
      created_at timestamptz not null,
      expires_at timestamptz not null,
      redeemed_at timestamptz,
      redeemed_by text references agent (id))`.execute(db)
  await sql`
    create table budget (
      agent_id text not null references agent (id),
      kind text not null check (kind in
        ('commands', 'rows', 'bytes', 'writes', 'sessions', 'approvals')),
      cap bigint not null check (cap >= 0),
      used bigint not null default 0 check (used between 0 and cap),
      primary key (agent_id, kind))`.execute(db)
  await sql`
    create table revocation (
      epoch bigint primary key,
      agent_id text not null references agent (id),
      mode text not null check (mode in ('revoke', 'freeze', 'unfreeze', 'expire', 'end')),
      by_name text not null,
      reason text not null,
      at timestamptz not null,
      agents integer not null,
      report jsonb)`.execute(db)
  await sql`
    create table sharing_finding (
      id text primary key,
      rule text not null,
      credential_id text not null,
      agent_id text not null references agent (id),
      evidence_a jsonb not null,
      evidence_b jsonb not null,
      action text not null check (action in ('observe', 'freeze')),
      at timestamptz not null)`.execute(db)
  await sql`
    create table agent_event (
      id bigint generated always as identity primary key,
      at timestamptz not null,
      kind text not null,
      agent_id text not null references agent (id),
      path text[] not null,
      by_name text not null,
      by_chain text[] not null,
      detail jsonb not null)`.execute(db)
  await sql`create index agent_event_path on agent_event using gin (path)`.execute(db)
}

/** Sessions name the agents above them, so that "what ran under this agent" is one look-up. */
async function alterSessions(db: Kysely<unknown>): Promise<void> {
  await sql`
    alter table session
      add column agent_id text,
      add column path text[],
      add column level integer`.execute(db)
  await sql`create index session_path on session using gin (path)`.execute(db)
}

/** What is fixed at birth stays, and what may change only narrows: whatever a bug or an administrator tries. */
async function guardAgents(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function agent_only_narrows() returns trigger language plpgsql as $$
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
      if new.expires_at > old.expires_at then
        raise exception 'the end of an agent only comes nearer' using errcode = '23514';
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
  await sql`
    create trigger agent_only_narrows before update on agent
      for each row execute function agent_only_narrows()`.execute(db)
  await sql`
    create function agent_stays() returns trigger language plpgsql as $$
    begin
      raise exception 'a living agent is not deleted' using errcode = '23514';
    end $$`.execute(db)
  await sql`
    create trigger agent_stays before delete on agent
      for each row when (old.state in ('active', 'frozen')) execute function agent_stays()`.execute(
    db,
  )
}

async function guardOthers(db: Kysely<unknown>): Promise<void> {
  await sql`
    create function budget_only_shrinks() returns trigger language plpgsql as $$
    begin
      if tg_op = 'DELETE' then
        raise exception 'a budget is not taken away' using errcode = '23514';
      end if;
      if (new.agent_id, new.kind) is distinct from (old.agent_id, old.kind)
         or new.cap > old.cap then
        raise exception 'the cap of a budget only shrinks' using errcode = '23514';
      end if;
      return new;
    end $$`.execute(db)
  await sql`
    create trigger budget_only_shrinks before update or delete on budget
      for each row execute function budget_only_shrinks()`.execute(db)
  await sql`
    create function record_stays() returns trigger language plpgsql as $$
    begin
      raise exception 'what was recorded stays' using errcode = '23514';
    end $$`.execute(db)
  await sql`
    create trigger agent_event_stays before update or delete on agent_event
      for each row execute function record_stays()`.execute(db)
  await sql`
    create function revocation_stays() returns trigger language plpgsql as $$
    begin
      if tg_op = 'UPDATE' and to_jsonb(new) - 'report' = to_jsonb(old) - 'report' then
        return new;
      end if;
      raise exception 'what was recorded stays' using errcode = '23514';
    end $$`.execute(db)
  await sql`
    create trigger revocation_stays before update or delete on revocation
      for each row execute function revocation_stays()`.execute(db)
}
