import type { SessionState } from './session-state.ts'
import type { Slot } from './unit.ts'

/** What is to leave for the target, in the caller's order: nothing of it before every verdict so far is stored. */
export class Departures {
  readonly #state: SessionState
  #slots: Slot[] = []
  #running: Promise<void>[] = []
  /** A fault of our own in the pipeline: thrown by the next flush, so that nothing of this turn leaves. */
  #failure: Error | undefined
  /** The newest batch of which a command was refused. */
  #poisonedBatch = 0

  constructor(state: SessionState) {
    this.#state = state
  }

  add(slot: Slot): void {
    this.#slots.push(slot)
  }

  /** The pipeline carries what was added last. `running` never rejects. */
  waitFor(running: Promise<void>): void {
    this.#running.push(running)
  }

  failed(error: unknown): void {
    this.#failure ??= error instanceof Error ? error : new Error(String(error))
  }

  /** Takes back what was added last, with what the pipeline does about it. */
  takeNewest(): Promise<void> | undefined {
    this.#slots.pop()
    return this.#running.pop()
  }

  get isEmpty(): boolean {
    return this.#slots.length === 0
  }

  get hasSync(): boolean {
    return this.#slots.some(({ isSync }) => isSync)
  }

  /** Whether a command of the batch was refused, as far as it has left. */
  isPoisoned(batch: number): boolean {
    return batch === this.#poisonedBatch
  }

  /** Waits until every verdict so far is stored, then sends what may pass in one write, in the caller's order. */
  async flush(): Promise<void> {
    if (this.#running.length > 0) {
      const running = this.#running
      this.#running = []
      if (running.length === 1) await running[0]
      else await Promise.all(running)
    }
    if (this.#failure !== undefined) throw this.#failure
    while (!this.#state.isClosed && this.#hasUnrefused() && this.#state.mustWait()) {
      await this.#state.progress()
    }
    const slots = this.#slots
    this.#slots = []
    if (this.#state.isTaken || this.#state.isClosed) return
    for (const slot of slots) this.#depart(slot)
    if (!this.#state.toTarget.flush()) await this.#state.targetDrained()
  }

  #depart(slot: Slot): void {
    if (slot.isSync) this.#state.isSkipping = false
    else if (slot.batch === this.#poisonedBatch || this.#state.isSkipping) {
      this.#dropped(slot)
      return
    }
    if (slot.isPoison) this.#poisonedBatch = slot.batch
    for (const awaited of slot.awaits) this.#state.fifo.push(awaited)
    const { bytes, start, end } = slot.frames
    this.#state.toTarget.add(bytes, start, end)
  }

  /** Refusals leave also while all else has to wait. */
  #hasUnrefused(): boolean {
    let poisonedBatch = this.#poisonedBatch
    for (const { isPoison, batch } of this.#slots) {
      if (isPoison) poisonedBatch = batch
      else if (batch !== poisonedBatch) return true
    }
    return false
  }

  /** A command that was allowed, and dropped because one before it in its batch failed, is recorded as not run. */
  #dropped(slot: Slot): void {
    const answer = slot.awaits.find((awaited) => awaited.answer !== undefined)?.answer
    if (answer === undefined) return
    const { seq } = answer.entry
    this.#state.journal.note({
      kind: 'response.end',
      seq,
      status: 'skipped',
      tag: '',
      rows: 0,
      bytes: 0,
    })
  }
}
