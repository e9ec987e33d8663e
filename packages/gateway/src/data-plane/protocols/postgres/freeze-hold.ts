import { SallyportError } from '@sallyport/core'
import type { SessionAgent } from '../../agents/session-agent.ts'

/** A frozen agent's command waits as long as one that waits for a person's approval. */
const heldMsMax = 15 * 60 * 1000

/** Holds the commands of a session while its agent is frozen: for some time, then they are refused. */
export class FreezeHold {
  readonly #agent: SessionAgent
  readonly #now: () => number
  readonly #wake: () => void
  #sinceMs: number | undefined
  /** A command waits, and whether its caller has asked for its end. */
  #hasCommand = false
  #givesUp = false
  #timer: NodeJS.Timeout | undefined

  /** `wake` is called when what waits should ask again. */
  constructor(agent: SessionAgent, now: () => number, wake: () => void) {
    this.#agent = agent
    this.#now = now
    this.#wake = wake
  }

  /** Whether a command that is still to be judged has to wait. */
  holdsCommand(): boolean {
    if (this.#holds() && !this.#isGivenUp()) return true
    this.#hasCommand = false
    return false
  }

  /** Whether what was let through, or needs no leave, has to wait: it ends what began before. Throws where it has waited for too long. */
  holdsAll(): boolean {
    if (this.#holds()) return true
    if (!this.#agent.isFrozen) return false
    const refusal = this.#agent.refusal(this.#now())
    throw new SallyportError('SP_AGENT_FROZEN', 'the agent was frozen for too long', {
      detail: refusal?.detail ?? '',
    })
  }

  /** A cancel request of the caller's: the command that waits is refused, since the target runs nothing that could be cancelled. */
  giveUp(): void {
    if (!this.#hasCommand) return
    this.#givesUp = true
    this.#wake()
  }

  close(): void {
    clearTimeout(this.#timer)
  }

  #isGivenUp(): boolean {
    const isGivenUp = this.#givesUp
    this.#givesUp = false
    this.#hasCommand = true
    return isGivenUp
  }

  #holds(): boolean {
    if (!this.#agent.isFrozen) {
      this.#sinceMs = undefined
      return false
    }
    const nowMs = this.#now()
    this.#sinceMs ??= nowMs
    const restMs = this.#sinceMs + heldMsMax - nowMs
    if (restMs <= 0) return false
    clearTimeout(this.#timer)
    this.#timer = setTimeout(this.#wake, restMs)
    return true
  }
}
