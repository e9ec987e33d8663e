import type { Permission } from '@sallyport/core'
import type { ColumnType, Generated, Kysely, Transaction } from 'kysely'

/** A jsonb column: read as `T`, written as JSON text, since the driver would turn a list into a PostgreSQL array. */
type Json<T> = ColumnType<T, string, string>
type Timestamp = ColumnType<Date, Date, Date>

/** The tables of the control plane, as `migrations.ts` makes them. */
export interface Tables {
  connection: ConnectionTable
  sealed_secret: { name: string; sealed: Buffer }
  principal: {
    id: string
    kind: 'human' | 'workload' | 'service'
    name: string
    groups: Json<string[]>
  }
  agent: AgentTable
  credential: CredentialTable
  session: SessionTable
  setting: { name: string; value: Json<unknown> }
}

export interface ConnectionTable {
  name: string
  type: 'postgres'
  labels: Json<Record<string, string>>
  host: string
  port: number
  login_user: string
  database: string
  tls_mode: 'full' | 'ca' | 'require' | 'off'
  tls_ca: string | null
  notices: 'auto' | 'always' | 'never'
  responses: 'masked' | 'shape' | 'none'
  trusted_functions: Json<string[]>
  created_at: Timestamp
}

export interface AgentTable {
  id: string
  parent_id: string | null
  /** Agent ids from the root down, separated by dots: a subtree is a prefix. */
  path: string
  depth: number
  name: string
  principal: string
  permits: Json<Permission[]>
  created_at: Timestamp
  expires_at: Timestamp
}

export interface CredentialTable {
  id: string
  connection: string
  agent_id: string
  scram: Json<{ salt: string; iterations: number; storedKey: string; serverKey: string }>
  /** Of the whole credential, lower-case hexadecimal. */
  secret_sha256: string
  expires_at: Timestamp
  created_at: Timestamp
}

export interface SessionTable {
  id: string
  worker: number
  connection: string
  database: string
  credential: string
  chain: Json<string[]>
  application: string
  source: string
  opened_at: Timestamp
  closed_at: ColumnType<Date | null, Date | null, Date | null>
  reason: string | null
  commands: Generated<number>
  blocked: Generated<number>
  masked_values: Generated<number>
}

/** The control plane's database. The same code runs on the embedded one and on a PostgreSQL server. */
export interface Store {
  readonly kind: 'embedded' | 'server'
  /** What stands behind it, for people: `PGlite (PostgreSQL 18.3)`. */
  readonly version: string
  readonly db: Kysely<Tables>
  /** Runs `change` in one transaction, and resolves once its commit would survive a power failure. */
  durable<T>(change: (tx: Transaction<Tables>) => Promise<T>): Promise<T>
  close(): Promise<void>
}
