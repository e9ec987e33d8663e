import type { AgentId, Principal } from '@sallyport/core'

/** Whom a signal is about, in words that agents and logins are found by. */
export type Whom =
  /** A person, by the id of its principal. */
  | { readonly kind: 'person'; readonly id: string }
  /** A session of the provider. Roots of `person` whose session nobody knows are reached with it. */
  | {
      readonly kind: 'session'
      readonly issuer: string
      readonly session: string
      readonly person?: string
    }
  /** Whoever has one of these subjects or names at a provider; names are compared without their case. */
  | {
      readonly kind: 'named'
      readonly issuer: string
      readonly subjects: readonly string[]
      readonly names: readonly string[]
    }

/** What a signal does. */
export type Effect =
  /** Ends, or freezes, the trees of a person, and refuses logins that were confirmed before. */
  | { readonly kind: 'end' }
  /** Leaves a person these groups at most. */
  | { readonly kind: 'narrow'; readonly groups: readonly string[] }
  /** Takes these groups away. */
  | { readonly kind: 'lose'; readonly groups: readonly string[] }
  /** Is only recorded. */
  | { readonly kind: 'none' }

/** What an identity provider reports, checked and understood. */
export interface Signal {
  /** Who signed it or sent it; `id` is unique below it. */
  readonly source: string
  readonly id: string
  /** Of the bytes that were sent: another text under a known id is refused. */
  readonly digest: string
  /** The name of the provider's object. */
  readonly provider: string
  readonly kind: string
  readonly whom: readonly Whom[]
  readonly effect: Effect
  /** For the record and the agent that ends. */
  readonly why: string
}

/** What happened to a signal, for the log. Never holds a token. */
export type SignalEvent =
  | {
      readonly kind: 'signal.applied'
      readonly provider: string
      readonly signal: string
      readonly roots: number
      readonly why: string
    }
  | { readonly kind: 'signal.repeated'; readonly provider: string; readonly signal: string }
  | { readonly kind: 'signal.refused'; readonly provider?: string; readonly why: string }
  /** A person was found by a name that an administrator can give to another. */
  | { readonly kind: 'signal.by-name'; readonly provider: string; readonly signal: string }

/** What signals need of the agents; `AgentService` provides it. */
export interface SignalAgents {
  liveRoots(): Iterable<{ readonly id: AgentId; readonly principal: Principal }>
  revoke(agent: AgentId, by: string, reason: string): Promise<unknown>
  freeze(agent: AgentId, by: string, reason: string): Promise<unknown>
}
