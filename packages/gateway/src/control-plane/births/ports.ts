import type {
  AgentId,
  AgentState,
  Budget,
  DelegateLimits,
  GrantLayer,
  Principal,
} from '@sallyport/core'

/** What the births need of the agents; `AgentService` provides it. */
export interface BirthAgents {
  createRoot(request: RootBirth): Promise<Born>
  spawn(parent: AgentId, request: ChildBirth): Promise<Born>
  /** The agent that a handle names; fails with the codes of agents that are revoked, ended or frozen. */
  authenticateHandle(
    text: string,
    shown: { readonly thumbprint?: string; readonly source?: string },
  ): BornAgent | undefined
  /** Also one that ended not long ago. */
  get(id: AgentId): BornAgent | undefined
  /** Remembers which groups a person is in now, for all of the person's roots, also over a restart. */
  setGroups(principal: string, groups: readonly string[]): Promise<void>
  /** Ends a tree: its root's provider no longer knows the person. */
  revoke(agent: AgentId, by: string, reason: string): Promise<unknown>
  /** Roots that are active or frozen, with the groups that were set last. */
  liveRoots(): Iterable<{ readonly id: AgentId; readonly principal: Principal }>
  /** Replaces what the `Grant` objects allow a root; what the root holds is the conjunction with its own layers. */
  setEntitlement(root: AgentId, layers: readonly GrantLayer[]): Promise<void>
}

export interface RootBirth {
  readonly principal: Principal
  readonly name: string
  readonly born: 'login' | 'jwt' | 'service'
  readonly owner: string
  /** What was asked for, and the ceiling of the profile: they never change. */
  readonly layers: readonly GrantLayer[]
  /** What the `Grant` objects allow at this moment; replaced by `setEntitlement` later. */
  readonly entitlement: readonly GrantLayer[]
  readonly budget: Budget
  readonly delegate: DelegateLimits
  readonly ttlMs: number
  readonly declared?: Record<string, string>
  /** False for a root that only holds its children together. */
  readonly handle: boolean
  /** Thumbprint of the key without which the handle is worth nothing (RFC 9449). */
  readonly boundTo?: string
  /** A live root of the same key is given back instead of a second one. */
  readonly key?: string
}

export interface ChildBirth {
  readonly name: string
  readonly layers: readonly GrantLayer[]
  readonly budget?: Budget
  readonly delegate?: DelegateLimits
  readonly ttlMs?: number
  readonly purpose?: string
  readonly born: 'mint' | 'attach'
  readonly handle: boolean
  readonly boundTo?: string
  /** What a verified token says of the child itself: for the record, never a way to a parent. */
  readonly declared?: Readonly<Record<string, string>>
  /** A living child of this key is given back, with a new handle in place of its former one. */
  readonly key?: string
}

export interface Born {
  readonly agent: BornAgent
  /** `spa_…`, shown once. */
  readonly handle?: string
}

export interface BornAgent {
  readonly id: AgentId
  readonly name: string
  /** Printed names, root first. */
  readonly chain: readonly string[]
  readonly path: readonly AgentId[]
  readonly state: AgentState
  readonly expiresAt: string
  readonly grant: readonly string[]
}

/** The names and labels of all connections, for grants that select by label. */
export type ListConnections = () => Promise<
  readonly { readonly name: string; readonly labels: Readonly<Record<string, string>> }[]
>

/** Tokens of workloads that made an agent. Entries must outlive the process: a token works once, also after a restart. */
export interface TokenUses {
  /** Takes a token, or says who has taken it. Atomic. */
  take(token: string, use: TokenUse): Promise<TokenUse | undefined>
  /** Names the agent that the token made. */
  bind(token: string, agent: AgentId): Promise<void>
  /** Whether somebody revoked an agent, also one that memory has let go. */
  wasRevoked(agent: AgentId): Promise<boolean>
  /** Gives a token back that made nothing. */
  release(token: string): Promise<void>
}

export interface TokenUse {
  /** SHA-256 thumbprint of the key of the DPoP proof; undefined where there was none. */
  readonly thumbprint?: string
  /** By which the same agent is found again. */
  readonly birthKey: string
  readonly agent?: AgentId
  /** Milliseconds since the epoch: nobody needs to remember it after this. */
  readonly forgetAtMs: number
}

/** What happened at a birth, for the ledger and the log. Never holds a token. */
export type BirthEvent =
  | {
      readonly kind: 'login'
      readonly agent: AgentId
      readonly principal: string
      readonly provider: string
    }
  | { readonly kind: 'login.refused'; readonly provider: string; readonly why: string }
  | { readonly kind: 'token.accepted'; readonly agent: AgentId; readonly rule: string }
  | {
      readonly kind: 'token.refused'
      readonly issuer: string
      readonly rule?: string
      readonly why: string
    }
  | {
      readonly kind: 'token.replayed'
      readonly rule: string
      readonly agent?: AgentId
      readonly why: string
    }
  | { readonly kind: 'exchange'; readonly parent: AgentId; readonly agent: AgentId }

/** A person whom a provider has confirmed. */
export interface ConfirmedLogin {
  /** The name of the provider's object. */
  readonly provider: string
  readonly principal: Principal
  /** The provider's own session, `sid` of OpenID Connect or `SessionIndex` of SAML, where it names one. */
  readonly session?: string
  /** Milliseconds since the epoch, by the gateway's clock. */
  readonly confirmedAtMs: number
}

/** Knows what providers have taken back since: a login that somebody confirmed before must not make an agent afterwards. */
export interface LoginGate {
  /** Why a login makes no agent any more; undefined where it may. */
  refusal(login: ConfirmedLogin): Promise<string | undefined>
  /** Remembers that a person was confirmed, whatever for: the newest login of each counts. */
  seen(login: ConfirmedLogin): Promise<void>
  /** A provider was asked again about somebody: it says these groups now, or knows them no more. Takes away, and gives nothing. */
  askedAgain(person: string, groups: readonly string[] | undefined): Promise<void>
  /** Remembers which session of the provider an agent stands on. */
  remember(root: AgentId, login: ConfirmedLogin): Promise<void>
  /** What is left of the groups that a provider states, after those that its directory says somebody is no longer in. */
  groupsOf(
    person: Pick<Principal, 'id' | 'name'>,
    stated: readonly string[],
  ): Promise<readonly string[]>
}
