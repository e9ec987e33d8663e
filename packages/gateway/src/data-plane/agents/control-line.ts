import { SallyportError } from '@sallyport/core'
import type { FromWorker, ToWorker } from '../../boundary/messages.ts'

type Answer = Extract<ToWorker, { kind: 'admission' | 'leased' }>
type Question = Extract<FromWorker, { kind: 'admit' | 'lease' }>
type Asked = Question extends infer Each
  ? Each extends Question
    ? Omit<Each, 'id'>
    : never
  : never

/** A control plane that is silent for so long is as good as gone: what it was asked for is refused. */
const answerMsMax = 5_000

/** Questions to the control plane, and its answers. Ordinary commands ask nothing; opening a session and running out of a lease do. */
export class ControlLine {
  readonly #tell: (message: FromWorker) => void
  readonly #asked = new Map<number, (answer: Answer) => void>()
  #next = 1

  constructor(tell: (message: FromWorker) => void) {
    this.#tell = tell
  }

  async ask<Kind extends Answer['kind']>(
    kind: Kind,
    question: Asked,
  ): Promise<Extract<Answer, { kind: Kind }>> {
    const id = this.#next
    this.#next += 1
    const { promise, resolve, reject } = Promise.withResolvers<Answer>()
    const timer = setTimeout(() => {
      reject(new SallyportError('SP_STATE_STALE', `no answer to ${question.kind}`))
    }, answerMsMax)
    this.#asked.set(id, resolve)
    this.#tell({ ...question, id })
    try {
      const answer = await promise
      if (answer.kind !== kind)
        throw new SallyportError('SP_INTERNAL', `${answer.kind} for ${kind}`)
      return answer as Extract<Answer, { kind: Kind }>
    } finally {
      clearTimeout(timer)
      this.#asked.delete(id)
    }
  }

  answered(answer: Answer): void {
    this.#asked.get(answer.id)?.(answer)
  }
}
