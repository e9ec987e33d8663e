import { SallyportError } from '@sallyport/core'
import { parseMoment } from './recordings/index/query/parse-moment.ts'
import type { RecordedEntry, RecordingProblem } from './recordings/journal-reader.ts'

/** From where on a recording is shown: a command's number, a moment, or a time of the session's first day. */
export type StartAt =
  | { readonly kind: 'seq'; readonly seq: number }
  | { readonly kind: 'moment'; readonly ms: number }
  | { readonly kind: 'clock'; readonly ms: number }

const dayMs = 86_400_000

/** Reads `#12`, `14:10:03` or `2026-11-20T14:10`; times without a zone are UTC, as they are printed. */
export function parseStartAt(text: string, nowMs: number): StartAt {
  const seq = /^#(\d{1,9})$/u.exec(text)?.[1]
  if (seq !== undefined) return { kind: 'seq', seq: Number(seq) }
  const clock = /^\d\d:\d\d(?::\d\d)?$/u.test(text)
    ? parseMoment(`1970-01-01T${text}`, 0)
    : undefined
  if (clock !== undefined) return { kind: 'clock', ms: clock.fromMs }
  const moment = parseMoment(text, nowMs)
  if (moment !== undefined) return { kind: 'moment', ms: moment.fromMs }
  const detail = `"${text}" is no place in a recording: write #12, 14:10:03 or 2026-11-20T14:10`
  throw new SallyportError('SP_QUERY_INVALID', detail, { detail })
}

/** Says of each entry, in order, whether it is shown. How a session began is, and so is all that is wrong with the recording. */
export function shownFrom(start: StartAt): (item: RecordedEntry | RecordingProblem) => boolean {
  let fromMs = start.kind === 'moment' ? start.ms : Infinity
  let isReached = false
  return (item) => {
    if (item.kind === 'problem') return true
    const { entry, timeMs } = item
    const isOpening = entry.kind === 'session.opened'
    if (isOpening && start.kind === 'clock') fromMs = timeMs - (timeMs % dayMs) + start.ms
    isReached ||=
      start.kind === 'seq' ? entry.kind === 'command' && entry.seq >= start.seq : timeMs >= fromMs
    return isReached || isOpening
  }
}
