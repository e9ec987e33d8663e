import type { AgentId } from '@sallyport/core'
import type { LeaseRequest } from '../../boundary/agents.ts'
import type { AgentIndex } from './agent-index.ts'
import type { ControlLine } from './control-line.ts'
import { Purse } from './purse.ts'

/** The purses of one worker: the sessions of an agent share one. */
export class Purses {
  readonly #index: AgentIndex
  readonly #line: ControlLine
  readonly #giveBack: (request: LeaseRequest) => void
  readonly #now: () => number
  readonly #open = new Map<AgentId, { readonly purse: Purse; users: number }>()

  constructor(
    index: AgentIndex,
    line: ControlLine,
    giveBack: (request: LeaseRequest) => void,
    now: () => number,
  ) {
    this.#index = index
    this.#line = line
    this.#giveBack = giveBack
    this.#now = now
  }

  /** The agent's purse, and a function that lets go of it: the last to let go gives back what is left. */
  open(agent: AgentId): { purse: Purse; release: () => void } {
    const lease = async (request: LeaseRequest) =>
      await this.#line.ask('leased', { kind: 'lease', request })
    const held = this.#open.get(agent) ?? {
      purse: new Purse(this.#index, agent, lease, this.#now),
      users: 0,
    }
    this.#open.set(agent, held)
    held.users += 1
    return {
      purse: held.purse,
      release: () => {
        held.users -= 1
        if (held.users > 0) return
        this.#open.delete(agent)
        const amounts = held.purse.empty()
        if (Object.keys(amounts).length > 0) this.#giveBack({ agent, amounts })
      },
    }
  }
}
