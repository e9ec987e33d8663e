import type { FactActor } from '@sallyport/core'
import type { Insertable, Transaction } from 'kysely'
import type { FactName } from '../ledger/facts.ts'
import type { Fact, FactBy, Ledger } from '../ledger/ledger.ts'
import type { AgentEventTable } from '../ports/tables/agent-tables.ts'
import type { Tables } from '../ports/tables/tables.ts'
import { type AgentNode, chainOf } from './agent-node.ts'

/** Who asked for a change: a person, an agent or a timer. `chain` is empty where it is no agent. */
export interface Actor {
  readonly by: FactActor
  readonly name: string
  readonly chain: readonly string[]
  /** The ids of the chain. */
  readonly path?: readonly string[]
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
  return { by: 'gateway', name, chain: [] }
}

/** The local owner. */
export function ownerActor(name: string): Actor {
  return { by: 'owner', name, chain: [] }
}

/** Whoever logged in, or whose token was shown. */
export function principalActor(name: string): Actor {
  return { by: 'principal', name, chain: [] }
}

export function actorOf(node: AgentNode): Actor {
  return {
    by: 'agent',
    name: node.name,
    chain: chainOf(node),
    path: node.path.map(({ id }) => id),
  }
}

/** Writes events with the change that they describe, into its tables and the ledger, and tells watchers once it has committed. */
export class AgentEvents {
  readonly #ledger: Ledger
  readonly #watchers = new Set<(event: AgentEvent) => void>()

  constructor(ledger: Ledger) {
    this.#ledger = ledger
  }

  /** The last that a transaction does: where the ledger does not take what it may refuse, the change is undone. */
  async write(tx: Transaction<Tables>, events: readonly AgentEvent[]): Promise<void> {
    if (events.length > 0) await tx.insertInto('agent_event').values(events.map(eventRow)).execute()
    for (const event of events) await this.record(event)
  }

  /** As `write`, where the row is written already. Throws at once; resolves when the fact would survive a power failure. */
  record(event: AgentEvent): Promise<void> {
    return this.#ledger.write(factOf(event))
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

/** The same actor, as facts name them. */
export function factBy({ by, name, chain, path = [] }: Actor): FactBy {
  return { by, name, chain: path.map((id, at) => ({ id, name: chain[at] ?? '' })) }
}

function factOf({ kind, agent, by, detail }: AgentEvent): Fact {
  return {
    what: `agent.${kind}` satisfies FactName,
    actor: factBy(by),
    subject: agent.id,
    detail: { agent: chainOf(agent).join(' › '), ...flat(detail) },
  }
}

/** What an event says, as a fact may say it. */
function flat(detail: AgentEvent['detail']): NonNullable<Fact['detail']> {
  const told = Object.entries(detail).map(([name, value]) => [
    name,
    isPlain(value) ? value : Array.isArray(value) ? value.map(String) : JSON.stringify(value),
  ])
  return Object.fromEntries(told)
}

function isPlain(value: unknown): boolean {
  return value === null || ['string', 'number', 'boolean', 'undefined'].includes(typeof value)
}
