import type { AgentState, BudgetKind, GrantLayer } from '@sallyport/core'
import type { ColumnType, Generated } from 'kysely'
import type { Int8, Json, NullableTimestamp, Timestamp } from './columns.ts'

/** Agents, what they log in by, and what was taken from them. */
export interface AgentTables {
  principal: {
    id: string
    kind: 'human' | 'workload' | 'service'
    name: string
    groups: Json<string[]>
  }
  agent: AgentTable
  agent_handle: AgentHandleTable
  agent_event: AgentEventTable
  budget: BudgetTable
  credential: CredentialTable
  credential_verifier: { credential_id: string; kind: 'scram256'; data: Json<Verifier> }
  revocation: RevocationTable
  sharing_finding: SharingFindingTable
  ticket: TicketTable
}

export type Born = 'login' | 'jwt' | 'service' | 'mint' | 'ticket' | 'attach' | 'inferred'

/** How far an agent may delegate. All of it is stated at birth, and only shrinks. */
export interface AgentLimits {
  /** Levels of agents below this one. */
  readonly depth: number
  /** Children that live at once. */
  readonly children: number
  /** Agents that live at once in the subtree, this one included. */
  readonly agents: number
  /** The longest life of a child. */
  readonly ttlMs: number
  /** Whether a child may outlive a parent that ended. */
  readonly detach: boolean
}

/** One reason why an agent is frozen; it thaws when none is left. */
export interface Freeze {
  /** Where the freeze was put: this agent or one above it. */
  readonly at: string
  readonly kind: 'person' | 'heartbeat' | 'finding'
  readonly by: string
  readonly reason: string
  readonly atMs: number
}

export interface AgentTable {
  id: string
  root_id: string
  parent_id: string | null
  /** Ids from the root down to the agent itself. */
  path: string[]
  depth: number
  name: string
  principal: string
  owner: string
  born: Born
  state: AgentState
  layers: Json<GrantLayer[]>
  /** What the `Grant` objects allow a root now: looked up anew, so it may also grow. Never wider than the layers, which hold as well. */
  entitlement: Json<GrantLayer[]>
  limits: Json<AgentLimits>
  purpose: string | null
  /** What the agent says of itself: never used in a decision. */
  declared: Json<Record<string, string>>
  /** Makes a repeated birth give the same agent. */
  birth_key: string | null
  last_beat_at: NullableTimestamp
  freezes: Json<Freeze[]>
  ended_at: NullableTimestamp
  ended_by: string | null
  end_reason: string | null
  on_parent_end: 'end' | 'detach'
  created_at: Timestamp
  expires_at: Timestamp
}

export interface AgentHandleTable {
  id: string
  agent_id: string
  secret_sha256: string
  /** Thumbprint of the key that has to sign each request. */
  bound_to: string | null
  /** From which it was used. */
  networks: Generated<string[]>
  created_at: Timestamp
}

export interface CredentialTable {
  id: string
  connection: string
  agent_id: string
  protocol: 'postgres'
  level: number
  /** Of the whole credential, lower-case hexadecimal. */
  secret_sha256: string
  /** No limit where null. */
  max_uses: number | null
  uses: number
  /** The network of the first use. */
  pin: string | null
  expires_at: Timestamp
  created_at: Timestamp
}

interface Verifier {
  salt: string
  iterations: number
  storedKey: string
  serverKey: string
}

export interface TicketTable {
  id: string
  parent_id: string
  secret_sha256: string
  request: Json<unknown>
  expect: Json<Record<string, string>>
  created_at: Timestamp
  expires_at: Timestamp
  redeemed_at: NullableTimestamp
  redeemed_by: string | null
}

export interface BudgetTable {
  agent_id: string
  kind: BudgetKind
  cap: Int8
  /** Spent by the whole subtree, with what workers hold in hand. */
  used: Int8
  /** The cap was taken from those above at birth: what is spent here is not taken from them again. */
  reserved: Generated<boolean>
}

export interface RevocationTable {
  epoch: Int8
  agent_id: string
  mode: 'revoke' | 'freeze' | 'unfreeze' | 'expire' | 'end'
  by_name: string
  reason: string
  at: Timestamp
  agents: number
  report: ColumnType<unknown, string | null, string | null>
}

export interface SharingFindingTable {
  id: string
  rule: string
  credential_id: string
  agent_id: string
  evidence_a: Json<unknown>
  evidence_b: Json<unknown>
  action: 'observe' | 'freeze'
  at: Timestamp
}

export interface AgentEventTable {
  id: Generated<string>
  at: Timestamp
  kind: string
  agent_id: string
  path: string[]
  by_name: string
  by_chain: string[]
  detail: Json<unknown>
}
