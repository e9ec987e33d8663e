import type { AgentId } from '@sallyport/core'
import type { AgentContext } from './agent-context.ts'
import type { AgentNode } from './agent-node.ts'
import { printLayers } from './grant-asks.ts'

/** Events of one lineage at most: the oldest say where it comes from, and the newest are in the ledger. */
const eventsMax = 256

/**
 * Where an agent comes from, root first: who made whom, when and how, and what happened since. A reader who is an agent
 * (`viewer`) learns of those above itself no more than their names and births.
 */
export async function lineageOf(
  { store, now }: AgentContext,
  node: AgentNode,
  viewer: AgentId | undefined,
): Promise<Readonly<Record<string, unknown>>> {
  const from = node.path.findIndex(({ id }) => id === viewer)
  const known = node.path.slice(Math.max(0, from))
  const events = await store.db
    .selectFrom('agent_event')
    .select(['at', 'kind', 'agent_id', 'by_name', 'by_chain'])
    .where(
      'agent_id',
      'in',
      known.map(({ id }) => id),
    )
    .orderBy('id')
    .limit(eventsMax)
    .execute()
  const { id, kind, name } = node.principal.current
  return {
    iat: Math.floor(now() / 1000),
    sub: id,
    principal: { kind, name },
    owner: node.owner,
    agent: node.id,
    path: node.path.map((each) => (known.includes(each) ? stationOf(each) : birthOf(each))),
    events: events.map(({ at, kind: what, agent_id: agent, by_name: by, by_chain: chain }) => ({
      at: at.toISOString(),
      kind: what,
      agent,
      by,
      ...(chain.length === 0 ? {} : { chain }),
    })),
    // RFC 8693, section 4.1: the one that acts outermost. An output only: nothing is decided by it.
    act: actOf(node),
  }
}

function birthOf({ id, name, path, born, createdAtMs }: AgentNode): Record<string, unknown> {
  return { id, name, depth: path.length - 1, born, createdAt: new Date(createdAtMs).toISOString() }
}

function stationOf(node: AgentNode): Record<string, unknown> {
  const { state, expiresAtMs, end, layers, purpose, declared, freezes } = node
  return {
    ...birthOf(node),
    state,
    expiresAt: new Date(expiresAtMs).toISOString(),
    grant: printLayers(layers),
    ...(end === undefined
      ? {}
      : { ended: { by: end.by, reason: end.reason, at: new Date(end.atMs).toISOString() } }),
    ...(freezes.length === 0
      ? {}
      : { frozenBy: freezes.map(({ by, reason }) => ({ by, reason })) }),
    ...(purpose === undefined ? {} : { purpose }),
    // Said by the agent itself.
    ...(Object.keys(declared).length === 0 ? {} : { declared }),
  }
}

interface Act {
  readonly sub: AgentId
  readonly act?: Act
}

function actOf({ id, parent }: AgentNode): Act {
  return parent === undefined ? { sub: id } : { sub: id, act: actOf(parent) }
}
