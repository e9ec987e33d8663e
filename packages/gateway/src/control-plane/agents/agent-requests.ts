import type {
  Budget,
  CredentialId,
  DelegateLimits,
  GrantLayer,
  Principal,
  SessionId,
} from '@sallyport/core'
import type { ClosedByAgent, Outcome } from '../../boundary/agents.ts'
import type { OrphanSession } from '../target-cancels.ts'
import type { AgentView } from '../contract/agent-views.ts'

export interface RootRequest {
  readonly principal: Principal
  readonly name: string
  readonly born: 'login' | 'jwt' | 'service'
  /** The person or group that is accountable for the tree. */
  readonly owner: string
  /** A root holds what is written here and nothing else; empty only where there is an entitlement. */
  readonly layers: readonly GrantLayer[]
  /** What holds beside the layers, and may be replaced by `setEntitlement`. */
  readonly entitlement?: readonly GrantLayer[]
  readonly budget: Budget
  /** What is absent is as the gateway's defaults say. */
  readonly delegate: DelegateLimits
  readonly ttlMs: number
  readonly declared?: Readonly<Record<string, string>>
  readonly handle: boolean
  /** Thumbprint of the key without which the handle is worth nothing. */
  readonly boundTo?: string
  /** A living root of this key is given again instead of a second one. */
  readonly key?: string
}

export interface SpawnRequest {
  readonly name: string
  /** None: all that the parent holds. */
  readonly layers: readonly GrantLayer[]
  readonly budget?: Budget
  /** The budget is taken from those above at birth, and what is left of it comes back at the end. */
  readonly reserve?: boolean
  /** What is absent is as the parent's own. */
  readonly delegate?: DelegateLimits
  readonly ttlMs?: number
  readonly purpose?: string
  readonly born: 'mint' | 'ticket' | 'attach' | 'inferred'
  /** Asking for too much is cut down to what the parent has, and reported, instead of refused. */
  readonly cut?: boolean
  readonly detach?: boolean
  readonly declared?: Readonly<Record<string, string>>
  readonly handle: boolean
  /** As for a root. */
  readonly boundTo?: string
  /** A living child of this key is given again, with a new handle in place of its former one. */
  readonly key?: string
}

export interface Spawned {
  readonly agent: AgentView
  /** `spa_…`; this is the only time that it is shown. */
  readonly handle?: string
  /** What was asked for and not given. */
  readonly cut: readonly string[]
}

export interface MintRequest {
  readonly connection: string
  readonly protocol: 'postgres'
  /** 1 where absent. */
  readonly maxUses?: number
  readonly ttlMs?: number
  /** Attribution level of its sessions: 2 for one use, 1 for more, where absent. */
  readonly level?: number
}

export interface MintedCredential {
  readonly id: CredentialId
  readonly user: string
  /** `spc_…`; this is the only time that it is shown. */
  readonly secret: string
  readonly expiresAtMs: number
}

export interface TicketRequest extends SpawnRequest {
  /** Of the ticket; `ttlMs` is that of the child. */
  readonly ticketTtlMs?: number
  /** Claims that the one who redeems it must show. */
  readonly expect?: Readonly<Record<string, string>>
}

export interface IssuedTicket {
  readonly id: string
  /** `spt_…`; this is the only time that it is shown. */
  readonly ticket: string
  readonly expiresAtMs: number
}

/** How long an end waits for the workers: a second, until each has closed or is fenced, or not at all. */
export type EndWait = 'closed' | 'none' | undefined

/** Asks all workers to apply a version of the agents, and what they closed. */
export type Closer = (version: number) => Promise<{
  readonly acknowledged: number
  readonly workers: number
  /** Workers that have not answered. */
  readonly silent: readonly number[]
  readonly closed: readonly ClosedByAgent[]
  /** The same, after so many milliseconds more or when nobody is silent any longer. */
  readonly later?: (ms: number) => ReturnType<Closer>
}>

/** Ends at their targets what runs in sessions whose worker is dead or silent. Never rejects. */
export type Canceller = (
  sessions: readonly OrphanSession[],
) => Promise<ReadonlyMap<SessionId, Outcome>>
