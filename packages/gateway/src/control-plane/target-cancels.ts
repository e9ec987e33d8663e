import { type AgentId, Secret, type SessionId } from '@sallyport/core'
import type { Outcome } from '../boundary/agents.ts'
import type { OpenedTarget } from '../boundary/messages.ts'
import type { TargetPlace } from '../boundary/snapshot.ts'
import { cancelTarget, type TargetCancelKey } from '../target/cancel-target.ts'

/** A session whose own worker can't end what runs in it. */
export interface OrphanSession {
  readonly session: SessionId
  readonly agent: AgentId
  readonly connection: string
}

interface Known {
  readonly worker: number
  readonly place: TargetPlace
  readonly key: Secret<TargetCancelKey>
}

/** A report waits for it; a target that has not read the request by then may be gone as well. */
const cancelMsMax = 1_000
/** Each is a process at the target for a moment. */
const atOnceMax = 16

/**
 * What the workers have told of the targets of their sessions, so that a statement can be ended when its worker is dead or
 * does not answer. In memory only: with the control plane the workers end too, and they cancel what runs.
 */
export class TargetCancels {
  readonly #known = new Map<SessionId, Known>()
  readonly #keptMs: number

  /** What is known of sessions whose worker died is kept for `keptMs`. */
  constructor(keptMs: number) {
    this.#keptMs = keptMs
  }

  get size(): number {
    return this.#known.size
  }

  opened(worker: number, session: SessionId, target: OpenedTarget): void {
    const { place, processId, secretKey } = target
    const key = new Secret({ processId, secretKey: Buffer.from(secretKey) })
    this.#known.set(session, { worker, place, key })
  }

  closed(session: SessionId): void {
    this.#known.delete(session)
  }

  workerLost(worker: number): void {
    const lost = [...this.#known].filter(([, known]) => known.worker === worker)
    setTimeout(() => {
      for (const [session] of lost) this.#known.delete(session)
    }, this.#keptMs).unref()
  }

  /** Asks the targets of these sessions to end what runs there. Never rejects; the outcomes say how far it came. */
  async cancel(sessions: readonly OrphanSession[]): Promise<ReadonlyMap<SessionId, Outcome>> {
    const outcomes = new Map<SessionId, Outcome>()
    const waiting = [...sessions]
    const signal = AbortSignal.timeout(cancelMsMax)
    const work = async (): Promise<void> => {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift())
        outcomes.set(next.session, await this.#cancel(next.session, signal))
    }
    await Promise.all(Array.from({ length: Math.min(atOnceMax, sessions.length) }, work))
    return outcomes
  }

  async #cancel(session: SessionId, signal: AbortSignal): Promise<Outcome> {
    const known = this.#known.get(session)
    if (known === undefined || signal.aborted) return 'unknown'
    try {
      await cancelTarget(known.place, known.key.expose(), signal)
      return 'cancel-sent'
    } catch {
      return 'unknown'
    }
  }
}
