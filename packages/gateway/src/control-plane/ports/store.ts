import type {
  AgentState,
  Approver,
  BudgetKind,
  FactActor,
  GrantLayer,
  Policy,
} from '@sallyport/core'
import type { ColumnType, Generated, Kysely, Transaction } from 'kysely'
import type { HoldAsked } from '../../boundary/approvals.ts'
import type { ApprovalDecision, ApprovalState } from '../approvals/approval.ts'
import type { Preview } from '../approvals/preview/preview.ts'
import type { PartState } from '../exports/facts/part-facts.ts'
import type { GuardState } from '../guard/guard-state.ts'

/** A jsonb column: read as `T`, written as JSON text, since the driver would turn a list into a PostgreSQL array. */
type Json<T> = ColumnType<T, string, string>
type Timestamp = ColumnType<Date, Date, Date>
type NullableTimestamp = ColumnType<Date | null, Date | null, Date | null>
/** A bigint column: the driver reads it as text. */
type Int8 = ColumnType<string, number, number>

/** The tables of the control plane, as `migrations.ts` makes them. */
export interface Tables {
  command: CommandTable
  command_day: { day: ColumnType<Date, string, never>; commands: Int8; analyzed: Int8 }
  connection: ConnectionTable
  sealed_secret: { name: string; sealed: Buffer }
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
  export_cursor: { name: string; position: Int8; since: Timestamp }
  export_event: { id: Generated<string>; uid: string; at: Timestamp; body: Json<unknown> }
  export_part: ExportPartTable
  dpop_proof: { id: string; forget_at: Timestamp }
  erasure: { session_id: string; at: Timestamp }
  fact: FactTable
  incident: IncidentTable
  indexed_part: IndexedPartTable
  policy_version: PolicyVersionTable
  recording_part: RecordingPartTable
  legal_hold: LegalHoldTable
  approval: ApprovalTable
  approval_answer: ApprovalAnswerTable
  approved_shape: ApprovedShapeTable
  revocation: RevocationTable
  search_term: { term: string; parts: string[] | null }
  session: SessionTable
  sharing_finding: SharingFindingTable
  ticket: TicketTable
  token_use: TokenUseTable
  setting: { name: string; value: Json<unknown> }
  signal_event: SignalEventTable
  login_floor: { subject: string; at: Timestamp; why: string }
  login_session: { agent_id: string; session: string }
  scim_user: ScimUserTable
  scim_group: ScimGroupTable
  scim_member: { issuer: string; group_id: string; user_id: string }
}

export interface ApprovalTable {
  id: string
  state: ApprovalState
  wait: 'hold' | 'return'
  session_id: string
  agent_id: string
  root_id: string
  connection: string
  binding: string
  asked: Json<HoldAsked>
  asked_at: Timestamp
  until_at: Timestamp
  ended_at: NullableTimestamp
  note: string
  /** What it would do, without rows of the target. */
  preview: Json<Omit<Preview, 'sample'>> | null
}

export interface ApprovedShapeTable {
  /** Of the request that was approved by its shape. */
  id: string
  rules: string
  by_names: Json<readonly string[]>
  since: Timestamp
  until_at: Timestamp
  uses: number
  ended_at: NullableTimestamp
  why: string
}

export interface ApprovalAnswerTable {
  approval_id: string
  approver_id: string
  approver: Json<Approver>
  answer: ApprovalDecision
  note: string
  at: Timestamp
}

