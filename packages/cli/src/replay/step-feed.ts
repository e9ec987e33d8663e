import type { Step } from '@sallyport/gateway'

/** Steps of a recording behind the first `skip`, as lines of JSON. */
export type OpenSteps = (skip: number) => AsyncIterable<string>

/** So much text is read ahead and held; a recording may be far longer. */
const heldCharactersMax = 4 * 1024 * 1024

/**
 * The steps of a recording, one by one, for a reader that may take hours over them. The gateway keeps journals for as long as
 * a recording is read from it, so it is read in portions, and nothing is open between them.
 */
export class StepFeed {
  readonly #open: OpenSteps
  #held: Step[] = []
  #next = 0
  #read = 0
  #isEnd = false

  constructor(open: OpenSteps) {
    this.#open = open
  }

  /** Undefined at the end. */
  async next(): Promise<Step | undefined> {
    if (this.#next === this.#held.length && !this.#isEnd) await this.#fill()
    const step = this.#held[this.#next]
    if (step !== undefined) this.#next += 1
    return step
  }

  async #fill(): Promise<void> {
    this.#held = []
    this.#next = 0
    let characters = 0
    for await (const line of linesOf(this.#open(this.#read))) {
      this.#held.push(JSON.parse(line) as Step)
      characters += line.length
      if (characters >= heldCharactersMax) break
    }
    this.#read += this.#held.length
    this.#isEnd = characters < heldCharactersMax
  }
}

/** Whole lines of pieces of text, without their ends. */
export async function* linesOf(pieces: AsyncIterable<string>): AsyncGenerator<string> {
  let rest: string[] = []
  for await (const piece of pieces) {
    const lines = piece.split('\n')
    const last = lines.pop() ?? ''
    for (const line of lines) {
      yield rest.length === 0 ? line : rest.join('') + line
      rest = []
    }
    if (last !== '') rest.push(last)
  }
  if (rest.length > 0) yield rest.join('')
}
