import type { AgentId } from '@sallyport/core'
import type { BirthAgents, TokenUse, TokenUses } from './ports.ts'

/** Uses of tokens in memory: forgotten with the process. */
export class MemoryTokenUses implements TokenUses {
  readonly #uses = new Map<string, TokenUse>()
  readonly #agents: Pick<BirthAgents, 'get'>

  constructor(agents: Pick<BirthAgents, 'get'>) {
    this.#agents = agents
  }

  async take(token: string, use: TokenUse): Promise<TokenUse | undefined> {
    const earlier = this.#uses.get(token)
    if (earlier === undefined) this.#uses.set(token, use)
    return earlier
  }

  async bind(token: string, agent: AgentId): Promise<void> {
    const use = this.#uses.get(token)
    if (use !== undefined) this.#uses.set(token, { ...use, agent })
  }

  async wasRevoked(agent: AgentId): Promise<boolean> {
    return this.#agents.get(agent)?.state === 'revoked'
  }

  async release(token: string): Promise<void> {
    this.#uses.delete(token)
  }
}