export interface LegalHoldTable {
  id: string
  kind: 'session' | 'tree'
  subject: string
  reason: string
  by_name: string
  at: Timestamp
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

/** What ledgers hold, to be searched. It is made from them, and they are the truth. */
export interface FactTable {
  session_id: string
  part: string
  position: number
  at: Timestamp
  what: string
  by_kind: FactActor
  actor: string
  chain: string[]
  path: string[]
  subject: string
  source: string
  detail: Json<unknown>
}

/** What an incident covers; see `incidents/incident.ts`. */
export interface IncidentTable {
  id: string
  title: string
  opened_by: string
  opened_at: Timestamp
  scope_kind: 'session' | 'agent' | 'query'
  scope: string
  from_at: NullableTimestamp
  until_at: NullableTimestamp
  sessions: string[]
  closed_at: NullableTimestamp
  closed_by: string | null
  close_note: string | null
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
  /** What was applied at the target last; it holds no secret. */
  guard: ColumnType<GuardState | null, string | null | undefined, string | null>
  created_at: Timestamp
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

/** A token of a workload that made an agent: it makes no second one. */
export interface TokenUseTable {
  token: string
  thumbprint: string | null
  birth_key: string
  agent_id: string | null
  forget_at: Timestamp
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
  agent_id: Generated<string | null>
  path: Generated<string[] | null>
  level: Generated<number | null>
  /** What searches look up; see `recordings/index/terms.ts`. */
  terms: Generated<string[]>
}

/** How far a part of a session's recording is in the recording store. */
export interface RecordingPartTable {
  session_id: string
  /** `<worker>-<run>-<reference>`. */
  part: string
  worker: number
  run: number
  reference: Int8
  /** Position of the first entry that is not in the store. */
  shipped: number
  segments: number
  /** Of all segments. */
  bytes: Int8
  /** Chain hash of the last entry in the store, and SHA-256 of the last segment; hexadecimal, empty before the first. */
  head: string
  previous: string
  /** Numbers of the first and the newest anchor that name it; null where none does. */
  anchor_first: number | null
  anchor_last: number | null
  /** What keeps the recording from being whole, in words. */
  problems: Json<string[]>
  sealed_at: NullableTimestamp
}

/** A command as searches find it. */
export interface CommandTable {
  at: Timestamp
  session_id: string
  part: string
  /** Number of the command in its session. */
  seq: number
  id: string
  /** Empty where it was indexed before there was this column. */
  decision: string
  verdict: 'allowed' | 'held' | 'blocked'
  rules: string[]
  class: string
  verb: string
  /** Names as lists of parts. */
  objects: Json<string[][]>
  /** The beginning of the text; `text_bytes` is the length of the whole. */
  text: string
  text_bytes: number
  /** How the answer ended, or `refused`; null while it has not. */
  status: string | null
  /** SQLSTATE, or the code of a refusal. */
  code: string | null
  rows: Int8
  bytes: Int8
  /** Names of columns that came back. */
  columns: string[]
  /** Rules that masked values, and for each how many. */
  masks: string[]
  mask_values: string[]
  /** What searches look up; see `recordings/index/terms.ts`. */
  terms: string[]
}

/** How far a part of a session's recording is in the index. */
export interface IndexedPartTable {
  session_id: string
  part: string
  worker: number
  run: number
  /** Position of the first entry that was not read. */
  position: number
  /** Why no more of it is indexed. */
  problem: string | null
}

/** How far a part of a session's recording was read for exports. */
export interface ExportPartTable {
  session_id: string
  part: string
  worker: number
  run: number
  /** Position of the first entry that was not read. */
  position: number
  /** What is needed to go on; null where nothing more can come. */
  state: ColumnType<PartState | null, string | null, string | null>
}

/** A change that others can see. Nobody outside may be told of it before it is on disk. */
export interface Committed<T> {
  readonly value: T
  /** Resolves once the change would survive a power failure. */
  readonly onDisk: Promise<void>
}

/** Connections to the database: all, those that do nothing, and how many changes wait for one. */
export interface PoolState {
  readonly total: number
  readonly idle: number
  readonly waiting: number
}

/** The control plane's database. The same code runs on the embedded one and on a PostgreSQL server. */
export interface Store {
  readonly kind: 'embedded' | 'server'
  /** What stands behind it, for people: `PGlite (PostgreSQL 18.3)`. */
  readonly version: string
  readonly db: Kysely<Tables>
  /** Its connections, and how many wait for one. */
  pool(): PoolState
  /** Runs `change` in one transaction, and resolves once its commit would survive a power failure. */
  durable<T>(change: (tx: Transaction<Tables>) => Promise<T>): Promise<T>
  /** As `durable`, but resolves at the commit, so that changes that wait for each other need not wait for the disk. */
  commit<T>(change: (tx: Transaction<Tables>) => Promise<T>): Promise<Committed<T>>
  close(): Promise<void>
}
