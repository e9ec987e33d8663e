import { Buffer } from 'node:buffer'
import fs from 'node:fs/promises'
import path from 'node:path'
import {
  ChainVerifier,
  JournalScanner,
  unwrapSessionKey,
  type DecodedRecord,
  type Entry,
  type SessionId,
  type SessionOpenedEntry,
} from '@sallyport/core'

const CHUNK_BYTES = 256 * 1024

/** One entry as it was recorded. `verified` says that the chain is whole up to here. */
export interface RecordedEntry {
  readonly kind: 'entry'
  readonly session: SessionId
  readonly position: number
  readonly timeMs: number
  readonly verified: boolean
  readonly entry: Entry
}

/** Something that keeps a recording from being whole. What can be read is still given. */
export interface RecordingProblem {
  readonly kind: 'problem'
  readonly file: string
  readonly offset: number
  readonly session?: SessionId
  readonly reason: string
}

interface SessionState {
  readonly id: SessionId
  readonly verifier: ChainVerifier | undefined
  /** Position of the first entry that is wanted. */
  readonly from: number
  broken: boolean
}

/** What was read of a session elsewhere, and the verifier that did it. */
export interface Begun {
  readonly id: SessionId
  readonly verifier: ChainVerifier | undefined
  readonly from: number
}

/**
 * Reads all journals of a folder, file by file in the order they were written, and checks every chain.
 *
 * It holds one window of one file. The end of a file that is being written is not a problem: what is whole is given.
 * `begun` names parts, as `<worker>-<run>-<reference>`, of which the beginning was read elsewhere. Where somebody removed the
 * journals, parts of several sessions may have one name.
 */
export async function* readJournalFolder(
  dir: string,
  recordingKey: Uint8Array,
  begun: ReadonlyMap<string, readonly Begun[]> = new Map(),
): AsyncGenerator<RecordedEntry | RecordingProblem> {
  const sessions = new Map<string, SessionState>()
  const names = await fs.readdir(dir)
  for (const name of names.toSorted()) {
    if (name.endsWith('.journal.damaged')) {
      yield { kind: 'problem', file: name, offset: 0, reason: 'the file was set aside as damaged' }
    }
    // What stands before the damage was recorded before it, so it is given too.
    if (!/\.journal(?:\.damaged)?$/u.test(name)) continue
    try {
      yield* readFile(path.join(dir, name), { recordingKey, sessions, begun })
    } catch (error) {
      // Files that were shipped and deleted since the listing are no problem; others must not stop the rest.
      if (isMissing(error)) continue
      const reason = error instanceof Error ? error.message : String(error)
      yield { kind: 'problem', file: name, offset: 0, reason }
    }
  }
}

/** What is known while a folder is read. */
interface Reading {
  readonly recordingKey: Uint8Array
  /** By part, those whose opening was read here. */
  readonly sessions: Map<string, SessionState>
  readonly begun: ReadonlyMap<string, readonly Begun[]>
}

async function* readFile(
  file: string,
  reading: Reading,
): AsyncGenerator<RecordedEntry | RecordingProblem> {
  const name = path.basename(file)
  const scanner = new JournalScanner()
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  await using handle = await fs.open(file, 'r')
  let run = ''
  for (;;) {
    const offset = scanner.offset
    const found = scanner.next()
    if (found.kind === 'more') {
      const { bytesRead } = await handle.read(chunk, 0, CHUNK_BYTES)
      if (bytesRead === 0) return
      scanner.push(chunk.subarray(0, bytesRead))
    } else if (found.kind === 'bad') {
      yield { kind: 'problem', file: name, offset, reason: found.reason }
      return
    } else if (found.kind === 'header') {
      run = `${found.header.worker}-${found.header.run}`
    } else {
      yield* followRecord(found, { file: name, offset, run, ...reading })
    }
  }
}

function* followRecord(
  record: DecodedRecord,
  at: Reading & { readonly file: string; readonly offset: number; readonly run: string },
): Generator<RecordedEntry | RecordingProblem> {
  const { file, offset } = at
  const reference = `${at.run}-${record.session}`
  const { entry, position, timeMs } = record
  if (entry.kind === 'session.opened' && at.sessions.get(reference)?.id !== entry.session)
    at.sessions.set(reference, opened(entry, at.begun.get(reference), at.recordingKey))
  const state = at.sessions.get(reference) ?? goingOn(reference, at)
  if (state === undefined) {
    // What another session of this name has in the store is read there.
    if (at.begun.get(reference)?.some(({ from }) => position < from) === true) return
    const reason = 'an entry of a session whose opening is not here'
    yield { kind: 'problem', file, offset, reason }
    return
  }
  if (position < state.from) return
  const session = state.id
  const verified = state.verifier?.accept(record) ?? false
  if (!verified && !state.broken) {
    state.broken = true
    const reason =
      state.verifier === undefined
        ? 'the key of the session does not open with this recording key'
        : 'the chain of the session is broken here'
    yield { kind: 'problem', file, offset, session, reason }
  }
  if (entry.kind === 'session.closed') at.sessions.delete(reference)
  yield { kind: 'entry', session, position, timeMs, verified, entry }
}

function opened(
  { session, wrappedKey }: SessionOpenedEntry,
  begun: readonly Begun[] | undefined,
  recordingKey: Uint8Array,
): SessionState {
  const known = begun?.find(({ id }) => id === session)
  if (known !== undefined) return { ...known, broken: false }
  const key = unwrapSessionKey(recordingKey, wrappedKey, session)
  const verifier = key === undefined ? undefined : new ChainVerifier(key)
  return { id: session, verifier, from: 0, broken: false }
}

/** The file with the opening was shipped and removed. */
function goingOn(reference: string, { begun, sessions }: Reading): SessionState | undefined {
  const [only, other] = begun.get(reference) ?? []
  if (only === undefined || other !== undefined) return undefined
  const state = { ...only, broken: false }
  sessions.set(reference, state)
  return state
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
