import type {
  AgentId,
  AgentState,
  BudgetKind,
  CredentialId,
  GrantLayer,
  Principal,
} from '@sallyport/core'
import type { AgentEnd } from '../../boundary/agents.ts'
import type { ScramVerifier } from '../../boundary/snapshot.ts'
import type { AgentLimits, Born, Freeze } from '../ports/tables/agent-tables.ts'

/** An agent in memory. What a change of the store has committed is written here, and nothing else. */
export interface AgentNode {
  readonly id: AgentId
  readonly parent: AgentNode | undefined
  /** Root first, itself last. */
  readonly path: readonly AgentNode[]
  readonly name: string
  /** One object for all agents of a principal, so that a change of its groups reaches them all. */
  readonly principal: { current: Principal }
  readonly owner: string
  readonly born: Born
  readonly detached: boolean
  readonly birthKey: string | undefined
  readonly purpose: string | undefined
  readonly declared: Readonly<Record<string, string>>
  readonly createdAtMs: number
  state: AgentState
  freezes: readonly Freeze[]
  end: AgentEnd | undefined
  /** As few as say what all that were ever added say. */
  layers: readonly GrantLayer[]
  /** How many were ever added: the table keeps them all. */
  layersWritten: number
  /** Of a root: what the `Grant` objects allow at this time. It holds beside the layers, and is replaced. */
  entitlement: readonly GrantLayer[]
  limits: AgentLimits
  expiresAtMs: number
  readonly budgets: Map<BudgetKind, BudgetCounter>
  /** Those in memory, ended ones too. */
  readonly children: Set<AgentNode>
  readonly liveNames: Set<string>
  /** Live agents of the subtree, itself included. */
  liveBelow: number
  sessions: number
  credentials: number
  /** Of the last heartbeat; undefined for an agent that never sent one. */
  beatAtMs: number | undefined
  /** Of the last sign of use. */
  touchedAtMs: number
  /** Of the change log, when it last changed. */
  version: number
}

export interface BudgetCounter {
  cap: number
  used: number
  /** The cap was taken from those above, who are not asked again until what is left has come back. */
  reserved: boolean
}

/** A credential in memory. */
export interface CredentialNode {
  readonly id: CredentialId
  readonly connection: string
  readonly agent: AgentNode
  readonly level: number
  readonly scram: ScramVerifier
  readonly expiresAtMs: number
  readonly maxUses: number | undefined
  uses: number
  pin: string | undefined
  /** What its first client called itself, in this run of the gateway. */
  application?: string
  /** Sessions open on it now. */
  sessions: number
  version: number
}

/** All that an agent holds by itself. */
export function layersOf(node: AgentNode): readonly GrantLayer[] {
  return node.entitlement.length === 0 ? node.layers : [...node.layers, ...node.entitlement]
}

export function isLive(node: AgentNode): boolean {
  return node.state === 'active' || node.state === 'frozen'
}

/** Printed names, root first. */
export function chainOf(node: AgentNode): string[] {
  return node.path.map((each) => each.name)
}

/** `a_… (dana › planner)`, as messages name an agent. */
export function describe(node: AgentNode): string {
  return `agent ${node.id} (${chainOf(node).join(' › ')})`
}
