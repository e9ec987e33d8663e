import { SallyportError } from '@sallyport/core'
import { SessionPrinter, sessionJson } from './recordings/print-session.ts'
import { sessionCast } from './recordings/export/export-cast.ts'
import { commandsCsv } from './recordings/export/export-csv.ts'
import { sessionHtml } from './recordings/export/export-html.ts'
import { shownFrom, type StartAt } from './start-at.ts'
import { sessionEntries, type RecordingSources } from './recordings/recordings.ts'

/** What a recorded session can be read as, and the media type of each. */
export const recordingForms = {
  ndjson: 'application/x-ndjson',
  text: 'text/plain; charset=utf-8',
  csv: 'text/csv; charset=utf-8',
  cast: 'application/x-asciicast',
  html: 'text/html; charset=utf-8',
} as const

/** How a recorded session is wanted; `width` is in columns, for the forms that are laid out. */
export interface RecordingForm {
  readonly kind: keyof typeof recordingForms
  readonly width: number
  /** For text and ndjson: where to begin. */
  readonly from?: StartAt
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
  { kind, width, from }: RecordingForm,
): AsyncGenerator<string> {
  const items = sessionEntries(sources, idPrefix)
  const isShown = from === undefined ? () => true : shownFrom(from)
  switch (kind) {
    case 'csv':
      return yield* commandsCsv(items)
    case 'cast':
      return yield* sessionCast(items, idPrefix, width)
    case 'html':
      return yield* sessionHtml(items, idPrefix, width)
    case 'ndjson':
      for await (const item of items) if (isShown(item)) yield `${sessionJson(item)}\n`
      return
    case 'text': {
      const printer = new SessionPrinter(width)
      for await (const item of items) {
        // Columns that are described early may be needed by what is shown.
        const piece = printer.print(item)
        if (isShown(item) && piece !== '') yield piece
      }
    }
  }
}
