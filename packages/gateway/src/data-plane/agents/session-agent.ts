import { SallyportError, type AgentId, type Chain, type Refusal } from '@sallyport/core'
import type { AgentIndex } from './agent-index.ts'
import { standingRefusal } from './standing-refusal.ts'

/** The agent of one session, as it is now. */
export class SessionAgent {
  readonly id: AgentId
  readonly path: readonly AgentId[]
  readonly #index: AgentIndex
  readonly #level: number
  #chain: Chain
  #version: number
  #refusal: Refusal | undefined
  #expiresAtMs = 0

  /** Throws where the agent is not known. */
  constructor(index: AgentIndex, id: AgentId, level: number) {
    const record = index.agent(id)
    const chain = index.chainOf(id, level)
    if (record === undefined || chain === undefined) {
      throw new SallyportError('SP_AGENT_ENDED', `agent ${id} is not known`)
    }
    this.id = id
    this.path = record.path
    this.#index = index
    this.#level = level
    this.#chain = chain
    this.#version = -1
  }

  /** The same object until an agent changes. */
  get chain(): Chain {
    this.#look()
    return this.#chain
  }

  /** Why nothing may be done now; undefined where it may. Looked at for every command, so it asks nobody. */
  refusal(nowMs: number): Refusal | undefined {
    this.#look()
    if (nowMs < this.#expiresAtMs) return this.#refusal
    return standingRefusal(this.#index.standing(this.id), this.#chain)
  }

  get isFrozen(): boolean {
    this.#look()
    return this.#refusal?.code === 'SP_AGENT_FROZEN'
  }

  #look(): void {
    if (this.#version === this.#index.version) return
    this.#version = this.#index.version
    this.#chain = this.#index.chainOf(this.id, this.#level) ?? this.#chain
    this.#expiresAtMs = Math.min(...this.#chain.agents.map((agent) => agent.expiresAtMs))
    this.#refusal = standingRefusal(this.#index.standing(this.id), this.#chain)
  }
}
