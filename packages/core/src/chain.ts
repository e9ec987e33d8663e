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
  /** The permits of the agent. A command needs a matching permit at every agent of the chain. */
  readonly permits: readonly Permission[]
  /** Milliseconds since the epoch. */
  readonly createdAtMs: number
  readonly expiresAtMs: number
}

/** One permit of a grant: connection globs, effect classes, and optional dimensions that narrow it. */
export interface Permission {
  readonly connections: readonly string[]
  readonly classes: readonly string[]
  readonly dimensions: Readonly<Record<string, readonly string[]>>
}

/** `dana › planner › scout`: the one printed form of a chain. */
export function printChain(chain: Chain): string {
  return chain.agents.map((agent) => agent.name).join(' › ')
}
