import type { Insertable, Transaction } from 'kysely'
import type { AgentEventTable, Tables } from '../ports/store.ts'
import { type AgentNode, chainOf } from './agent-node.ts'

/** Who asked for a change: a person, an agent or a timer. `chain` is empty where it is no agent. */
export interface Actor {
  readonly name: string
  readonly chain: readonly string[]
}

export type AgentEventKind =
  | 'born'
  | 'narrowed'
  | 'renewed'
  | 'ticket'
  | 'frozen'
  | 'unfrozen'
  | 'ended'
  | 'expired'
  | 'revoked'
  | 'finding'

/** Something that happened to an agent, for the ledger and for those who watch. */
export interface AgentEvent {
  readonly kind: AgentEventKind
  readonly agent: AgentNode
  readonly by: Actor
  readonly atMs: number
  readonly detail: Readonly<Record<string, unknown>>
}

/** The gateway itself, by the name of what it noticed. */
export function gatewayActor(name: string): Actor {
  return { name, chain: [] }
}

export function actorOf(node: AgentNode): Actor {
  return { name: node.name, chain: chainOf(node) }
}

/** Writes events into the ledger with the change that they describe, and tells watchers once it has committed. */
export class AgentEvents {
  readonly #watchers = new Set<(event: AgentEvent) => void>()

  async write(tx: Transaction<Tables>, events: readonly AgentEvent[]): Promise<void> {
    if (events.length > 0) await tx.insertInto('agent_event').values(events.map(eventRow)).execute()
  }

  tell(events: readonly AgentEvent[]): void {
    for (const event of events) for (const watcher of this.#watchers) watcher(event)
  }

  /** Returns a function that stops the watching. */
  watch(watcher: (event: AgentEvent) => void): () => void {
    this.#watchers.add(watcher)
    return () => this.#watchers.delete(watcher)
  }
}

/** An event as the ledger keeps it. */
export function eventRow(event: AgentEvent): Insertable<AgentEventTable> {
  return {
    at: new Date(event.atMs),
    kind: event.kind,
    agent_id: event.agent.id,
    path: event.agent.path.map((each) => each.id),
    by_name: event.by.name,
    by_chain: [...event.by.chain],
    detail: JSON.stringify(event.detail),
  }
}
