import type { CredentialId, SessionId } from '@sallyport/core'
import type { Store } from '../ports/store.ts'
import type { AgentEvents } from './agent-events.ts'
import type { AgentNode, CredentialNode } from './agent-node.ts'
import type { AgentTree } from './agent-tree.ts'
import type { ChangeLog } from './change-log.ts'
import type { Serial } from './serial.ts'

/** A session that was admitted and has not closed. */
export interface LiveSession {
  readonly agent: AgentNode
  readonly credential: CredentialNode
  readonly worker: number
}

/** What the parts of the agent service share. */
export interface AgentContext {
  readonly store: Store
  readonly tree: AgentTree
  readonly handles: Map<string, { readonly agent: AgentNode; readonly digest: string }>
  readonly credentials: Map<CredentialId, CredentialNode>
  readonly sessions: Map<SessionId, LiveSession>
  readonly log: ChangeLog
  readonly events: AgentEvents
  /** Changes of agents run one after the other: what one has checked still holds when it commits. */
  readonly serial: Serial
  readonly now: () => number
  readonly spawnsPerSecond: number
}
