import type { Answer } from '../../pipeline/answer.ts'
import { ByteRun } from './byte-run.ts'
import type { SessionState } from './session-state.ts'

/** Answers up to this size stand in the entry of their end. */
const endDataBytesMax = 64 * 1024

/** Gives answers to the caller, and records what it gets: the same bytes, in the same order. */
export class Delivery {
  readonly #state: SessionState
  readonly #recordsAnswers: boolean
  /** What the caller got and the journal has not: the newest bytes of one answer. */
  readonly #unrecorded = new ByteRun()
  #unrecordedOf: Answer | undefined
  /** A result was cut: up to the end of its batch the caller gets nothing more. */
  #cut: Answer | undefined

  constructor(state: SessionState, recordsAnswers: boolean) {
    this.#state = state
    this.#recordsAnswers = recordsAnswers
  }

  get isCut(): boolean {
    return this.#cut !== undefined
  }

  /** Sends the bytes from `start` to `end`, and records them as part of the answer. */
  send(bytes: Buffer, start: number, end: number, answer: Answer | undefined): void {
    // Of an agent that was taken away the caller reads why, and nothing else.
    if (this.isCut || this.#state.isTaken) return
    this.#state.toCaller.add(bytes, start, end)
    if (answer === undefined) return
    answer.bytes += end - start
    if (!this.#recordsAnswers || start === end) return
    if (this.#unrecordedOf === answer && this.#unrecorded.extend(bytes, start, end)) return
    this.record()
    this.#unrecorded.extend(bytes, start, end)
    this.#unrecordedOf = answer
  }

  /** Sends a message of the gateway's own making. */
  add(bytes: Buffer, answer: Answer | undefined): void {
    this.send(bytes, 0, bytes.length, answer)
  }

  /** Records that an answer is over, for now where its portal is suspended. */
  end(
    answer: Answer,
    status: 'complete' | 'error' | 'suspended' | 'skipped',
    tag: string,
    sqlState?: string,
  ): void {
    // A result that was cut has had its end.
    if (this.#cut === answer) return
    if (this.#unrecordedOf !== answer || this.#unrecorded.length > endDataBytesMax) this.record()
    const { seq } = answer.entry
    const { rows, bytes } = answer
    answer.rows = 0
    answer.bytes = 0
    const data = this.#take()
    const kind = 'response.end'
    this.#state.journal.note({ kind, seq, status, tag, rows, bytes, sqlState, data })
  }

  /** Ends an answer here, with an error: what the target still sends up to the end of its batch reaches nobody. */
  cut(answer: Answer, error: Buffer, sqlState: string): void {
    this.add(error, answer)
    this.end(answer, 'error', '', sqlState)
    this.#cut = answer
  }

  /** The batch is over, and the caller is told of what follows. */
  batchEnds(): void {
    this.#cut = undefined
  }

  /** Records what was sent and is not recorded yet. */
  record(): void {
    const seq = this.#unrecordedOf?.entry.seq
    const bytes = this.#take()
    if (seq === undefined || bytes === undefined) return
    this.#state.journal.note({ kind: 'response.data', seq, bytes })
  }

  #take(): Buffer | undefined {
    if (this.#unrecordedOf === undefined) return undefined
    this.#unrecordedOf = undefined
    return this.#unrecorded.take()
  }
}
