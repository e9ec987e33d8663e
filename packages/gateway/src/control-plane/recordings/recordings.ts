import type { SessionId, SessionOpenedEntry } from '@sallyport/core'
import { readJournalFolder, type RecordedEntry, type RecordingProblem } from './journal-reader.ts'

/** What a list of recordings shows of each session. */
export interface SessionSummary {
  readonly id: SessionId
  readonly opened: SessionOpenedEntry
  readonly openedAtMs: number
  readonly lastAtMs: number
  readonly commands: number
  readonly blocked: number
  readonly maskedValues: number
  /** Why the session ended; absent while it is open. */
  readonly closed?: string
  /** True when no entry of the chain failed verification. */
  readonly verified: boolean
}

/** All sessions of a folder, oldest first, with what could not be read. */
export async function listSessions(
  dir: string,
  recordingKey: Uint8Array,
): Promise<{
  readonly sessions: readonly SessionSummary[]
  readonly problems: readonly RecordingProblem[]
}> {
  const sessions = new Map<SessionId, SessionSummary>()
  const problems: RecordingProblem[] = []
  for await (const item of readJournalFolder(dir, recordingKey)) {
    if (item.kind === 'problem') {
      problems.push(item)
      continue
    }
    const summary = summarise(sessions.get(item.session), item)
    if (summary !== undefined) sessions.set(item.session, summary)
  }
  const inOrder = [...sessions.values()].toSorted((a, b) => a.openedAtMs - b.openedAtMs)
  return { sessions: inOrder, problems }
}

/** The entries of the sessions whose id starts with `idPrefix`, and problems that concern them. */
export async function* sessionEntries(
  dir: string,
  recordingKey: Uint8Array,
  idPrefix: string,
): AsyncGenerator<RecordedEntry | RecordingProblem> {
  for await (const item of readJournalFolder(dir, recordingKey)) {
    if (item.session?.startsWith(idPrefix) === true) yield item
  }
}

function summarise(
  before: SessionSummary | undefined,
  item: RecordedEntry,
): SessionSummary | undefined {
  const { entry, timeMs, verified } = item
  if (before === undefined) {
    if (entry.kind !== 'session.opened') return undefined
    const counts = { commands: 0, blocked: 0, maskedValues: 0 }
    const times = { openedAtMs: timeMs, lastAtMs: timeMs }
    return { id: item.session, opened: entry, ...times, ...counts, verified }
  }
  const after = { ...before, lastAtMs: timeMs, verified: before.verified && verified }
  if (entry.kind === 'masked') after.maskedValues += entry.values
  if (entry.kind === 'session.closed') return { ...after, closed: entry.reason }
  if (entry.kind !== 'command') return after
  const blocked = after.blocked + (entry.effect === 'block' ? 1 : 0)
  return { ...after, commands: after.commands + 1, blocked }
}
