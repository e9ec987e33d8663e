import type { AgentId, SessionId } from '@sallyport/core'
import type { ClosedByAgent } from '../../boundary/agents.ts'
import type { LiveSession } from './agent-index.ts'

/** What sits in it once the session is open. */
export type Occupant = Pick<LiveSession, 'agentsChanged' | 'takeAway'>

/** The place of a session in the live index, taken before its agent's standing is looked at and long before the target is called. */
export class Seat implements LiveSession {
  readonly id: SessionId
  readonly agent: AgentId
  readonly connection: string
  /** The agent was taken away before there was a session. */
  isTaken = false
  #occupant: Occupant | undefined

  constructor(id: SessionId, agent: AgentId, connection: string) {
    this.id = id
    this.agent = agent
    this.connection = connection
  }

  occupy(occupant: Occupant): void {
    this.#occupant = occupant
  }

  agentsChanged(): void {
    this.#occupant?.agentsChanged()
  }

  async takeAway(): Promise<ClosedByAgent['outcome']> {
    this.isTaken = true
    return (await this.#occupant?.takeAway()) ?? 'idle'
  }
}
