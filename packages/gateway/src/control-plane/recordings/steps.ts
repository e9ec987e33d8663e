import type { Entry } from '@sallyport/core'
import type { RecordedEntry, RecordingProblem } from './journal-reader.ts'
import { SessionPrinter } from './print-session.ts'
import type { Step } from '../contract/sessions.ts'

/** What was decided about a command, or done to its answer. */
export type StepDecision = 'blocked' | 'held' | 'refused' | 'masked'

/** Turns the entries of one session into steps. */
export class StepPrinter {
  readonly #printer: SessionPrinter

  constructor(width: number) {
    this.#printer = new SessionPrinter(width)
  }

  /** Undefined where the item adds no line. */
  print(item: RecordedEntry | RecordingProblem): Step | undefined {
    const text = this.#printer.print(item)
    if (text === '') return undefined
    const session = item.session === undefined ? {} : { session: item.session }
    if (item.kind === 'problem') return { kind: 'problem', ...session, text }
    const { entry, timeMs } = item
    const decision = decisionOf(entry)
    return {
      kind: entry.kind,
      ...session,
      atMs: timeMs,
      ...('seq' in entry ? { seq: entry.seq } : {}),
      ...(decision === undefined ? {} : { decision }),
      ...(entry.kind === 'response.end' && entry.status === 'suspended' ? { goesOn: true } : {}),
      text,
    }
  }
}

function decisionOf(entry: Entry): StepDecision | undefined {
  if (entry.kind === 'masked' || entry.kind === 'refused') return entry.kind
  if (entry.kind === 'held' || entry.kind === 'answered') return 'held'
  if (entry.kind !== 'command' || entry.effect === 'allow') return undefined
  return entry.effect === 'block' ? 'blocked' : 'held'
}

/** Commands that are not decided about yet, or whose answers go on: a caller may send as many at once without waiting. */
const openCommandsMax = 1000
/** Of a command that may yet be left out, this much is kept. */
const keptCharactersMax = 4096

/** Leaves only the commands that were blocked, held or refused, or whose answers were masked, each with its answer, and the frame of the session. */
export class DecisionFilter {
  readonly #undecided = new Map<number, Step[]>()
  readonly #decided = new Set<number>()

  /** The steps that are shown now that this one has come. */
  take(step: Step): readonly Step[] {
    const { seq } = step
    if (seq === undefined) return [step]
    const isOver = step.kind === 'response.end' && step.goesOn !== true
    if (step.decision !== undefined || this.#decided.has(seq)) {
      const before = this.#undecided.get(seq) ?? []
      this.#undecided.delete(seq)
      this.#decided.add(seq)
      if (isOver) this.#decided.delete(seq)
      forgetOldest(this.#decided)
      return [...before, step]
    }
    if (isOver) this.#undecided.delete(seq)
    else this.#keep(seq, step)
    return []
  }

  #keep(seq: number, step: Step): void {
    const text =
      step.text.length > keptCharactersMax
        ? `${step.text.slice(0, keptCharactersMax)}…\n`
        : step.text
    const kept = this.#undecided.get(seq)
    if (kept === undefined) this.#undecided.set(seq, [{ ...step, text }])
    else if (kept.length < 2) kept.push({ ...step, text })
    forgetOldest(this.#undecided)
  }
}

function forgetOldest(things: Map<number, unknown> | Set<number>): void {
  if (things.size <= openCommandsMax) return
  for (const oldest of things.keys()) {
    things.delete(oldest)
    return
  }
}
