import { ERRORS } from '@sallyport/core'
import { BackendType, frameType } from '@sallyport/wire'
import type { Needs, Purse } from '../../agents/purse.ts'
import type { Answer } from '../../pipeline/answer.ts'
import type { Awaited } from './awaited.ts'
import { cutByBudget, cutByGrant } from './budget-refusal.ts'
import type { Delivery } from './delivery.ts'
import { refusalError } from './refuse.ts'
import type { SessionState } from './session-state.ts'

/** What the gate asks of the session around it. */
export interface RowGateDeps {
  readonly purse: Purse
  /** Asks the target to end what it runs. */
  cancelTarget(): Promise<void>
  /** Reads messages that had to wait. */
  read(waited: Buffer): void
  /** Reading what waited for a budget has failed. */
  failed(error: unknown): void
  /** Messages that waited have been read: the target may be read again, and what waited for them goes on. */
  resumed(): void
}

/** Lets rows pass as far as budgets and grants allow, and cuts a result after the last whole row of them. */
export class RowGate {
  readonly #state: SessionState
  readonly #delivery: Delivery
  readonly #deps: RowGateDeps
  /** Messages from one on that can't be read yet. */
  #stalled: Buffer | undefined
  /** A cancel request is under way: it must not meet the command that the caller sends next. */
  #isCancelling = false

  constructor(state: SessionState, delivery: Delivery, deps: RowGateDeps) {
    this.#state = state
    this.#delivery = delivery
    this.#deps = deps
  }

  /** True while messages wait here: the target must not be read. */
  get isStalled(): boolean {
    return this.#stalled !== undefined
  }

  /** Whether the message at `at` may be read now. Where not, it and all behind it wait here and are read later. */
  admits(whole: Buffer, at: number, end: number): boolean {
    const type = frameType(whole, at)
    // The batch that was cut does not end before its cancel request has.
    const isEarly = this.#isCancelling && type === BackendType.readyForQuery
    if (!isEarly && this.#isCovered(type, end - at)) return true
    this.#stalled = whole.subarray(at)
    if (!isEarly) void this.#deps.purse.fill(ofRow(end - at)).then(this.#goOn, this.#goOn)
    return false
  }

  /** Counts a row, or cuts the result where no more of it may pass. */
  take(answer: Answer, front: Awaited, bytes: number): boolean {
    if (this.#delivery.isCut) return false
    const { rowsMax } = answer
    const { purse } = this.#deps
    const spent = purse.countsRows ? purse.take(ofRow(bytes)) : undefined
    if (spent === undefined && (rowsMax === undefined || answer.rowsOfAll < rowsMax)) {
      answer.rows += 1
      answer.rowsOfAll += 1
      return true
    }
    const isRead = front.classified?.effects.class === 'read'
    const refusal =
      spent === undefined
        ? cutByGrant(answer.rowsOfAll, isRead)
        : cutByBudget(spent, answer.rows, isRead)
    this.#delivery.cut(answer, refusalError(refusal), ERRORS[refusal.code].sqlState)
    this.#endBatch(front)
    return false
  }

  /** Whether a row's budget is here, or known to be spent. */
  #isCovered(type: number, bytes: number): boolean {
    const { purse } = this.#deps
    if (!purse.countsRows || this.#delivery.isCut) return true
    if (type !== BackendType.dataRow && type !== BackendType.copyData) return true
    return purse.isReady(ofRow(bytes))
  }

  readonly #goOn = (): void => {
    const rest = this.#stalled
    this.#stalled = undefined
    if (rest === undefined || this.#state.isClosed) return
    try {
      this.#deps.read(rest)
      this.#deps.resumed()
    } catch (error) {
      this.#deps.failed(error)
    }
  }

  /** A result was cut, which is an error to the caller: so what would follow in its batch is not run. */
  #endBatch(front: Awaited): void {
    const isBatch = front.kind !== 'query' && front.kind !== 'function'
    if (isBatch && !this.#state.fifo.owesSync) this.#state.isSkipping = true
    this.#isCancelling = true
    void this.#deps.cancelTarget().then(this.#cancelled, this.#cancelled)
  }

  readonly #cancelled = (): void => {
    this.#isCancelling = false
    if (this.isStalled) this.#goOn()
  }
}

function ofRow(bytes: number): Needs {
  return [
    ['rows', 1],
    ['bytes', bytes],
  ]
}
