import { readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { SallyportError, storeKeys } from '@sallyport/core'
import { openRecordingStore } from '../adapters/open-recording-store.ts'
import type { RecordingStore } from '../ports/recording-store.ts'
import type { Store } from '../ports/store.ts'
import { readSetting, writeSetting } from '../settings.ts'
import { describePlace, parseRecordingPlace, type RecordingPlace } from './recording-place.ts'

/** The newest anchor, as the database remembers it. */
export const anchorSetting = 'recording.anchor'
const placeSetting = 'recording.place'
/** The folder in the data folder is one place, wherever that is moved. */
const ownFolder = 'recordings'
/** In the data folder, where recordings are kept elsewhere. */
const placeFile = 'recordings.place'

interface RecordingsOptions {
  readonly dataDir: string
  readonly recordings?: string
}

/** Opens the recording store. Throws SP_CONFIG_INVALID where recordings were kept elsewhere before and are not there. */
export async function openRecordings(
  options: RecordingsOptions,
  store: Store,
): Promise<RecordingStore> {
  const place = parseRecordingPlace(options.recordings ?? join(options.dataDir, ownFolder))
  const name = options.recordings === undefined ? ownFolder : describePlace(place)
  const recordings = await openRecordingStore(place)
  const before = await readSetting(store, placeSetting)
  if (before === name) {
    await notePlace(options)
    return recordings
  }
  // What was shipped is no longer in the journals: a store without it would make it seem lost.
  if (!(await holdsWhatWasShipped(recordings, store))) {
    recordings.close()
    const was = typeof before === 'string' ? before : ownFolder
    const detail = `recordings were kept in ${was}, and ${recordings.where} does not hold them. Copy all objects there under the same names first, or start with the place they are in`
    throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
  }
  await writeSetting(store, placeSetting, name)
  await notePlace(options)
  return recordings
}

/** The store of a data folder, as its gateway was started last. */
export async function placeOf(dataDir: string): Promise<RecordingPlace> {
  const text = await readFile(join(dataDir, placeFile), 'utf8').catch(ignoreAbsent)
  return parseRecordingPlace(text?.trim() ?? join(dataDir, ownFolder))
}

/** Whoever verifies a data folder needs no gateway, and finds the recordings all the same. */
async function notePlace({ dataDir, recordings }: RecordingsOptions): Promise<void> {
  const path = join(dataDir, placeFile)
  if (recordings === undefined) return await rm(path, { force: true })
  const draft = `${path}.${process.pid}.new`
  await writeFile(draft, `${recordings}\n`, { mode: 0o600, flush: true })
  await rename(draft, path)
}

function ignoreAbsent(error: unknown): undefined {
  if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
  throw error
}

async function holdsWhatWasShipped(recordings: RecordingStore, store: Store): Promise<boolean> {
  const shipped = await store.db
    .selectFrom('recording_part')
    .select('part')
    .where('segments', '>', 0)
    .limit(1)
    .executeTakeFirst()
  const newest = (await readSetting(store, anchorSetting)) as { number: number } | undefined
  if (shipped === undefined || newest === undefined) return true
  if ((await recordings.get(storeKeys.anchor(newest.number))) !== undefined) return true
  // The newest may have been signed and not put.
  if (newest.number === 0) return false
  return (await recordings.get(storeKeys.anchor(newest.number - 1))) !== undefined
}
