import { SallyportError, visibleJson } from '@sallyport/core'
import type { RecordedEntry, RecordingProblem } from './recordings/journal-reader.ts'
import { sessionJson } from './recordings/print-session.ts'
import { sessionCast } from './recordings/export/export-cast.ts'
import { commandsCsv } from './recordings/export/export-csv.ts'
import { sessionHtml } from './recordings/export/export-html.ts'
import { DecisionFilter, StepPrinter } from './recordings/steps.ts'
import type { recordingForms } from './recording-forms.ts'
import { shownFrom, type StartAt } from './start-at.ts'
import { sessionEntries, type RecordingSources } from './recordings/recordings.ts'
import type { Step } from './contract/sessions.ts'

/** How a recorded session is wanted; `width` is in columns, for the forms that are laid out. */
export interface RecordingForm {
  readonly kind: keyof typeof recordingForms
  readonly width: number
  /** For text, steps and ndjson: where to begin. */
  readonly from?: StartAt
  /** For text and steps: only what was blocked, held, refused or masked. */
  readonly onlyDecisions?: boolean
  /** For steps: this many are left out, which the reader has. */
  readonly skip?: number
}

/** Reads one recorded session piece by piece, so that a long one never stands in memory; throws at once where there is none. */
export async function recordedSession(
  sources: RecordingSources,
  idPrefix: string,
  form: RecordingForm,
): Promise<AsyncGenerator<string>> {
  const pieces = printed(sources, idPrefix, form)
  const first = await pieces.next()
  if (first.done === true) {
    throw new SallyportError('SP_NOT_FOUND', `there is no recording of a session "${idPrefix}"`)
  }
  return (async function* all() {
    yield first.value
    yield* pieces
  })()
}

async function* printed(
  sources: RecordingSources,
  idPrefix: string,
  form: RecordingForm,
): AsyncGenerator<string> {
  const { kind, width, from } = form
  const items = sessionEntries(sources, idPrefix)
  switch (kind) {
    case 'csv':
      return yield* commandsCsv(items)
    case 'cast':
      return yield* sessionCast(items, idPrefix, width)
    case 'html':
      return yield* sessionHtml(items, idPrefix, width)
    case 'ndjson': {
      const isShown = from === undefined ? () => true : shownFrom(from)
      for await (const item of items) if (isShown(item)) yield `${sessionJson(item)}\n`
      return
    }
    case 'steps': {
      let skip = form.skip ?? 0
      for await (const step of steps(items, form)) {
        if (skip > 0) skip -= 1
        else yield `${visibleJson(JSON.stringify(step))}\n`
      }
      return
    }
    case 'text':
      for await (const { text } of steps(items, form)) yield text
  }
}

async function* steps(
  items: AsyncIterable<RecordedEntry | RecordingProblem>,
  { width, from, onlyDecisions }: RecordingForm,
): AsyncGenerator<Step> {
  const isShown = from === undefined ? () => true : shownFrom(from)
  const printer = new StepPrinter(width)
  const filter = onlyDecisions === true ? new DecisionFilter() : undefined
  for await (const item of items) {
    // Columns that are described early may be needed by what is shown.
    const step = printer.print(item)
    if (!isShown(item) || step === undefined) continue
    if (filter === undefined) yield step
    else yield* filter.take(step)
  }
}
