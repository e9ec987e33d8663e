import type {
  AgentId,
  AgentState,
  Budget,
  BudgetKind,
  CredentialId,
  GrantLayer,
  Principal,
  SessionId,
} from '@sallyport/core'
import type { ScramVerifier } from './snapshot.ts'

/** What a worker knows of an agent. */
export interface AgentRecord {
  readonly id: AgentId
  /** Ids from the root down to the agent itself; never changes. */
  readonly path: readonly AgentId[]
  readonly name: string
  /** The root's; the same in the whole tree. */
  readonly principal: Principal
  readonly state: AgentState
  /** Why it is not active. */
  readonly ended?: AgentEnd
  readonly layers: readonly GrantLayer[]
  /** Caps of the subtree. */
  readonly budget: Budget
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number
  readonly expiresAtMs: number
}

/** Who took an agent away or stopped it, when and why. */
export interface AgentEnd {
  /** A name for people: `dana`, `heartbeat`, `S1`. */
  readonly by: string
  readonly reason: string
  readonly atMs: number
}

/** What a worker knows of a credential: never the secret. */
export interface AgentCredential {
  readonly id: CredentialId
  readonly connection: string
  readonly agent: AgentId
  /** Attribution level, 0 to 4. */
  readonly level: number
  readonly scram: ScramVerifier
  /** For opening a session. */
  readonly expiresAtMs: number
}

/** Agents and credentials that are new or have changed since version `from`; `from` 0 replaces everything. */
export interface AgentChanges {
  readonly from: number
  readonly version: number
  readonly agents: readonly AgentRecord[]
  readonly credentials: readonly AgentCredential[]
  readonly goneAgents: readonly AgentId[]
  readonly goneCredentials: readonly CredentialId[]
}

/** A session that a worker has put into its live index, and asks leave to serve. */
export interface AdmissionRequest {
  readonly session: SessionId
  readonly credential: CredentialId
  readonly agent: AgentId
  readonly connection: string
  readonly source: string
  readonly application: string
  readonly database: string
}

/** `version` is the newest of the agents: a worker that is behind waits for it before it serves. */
export type Admission =
  | { readonly kind: 'admitted'; readonly version: number }
  | { readonly kind: 'refused'; readonly code: string; readonly detail: string }

/** A session that ended because its agent was taken away, and what became of the statement that ran in it. */
export interface ClosedByAgent {
  readonly session: SessionId
  readonly agent: AgentId
  readonly connection: string
  readonly outcome: Outcome
}

/**
 * `withdrawn`: its command waited for an approval, and never left. `cancel-sent`: its worker was gone or silent, so the control plane asked the target to end what ran; the target has read
 * that, and does not say whether anything did. `unknown`: nobody could ask it.
 */
export type Outcome =
  | 'idle'
  | 'withdrawn'
  | 'terminated'
  | 'completed-before'
  | 'cancel-sent'
  | 'unknown'

/** Amounts that a worker wants to spend for an agent, on the agent and all above it. */
export interface LeaseRequest {
  readonly agent: AgentId
  readonly amounts: Budget
}

/** What was granted, at most what was asked for. `spent` names the first cap that was met. */
export interface Lease {
  readonly granted: Budget
  readonly spent?: { readonly kind: BudgetKind; readonly cap: number; readonly agent: string }
}
