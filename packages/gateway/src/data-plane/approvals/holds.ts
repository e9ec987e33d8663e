import type { ApprovalId } from '@sallyport/core'
import type { HoldAnswer, HoldAsked, TargetQuestions } from '../../boundary/approvals.ts'
import type { FromWorker } from '../../boundary/messages.ts'

/** What the control plane gets beyond the deadline that it was told, before its silence counts as no answer. */
const lateMsMax = 5_000

/** A request that somebody may answer. */
export interface OpenHold {
  /** Never rejects. */
  readonly answer: Promise<HoldAnswer>
  /** Nobody waits for the answer any more. Does nothing once there is one. */
  withdraw(why: string): void
}

/** The requests for approval of one worker's sessions. */
export class Holds {
  readonly #tell: (message: FromWorker) => void
  readonly #open = new Map<
    ApprovalId,
    { readonly answered: (answer: HoldAnswer) => void; readonly told: (text: string) => void }
  >()

  constructor(tell: (message: FromWorker) => void) {
    this.#tell = tell
  }

  get size(): number {
    return this.#open.size
  }

  /** `told` hears what the caller is to read meanwhile. */
  ask(asked: HoldAsked, questions: TargetQuestions, told: (text: string) => void): OpenHold {
    const { promise, resolve } = Promise.withResolvers<HoldAnswer>()
    // Where nobody answers, not even to say that time is over, the command must not wait for ever.
    const timer = setTimeout(
      () => this.answered(asked.id, { outcome: 'expired', by: [], note: '' }),
      asked.untilMs - asked.askedAtMs + lateMsMax,
    )
    const answered = (answer: HoldAnswer): void => {
      clearTimeout(timer)
      this.#open.delete(asked.id)
      resolve(answer)
    }
    this.#open.set(asked.id, { answered, told })
    this.#tell({ kind: 'hold.asked', hold: asked, questions })
    return {
      answer: promise,
      withdraw: (why) => {
        if (!this.#open.has(asked.id)) return
        this.#tell({ kind: 'hold.withdrawn', id: asked.id, why })
        this.answered(asked.id, { outcome: 'withdrawn', by: [], note: why })
      },
    }
  }

  answered(id: ApprovalId, answer: HoldAnswer): void {
    this.#open.get(id)?.answered(answer)
  }

  told(id: ApprovalId, text: string): void {
    this.#open.get(id)?.told(text)
  }
}
