import { SallyportError } from '@sallyport/core'
import { SessionPrinter, sessionJson } from './recordings/print-session.ts'
import { sessionEntries, type RecordingSources } from './recordings/recordings.ts'

/** How a recorded session is wanted: one JSON object a line, or text for a terminal of that many columns. */
export type RecordingForm =
  | { readonly kind: 'ndjson' }
  | { readonly kind: 'text'; readonly width: number }

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
  const printer = form.kind === 'text' ? new SessionPrinter(form.width) : undefined
  for await (const item of sessionEntries(sources, idPrefix)) {
    const piece = printer === undefined ? `${sessionJson(item)}\n` : printer.print(item)
    if (piece !== '') yield piece
  }
}
