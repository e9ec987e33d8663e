import { Buffer } from 'node:buffer'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  SallyportError,
  unwrapSessionKey,
  storeKeys,
  verifyRecordings,
  type ObjectSource,
  type PartSummary,
  type Verification,
} from '@sallyport/core'
import { unzipSync } from 'fflate'
import { FolderSource } from '../folder-source.ts'
import { exportKeys } from './export-manifest.ts'

/** What is verified, and with what. */
export interface VerifyPlace {
  /** A data folder, a recording store, or an export: a folder or a ZIP archive. */
  readonly path: string
  /** Only sessions whose ids begin so. */
  readonly idPrefix?: string
  /** The file of the recording key, where it is not in a data folder. */
  readonly keyFile?: string
  readonly onPart?: (part: PartSummary) => void
}

/** Verifies recordings where no gateway needs to run. Throws SP_CONFIG_INVALID or SP_NOT_FOUND where there are none. */
export async function verifyPlace(place: VerifyPlace): Promise<Verification> {
  const { source, recordingKey } = await open(place)
  const { idPrefix, onPart } = place
  const keys = await exportKeys(source)
  return await verifyRecordings({
    source,
    keyOf: async (session) => {
      if (keys !== undefined) return keys.get(session)
      const wrapped = await source.get(storeKeys.sessionKey(session))
      if (wrapped === undefined || recordingKey === undefined) return undefined
      return unwrapSessionKey(recordingKey, wrapped, session)
    },
    ...(keys === undefined ? {} : { only: new Set(keys.keys()) }),
    ...(idPrefix === undefined ? {} : { idPrefix }),
    ...(onPart === undefined ? {} : { onPart }),
  })
}

async function open(
  place: VerifyPlace,
): Promise<{ source: ObjectSource; recordingKey: Buffer | undefined }> {
  const { path, keyFile } = place
  const info = await stat(path).catch(() => undefined)
  if (info === undefined) throw new SallyportError('SP_NOT_FOUND', `there is no ${path}`)
  if (info.isFile()) return { source: await archive(path), recordingKey: undefined }
  const dataKey = join(path, 'recording.key')
  const isDataFolder = (await stat(dataKey).catch(() => undefined)) !== undefined
  const source = new FolderSource(isDataFolder ? join(path, 'recordings') : path)
  const from = keyFile ?? (isDataFolder ? dataKey : undefined)
  const recordingKey =
    from === undefined ? undefined : Buffer.from((await readFile(from, 'utf8')).trim(), 'base64')
  return { source, recordingKey }
}

/** The files of a ZIP archive, all in memory. */
async function archive(path: string): Promise<ObjectSource> {
  let files: Map<string, Uint8Array>
  try {
    files = new Map(Object.entries(unzipSync(await readFile(path))))
  } catch (cause) {
    const detail = `${path} is no ZIP archive, or is damaged`
    throw new SallyportError('SP_CONFIG_INVALID', detail, { detail, cause })
  }
  const names = [...files.keys()].toSorted()
  return {
    get: async (key) => await Promise.resolve(files.get(key)),
    async *list(prefix) {
      for (const name of names) if (name.startsWith(prefix)) yield await Promise.resolve(name)
    },
  }
}
