import type { CredentialId, SessionId } from '@sallyport/core'
import type { Ledger } from '../ledger/ledger.ts'
import type { Store } from '../ports/store.ts'
import type { RevocationTable } from '../ports/tables/agent-tables.ts'
import { AgentEvents } from './agent-events.ts'
import type { AgentNode, CredentialNode } from './agent-node.ts'
import { AgentTree } from './agent-tree.ts'
import { ChangeLog } from './change-log.ts'
import { SPAWNS_PER_SECOND } from './limits.ts'
import type { HandleNode } from './handles.ts'
import { Serial } from './serial.ts'
import type { ClosureReport } from '../contract/agent-views.ts'

/** A session that was admitted and has not closed. */
export interface LiveSession {
  readonly agent: AgentNode
  readonly credential: CredentialNode
  readonly worker: number
}

/** A session whose worker died without ending what ran in it. */
export interface LostSession {
  readonly session: SessionId
  readonly agent: AgentNode
  readonly connection: string
  readonly atMs: number
}

/** What the parts of the agent service share. */
export interface AgentContext {
  readonly store: Store
  readonly tree: AgentTree
  readonly handles: Map<string, HandleNode>
  readonly credentials: Map<CredentialId, CredentialNode>
  readonly sessions: Map<SessionId, LiveSession>
  /** Sessions of workers that died: what ran in them may go on at the target for a while. */
  lost: LostSession[]
  readonly log: ChangeLog
  readonly events: AgentEvents
  readonly ledger: Ledger
  /** Changes of agents run one after the other: what one has checked still holds when it commits. */
  readonly serial: Serial
  readonly now: () => number
  readonly spawnsPerSecond: number
  /** The operating system's user name of the local owner. */
  readonly owner: string
  readonly onClosure: OnClosure
}

/** Told of what became of the sessions of agents that were taken away or stopped. */
export type OnClosure = (mode: RevocationTable['mode'], report: ClosureReport) => void

export interface ContextOptions {
  readonly ledger: Ledger
  /** Told of what fails where nobody waits for it. */
  readonly onFault: (error: unknown) => void
  readonly now?: () => number
  readonly spawnsPerSecond?: number
  readonly owner?: string
  readonly onClosure?: OnClosure
}

/** An empty memory beside a store. */
export function newContext(store: Store, options: ContextOptions): AgentContext {
  const tree = new AgentTree()
  const credentials: AgentContext['credentials'] = new Map()
  return {
    store,
    tree,
    handles: new Map(),
    credentials,
    sessions: new Map(),
    lost: [],
    log: new ChangeLog(
      () => tree.all(),
      () => credentials.values(),
    ),
    events: new AgentEvents(options.ledger),
    ledger: options.ledger,
    serial: new Serial(),
    now: options.now ?? Date.now,
    owner: options.owner ?? '',
    onClosure: options.onClosure ?? (() => undefined),
    spawnsPerSecond: options.spawnsPerSecond ?? SPAWNS_PER_SECOND,
  }
}
