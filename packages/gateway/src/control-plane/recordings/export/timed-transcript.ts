import type { RecordedEntry, RecordingProblem } from '../journal-reader.ts'
import { SessionPrinter } from '../print-session.ts'

/** Lines that appear together, and when: seconds since the session began. */
export interface TimedText {
  readonly at: number
  readonly text: string
  /** Commands with their verdicts are what a reader jumps between. */
  readonly isCommand: boolean
}

/** A transcript with its timing. */
export async function* timedTranscript(
  items: AsyncIterable<RecordedEntry | RecordingProblem>,
  width: number,
): AsyncGenerator<TimedText & { readonly startMs: number }> {
  const printer = new SessionPrinter(width)
  let startMs: number | undefined
  let lastMs = 0
  for await (const item of items) {
    if (item.kind === 'entry') {
      startMs ??= item.timeMs
      lastMs = item.timeMs
    }
    const text = printer.print(item)
    if (text === '') continue
    const isCommand = item.kind === 'entry' && item.entry.kind === 'command'
    yield { startMs: startMs ?? 0, at: (lastMs - (startMs ?? lastMs)) / 1000, text, isCommand }
  }
}
