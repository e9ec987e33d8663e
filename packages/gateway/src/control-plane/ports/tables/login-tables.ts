import type { ColumnType } from 'kysely'
import type { Json, NullableTimestamp, Timestamp } from './columns.ts'

/** What providers of identity have said, and proofs that count once. */
export interface LoginTables {
  dpop_proof: { id: string; forget_at: Timestamp }
  token_use: TokenUseTable
  signal_event: SignalEventTable
  login_floor: { subject: string; at: Timestamp; why: string }
  login_session: { agent_id: string; session: string }
  known_person: KnownPersonTable
  scim_user: ScimUserTable
  scim_group: ScimGroupTable
  scim_member: { issuer: string; group_id: string; user_id: string }
}

/** A token of a workload that made an agent: it makes no second one. */
export interface TokenUseTable {
  token: string
  thumbprint: string | null
  birth_key: string
  agent_id: string | null
  forget_at: Timestamp
}

/** What an identity provider reported, once. */
export interface SignalEventTable {
  /** Who signed it. */
  source: string
  /** Its `jti`. */
  id: string
  provider: string
  kind: string
  signal: Json<unknown>
  received_at: Timestamp
  /** Null until it was acted upon. */
  applied_at: NullableTimestamp
  result: ColumnType<unknown, string | null, string | null>
}

/** The last login of a person that the gateway has seen. */
export interface KnownPersonTable {
  id: string
  name: string
  /** As the provider stated them then. */
  groups: Json<string[]>
  /** The name of the provider's object. */
  provider: string
  session: string | null
  confirmed_at: Timestamp
}

/** A person as a provider keeps it here. */
export interface ScimUserTable {
  issuer: string
  id: string
  user_name: string
  external_id: string | null
  /** All by which a login may name the person, in lower case. */
  names: string[]
  active: boolean
  attributes: Json<Record<string, unknown>>
  created_at: Timestamp
  changed_at: Timestamp
}

export interface ScimGroupTable {
  issuer: string
  id: string
  display_name: string
  external_id: string | null
  created_at: Timestamp
  changed_at: Timestamp
}
