import type { Policy } from '@sallyport/core'
import type { ColumnType, Generated } from 'kysely'
import type { GuardState } from '../../guard/guard-state.ts'
import type { Json, Timestamp } from './columns.ts'

/** What the gateway is set up with. */
export interface ConfigurationTables {
  connection: ConnectionTable
  sealed_secret: { name: string; sealed: Buffer }
  policy_version: PolicyVersionTable
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
  masking: Generated<'lineage' | 'guard'>
  hold_max_ms: Generated<number>
  hold_in_transaction_max_ms: Generated<number>
  /** What was applied at the target last; it holds no secret. */
  guard: ColumnType<GuardState | null, string | null | undefined, string | null>
  created_at: Timestamp
}

/** A set of policies that was in force once. Decisions name it by its number. */
export interface PolicyVersionTable {
  version: number
  /** SHA-256 of the policies as they were understood, hexadecimal. */
  digest: string
  /** Who put it in force, where that is known. */
  author: string
  loaded_at: Timestamp
  /** As they were understood. */
  policies: Json<Policy[]>
  /** As they were read. */
  files: Json<{ file: string; text: string }[]>
}
