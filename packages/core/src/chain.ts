import type { AgentId } from './ids.ts'

/** Who is asking, from the root agent down to the one that holds the credential. The gateway keeps it; no caller states it. */
export interface Chain {
  readonly root: Principal
  /** Root first; never empty. */
  readonly agents: readonly ChainAgent[]
  /** Attribution level of the credential, 0 (shared) to 4 (attested). */
  readonly level: number
}

export interface Principal {
  readonly id: string
  readonly kind: 'human' | 'workload' | 'service'
  readonly name: string
  readonly groups: readonly string[]
}

export interface ChainAgent {
  readonly id: AgentId
  readonly name: string
  /** Depth below the root; the root is 0. */
  readonly depth: number
  /** The grant of the agent: every layer must allow a command, and every agent of the chain. */
  readonly layers: readonly GrantLayer[]
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number
  readonly expiresAtMs: number
}

/** One layer of a grant. Layers are only added, so an agent never holds more than it did. */
export interface GrantLayer {
  readonly permits: readonly Permission[]
  readonly window?: GrantWindow
  readonly client?: GrantClient
}

/** When a grant holds; outside of it nothing is allowed. */
export interface GrantWindow {
  /** Milliseconds since the epoch. */
  readonly afterMs?: number
  readonly beforeMs?: number
  /** Such as `Mon-Fri 08:00-19:00 Europe/Berlin`. */
  readonly hours?: string
}

/** From where, and how well attributed, a session must be. */
export interface GrantClient {
  readonly cidr?: readonly string[]
  readonly minLevel?: number
}

/** What a subtree may use up. A kind that is absent has no cap. */
export type BudgetKind = 'commands' | 'rows' | 'bytes' | 'writes' | 'sessions' | 'approvals'
export type Budget = Readonly<Partial<Record<BudgetKind, number>>>

/** `frozen` may become `active` again; the last three are final. */
export type AgentState = 'active' | 'frozen' | 'ended' | 'expired' | 'revoked'

/** One permit of a grant: connection globs, effect classes, and optional dimensions that narrow it. */
export interface Permission {
  readonly connections: readonly string[]
  readonly classes: readonly string[]
  readonly dimensions: Readonly<Record<string, readonly string[]>>
  /** Rows that one command may return at most; absent = any number. */
  readonly rowsMax?: number
}

/** `dana › planner › scout`: the one printed form of a chain. */
export function printChain(chain: Chain): string {
  return chain.agents.map((agent) => agent.name).join(' › ')
}
