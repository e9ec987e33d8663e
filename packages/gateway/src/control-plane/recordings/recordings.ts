import {
  isLedgerId,
  PartReader,
  storedThings,
  storeKeys,
  unwrapSessionKey,
  type SessionId,
  type PartItem,
  type SessionOpenedEntry,
  type StoredRecord,
} from '@sallyport/core'
import type { RecordingStore } from '../ports/recording-store.ts'
import {
  readJournalFolder,
  type Begun,
  type RecordedEntry,
  type RecordingProblem,
} from './journal-reader.ts'

type RecordedItem = RecordedEntry | RecordingProblem

/** Where recordings are: what workers have written, and what of it was shipped. */
export interface RecordingSources {
  readonly journalDir: string
  readonly recordingKey: Uint8Array
  readonly recordings: RecordingStore
  /** Keeps journals from being removed for as long as they are read. */
  readonly hold?: () => Disposable
}

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

/** All recorded sessions, oldest first, with what could not be read. Ledgers are none. */
export async function listSessions(sources: RecordingSources): Promise<{
  readonly sessions: readonly SessionSummary[]
  readonly problems: readonly RecordingProblem[]
}> {
  const sessions = new Map<SessionId, SessionSummary>()
  const problems: RecordingProblem[] = []
  for await (const item of readRecordings(sources)) {
    if (item.kind === 'problem') {
      problems.push(item)
      continue
    }
    if (isLedgerId(item.session)) continue
    const summary = summarise(sessions.get(item.session), item)
    if (summary !== undefined) sessions.set(item.session, summary)
  }
  const inOrder = [...sessions.values()].toSorted((a, b) => a.openedAtMs - b.openedAtMs)
  return { sessions: inOrder, problems }
}

/** The entries of the sessions whose id starts with `idPrefix`, and problems that concern them. */
export async function* sessionEntries(
  sources: RecordingSources,
  idPrefix: string,
): AsyncGenerator<RecordedItem> {
  for await (const item of readRecordings(sources, idPrefix)) {
    if (item.session?.startsWith(idPrefix) === true) yield item
  }
}

/** Everything that is recorded: what is in the store first, and what still stands in journals behind it. What is not wanted is not opened there. */
export async function* readRecordings(
  sources: RecordingSources,
  idPrefix = '',
  isWanted: (session: string) => boolean = () => true,
): AsyncGenerator<RecordedItem> {
  for await (const items of recordingBatches(sources, idPrefix, isWanted)) yield* items
}

/** As `readRecordings`, many at a time: asking for each by itself costs more than reading it. */
export async function* recordingBatches(
  { journalDir, recordingKey, recordings, hold }: RecordingSources,
  idPrefix: string,
  isWanted: (session: string) => boolean,
): AsyncGenerator<readonly RecordedItem[]> {
  using _held = hold?.()
  const begun = new Map<string, Begun[]>()
  for await (const thing of storedThings(recordings, idPrefix)) {
    if (thing.kind !== 'part' || !isWanted(thing.session)) continue
    const { session, part, indexes } = thing
    const id = session as SessionId
    const key = await sessionKeyOf(recordings, recordingKey, session)
    if (key === undefined) {
      const file = storeKeys.sessionKey(session)
      const reason = 'the key of the session is not there, or does not open with this recording key'
      yield [{ kind: 'problem', file, offset: 0, session: id, reason }]
      continue
    }
    const reader = new PartReader(recordings, { session, part, key })
    for await (const items of reader.batches(indexes))
      yield items.map((item) => recordedItem(item, id))
    const read = { id, verifier: reader.verifier, from: reader.summary.entries }
    begun.set(part, [...(begun.get(part) ?? []), read])
  }
  for await (const item of readJournalFolder(journalDir, recordingKey, begun)) yield [item]
}

function recordedItem(item: PartItem, session: SessionId): RecordedItem {
  if (item.kind === 'entry') return { ...item, session }
  const { where: file, offset = 0, what: reason } = item
  return { kind: 'problem', file, offset, session, reason }
}

/** The session's key, or undefined where it was erased or does not open. */
export async function sessionKeyOf(
  recordings: RecordingStore,
  recordingKey: Uint8Array,
  session: string,
): Promise<Buffer | undefined> {
  const wrapped = await recordings.get(storeKeys.sessionKey(session))
  return wrapped === undefined ? undefined : unwrapSessionKey(recordingKey, wrapped, session)
}

/** All parts in the store, or those of one session, each with its entries as far as they can be read. Sessions whose keys were erased are left out. */
export async function* storedEntries(
  { recordingKey, recordings }: RecordingSources,
  idPrefix = '',
): AsyncGenerator<{
  readonly session: SessionId
  readonly part: string
  readonly entries: AsyncIterable<StoredRecord>
}> {
  for await (const thing of storedThings(recordings, idPrefix)) {
    if (thing.kind !== 'part') continue
    const { session, part, indexes } = thing
    const key = await sessionKeyOf(recordings, recordingKey, session)
    if (key === undefined) continue
    const reader = new PartReader(recordings, { session, part, key })
    yield { session: session as SessionId, part, entries: entriesIn(reader.read(indexes)) }
  }
}

async function* entriesIn(items: AsyncIterable<PartItem>): AsyncGenerator<StoredRecord> {
  for await (const item of items) if (item.kind === 'entry') yield item
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
