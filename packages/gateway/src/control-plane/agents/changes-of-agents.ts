import type { GrantLayer } from '@sallyport/core'
import type { AgentContext } from './agent-context.ts'
import type { Actor, AgentEvent } from './agent-events.ts'
import type { AgentNode } from './agent-node.ts'
import { authorize } from './authorize-agent.ts'
import type { Endings } from './endings.ts'
import { gatewayActor } from './agent-events.ts'
import { printLayers } from './grant-asks.ts'
import { LAYERS_MAX } from './limits.ts'
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
      if (agent.layers.length >= LAYERS_MAX)
        throw invalid(`a grant has ${LAYERS_MAX} layers at most`)
      const layers = [...agent.layers, layer]
      return {
        row: { layers: JSON.stringify(layers) },
        detail: { grant: printLayers([layer]) },
        apply: () => {
          agent.layers = layers
        },
      }
    })
  }

  /** Sets the end of an agent. It only comes nearer: whoever needs longer asks for a new child. */
  renew(agent: AgentNode, ttlMs: number, by: Actor): Promise<void> {
    return this.#change(agent, by, 'renewed', () => {
      if (!Number.isSafeInteger(ttlMs) || ttlMs <= 0) throw invalid('ttl must be a time to come')
      const expiresAtMs = this.#context.now() + ttlMs
      if (expiresAtMs > agent.expiresAtMs)
        throw invalid('the end of an agent only comes nearer. Ask for a new child')
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
      row: { layers: string } | { expires_at: Date }
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
