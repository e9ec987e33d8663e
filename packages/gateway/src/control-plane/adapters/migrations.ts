import { type Kysely, sql } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'
import type { Tables } from '../ports/tables/tables.ts'
import { agentTables } from './agent-tables.ts'
import {
  approvalTables,
  breakGlassTables,
  holdColumns,
  previewColumns,
  shapeTables,
} from './approval-tables.ts'
import { birthTables } from './birth-tables.ts'
import { handleTables } from './handle-tables.ts'
import { incidentEnds, incidentTables } from './incident-tables.ts'
import { ledgerTables } from './ledger-tables.ts'
import { channelTables, chatLinks, knownPeople } from './channel-tables.ts'
import { exportTables } from './export-tables.ts'
import { policyTables } from './policy-tables.ts'
import { recordingTables } from './recording-tables.ts'
import { guardColumns } from './guard-columns.ts'
import { retentionTables } from './retention-tables.ts'
import { searchTables, sessionWords } from './search-tables.ts'
import { secretGuards } from './secret-guards.ts'
import { signalTables } from './signal-tables.ts'

const first: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table connection (
        name text primary key check (length(name) <= 40),
        type text not null check (type = 'postgres'),
        labels jsonb not null,
        host text not null,
        port integer not null check (port between 1 and 65535),
        login_user text not null,
        database text not null,
        tls_mode text not null check (tls_mode in ('full', 'ca', 'require', 'off')),
        tls_ca text,
        notices text not null check (notices in ('auto', 'always', 'never')),
        responses text not null check (responses in ('masked', 'shape', 'none')),
        trusted_functions jsonb not null,
        created_at timestamptz not null)`.execute(db)
    await sql`
      create table sealed_secret (name text primary key, sealed bytea not null)`.execute(db)
    await sql`
      create table principal (
        id text primary key,
        kind text not null check (kind in ('human', 'workload', 'service')),
        name text not null,
        groups jsonb not null)`.execute(db)
    await sql`
      create table agent (
        id text primary key,
        parent_id text references agent (id),
        path text not null,
        depth integer not null check (depth >= 0),
        name text not null,
        principal text not null references principal (id),
        permits jsonb not null,
        created_at timestamptz not null,
        expires_at timestamptz not null)`.execute(db)
    await sql`
      create table credential (
        id text primary key,
        connection text not null references connection (name) on delete cascade,
        agent_id text not null references agent (id),
        scram jsonb not null,
        secret_sha256 text not null,
        expires_at timestamptz not null,
        created_at timestamptz not null)`.execute(db)
    await sql`
      create table session (
        id text primary key,
        worker integer not null,
        connection text not null,
        database text not null,
        credential text not null,
        chain jsonb not null,
        application text not null,
        source text not null,
        opened_at timestamptz not null,
        closed_at timestamptz,
        reason text,
        commands integer not null default 0,
        blocked integer not null default 0,
        masked_values integer not null default 0)`.execute(db)
    await sql`create index session_opened on session (opened_at desc)`.execute(db)
    await sql`create index credential_expiry on credential (expires_at)`.execute(db)
    await sql`create index agent_path on agent (path text_pattern_ops)`.execute(db)
    await sql`create table setting (name text primary key, value jsonb not null)`.execute(db)
  },
}

/** In the order of their names. */
export const migrations = {
  '0001_first': first,
  '0002_agents': agentTables,
  '0003_secrets': secretGuards,
  '0004_signals': signalTables,
  '0005_recordings': recordingTables,
  '0006_births': birthTables,
  '0007_guard': guardColumns,
  '0008_handles': handleTables,
  '0009_search': searchTables,
  '0010_ledger': ledgerTables,
  '0011_incidents': incidentTables,
  '0012_exports': exportTables,
  '0013_retention': retentionTables,
  '0014_incident_ends': incidentEnds,
  '0015_approvals': approvalTables,
  '0016_policies': policyTables,
  '0017_session_words': sessionWords,
  '0018_previews': previewColumns,
  '0019_shapes': shapeTables,
  '0020_hold_max': holdColumns,
  '0021_channels': channelTables,
  '0022_known_people': knownPeople,
  '0023_break_glass': breakGlassTables,
  '0024_chat_links': chatLinks,
}

/** Brings the tables to the newest version; a failed step leaves the version before it. */
export async function migrate(db: Kysely<Tables>): Promise<void> {
  const migrator = new Migrator({
    db,
    provider: { getMigrations: async () => migrations },
  })
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined)
    throw new Error('the tables could not be brought up to date', { cause: error })
}
