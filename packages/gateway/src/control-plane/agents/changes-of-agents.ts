import { foldLayers, type GrantLayer } from '@sallyport/core'
import { type RawBuilder, sql } from 'kysely'
import type { AgentContext } from './agent-context.ts'
import type { Actor, AgentEvent } from './agent-events.ts'
import type { AgentNode } from './agent-node.ts'
import { authorize } from './authorize-agent.ts'
import type { Endings } from './endings.ts'
import { gatewayActor } from './agent-events.ts'
import { printLayers } from './grant-asks.ts'
import { LAYERS_MAX, LAYERS_WRITTEN_MAX } from './limits.ts'
import { invalid } from './spawn-rules.ts'

/** Changes that leave an agent alive. */
export class ChangesOfAgents {
  readonly #context: AgentContext
  readonly #endings: Endings

  constructor(context: AgentContext, endings: Endings) {
    this.#context = context
    this.#endings = endings
  }

  /** Adds a layer: from now on the agent and all below it may do only what this layer allows too. */
  narrow(agent: AgentNode, layer: GrantLayer, by: Actor): Promise<void> {
    return this.#change(agent, by, 'narrowed', () => {
      const layers = fewest([...agent.layers, layer])
      if (layers.length > LAYERS_MAX || agent.layersWritten >= LAYERS_WRITTEN_MAX)
        throw invalid(`a grant has ${LAYERS_MAX} layers at most. Ask for a new child`)
      return {
        // The table keeps them all, so that it can see that none is ever taken away.
        row: { layers: sql<string>`layers || ${JSON.stringify([layer])}::jsonb` },
        detail: { grant: printLayers([layer]) },
        apply: () => {
          agent.layers = layers
          agent.layersWritten += 1
        },
      }
    })
  }

  /**
   * Sets the end of an agent. An agent brings its own nearer; one above it, or the owner, may put it off as far as a new
   * child of the same parent would live. Nobody gains by it what a new child would not give.
   */
  renew(agent: AgentNode, ttlMs: number, by: Actor, isAbove: boolean): Promise<void> {
    return this.#change(agent, by, 'renewed', () => {
      if (!Number.isSafeInteger(ttlMs) || ttlMs <= 0) throw invalid('ttl must be a time to come')
      const nowMs = this.#context.now()
      const expiresAtMs = Math.min(nowMs + ttlMs, latestEnd(agent, nowMs))
      if (expiresAtMs > agent.expiresAtMs && !isAbove)
        throw invalid('an agent only brings its own end nearer. Ask whoever is above it')
      if (nowMs + ttlMs > expiresAtMs + ttlToleranceMs)
        throw invalid(`it can live until ${new Date(expiresAtMs).toISOString()} at most`)
      return {
        row: { expires_at: new Date(expiresAtMs) },
        detail: { expiresAt: new Date(expiresAtMs).toISOString() },
        apply: () => {
          agent.expiresAtMs = expiresAtMs
        },
      }
    })
  }

  /** The agent's broker is there. The first beat is stored: from then on, silence means something. */
  async beat(agent: AgentNode): Promise<void> {
    const { now, store } = this.#context
    const isFirst = agent.beatAtMs === undefined
    agent.beatAtMs = now()
    agent.touchedAtMs = agent.beatAtMs
    if (isFirst) {
      const beat = new Date(agent.beatAtMs)
      await store.durable((tx) =>
        tx.updateTable('agent').set({ last_beat_at: beat }).where('id', '=', agent.id).execute(),
      )
    }
    if (agent.freezes.some(({ kind, at }) => kind === 'heartbeat' && at === agent.id))
      await this.#endings.unfreeze(agent, gatewayActor('heartbeat'), 'it is back', ['heartbeat'])
  }

  #change(
    agent: AgentNode,
    by: Actor,
    kind: AgentEvent['kind'],
    change: () => {
      row: { layers: RawBuilder<string> } | { expires_at: Date }
      detail: AgentEvent['detail']
      apply: () => void
    },
  ): Promise<void> {
    const { serial, store, log, events, now } = this.#context
    return serial.run(async () => {
      authorize(agent, now())
      const { row, detail, apply } = change()
      const event: AgentEvent = { kind, agent, by, atMs: now(), detail }
      await store.durable(async (tx) => {
        await tx.updateTable('agent').set(row).where('id', '=', agent.id).execute()
        await events.write(tx, [event])
      })
      apply()
      log.commit({ agents: [agent] })
      events.tell([event])
    })
  }
}

/** An ask for as long as the parent has left is late by the time it took to send. */
const ttlToleranceMs = 60_000

/** A root only ends earlier: who needs longer logs in again. */
function latestEnd({ parent, expiresAtMs }: AgentNode, nowMs: number): number {
  if (parent === undefined) return expiresAtMs
  const latest = Math.min(parent.expiresAtMs, nowMs + parent.limits.ttlMs)
  return Math.max(expiresAtMs, latest)
}

/** The same grant in no more layers than it may have, where that can be proven. */
export function fewest(layers: readonly GrantLayer[]): readonly GrantLayer[] {
  return layers.length <= LAYERS_MAX ? layers : foldLayers(layers)
}
