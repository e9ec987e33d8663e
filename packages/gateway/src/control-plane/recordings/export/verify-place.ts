import { Buffer } from 'node:buffer'
import { readFile, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import {
  SallyportError,
  unwrapSessionKey,
  storeKeys,
  thumbprint,
  verifyRecordings,
  type AnchorCopy,
  type Finding,
  type ObjectSource,
  type PartSummary,
  type Verification,
} from '@sallyport/core'
import { openBucket } from '../../adapters/open-recording-store.ts'
import { openAnchorCopy } from '../copies/anchor-place.ts'
import { FolderSource } from '../folder-source.ts'
import { placeOf } from '../open-recordings.ts'
import { describePlace, parseRecordingPlace, type RecordingPlace } from '../recording-place.ts'
import { exportKeys, manifestName, notChecked } from './export-manifest.ts'
import { ZipSource } from './zip-source.ts'

/** What is verified, and with what. */
export interface VerifyPlace {
  /** A data folder, a recording store (a folder or `s3://bucket/prefix?…`), or an export: a folder or a ZIP archive. */
  readonly path: string
  /** Where the recording key of a bucket is looked for, unless `keyFile` says it. */
  readonly dataDir?: string
  /** Only sessions whose ids begin so. */
  readonly idPrefix?: string
  /** The file of the recording key, where it is not in a data folder. */
  readonly keyFile?: string
  /** Keys that are known to be the gateway's: thumbprints, or files with public keys. That of the data folder where empty. */
  readonly signedBy?: readonly string[]
  /** Where anchors were copied to: folders or buckets. */
  readonly anchors?: readonly string[]
  readonly onPart?: (part: PartSummary) => void
}

/** Verifies recordings where no gateway needs to run. Throws SP_CONFIG_INVALID or SP_NOT_FOUND where there are none. */
export async function verifyPlace(place: VerifyPlace): Promise<Verification> {
  const copies = await Promise.all((place.anchors ?? []).map(openAnchorCopy))
  try {
    return await verifyWith(place, copies)
  } finally {
    for (const copy of copies) copy.close()
  }
}

async function verifyWith(
  place: VerifyPlace,
  copies: readonly AnchorCopy[],
): Promise<Verification> {
  const { path, idPrefix, onPart } = place
  const options = {
    signedBy: await expectedKeys(place),
    copies,
    ...(idPrefix === undefined ? {} : { idPrefix }),
    ...(onPart === undefined ? {} : { onPart }),
  }
  const isBucket = path.startsWith('s3://')
  const info = isBucket ? undefined : await stat(path).catch(() => undefined)
  if (!isBucket && info === undefined)
    throw new SallyportError('SP_NOT_FOUND', `there is no ${path}`)
  if (info?.isDirectory() === false) {
    await using source = await archive(path)
    return await verifyExport(source, path, options)
  }
  const dataDir = isBucket ? place.dataDir : path
  const dataKey = dataDir === undefined ? undefined : await fileOf(dataDir, 'recording.key')
  const isDataFolder = !isBucket && dataKey !== undefined
  const source = await openSource(isDataFolder ? await placeOf(path) : parseRecordingPlace(path))
  try {
    if (!isDataFolder && (await source.get(manifestName)) !== undefined)
      return await verifyExport(source, path, options)
    const recordingKey = await recordingKeyOf(place.keyFile ?? dataKey)
    const result = await verifyStore(source, recordingKey, options)
    if (!isDataFolder) refuseEmpty(result, path)
    return result
  } finally {
    source.close()
  }
}

/** A folder may hold anything, so that nothing is expected of its names. */
async function openSource(place: RecordingPlace): Promise<ObjectSource & { close(): void }> {
  if (place.kind === 's3') return await openBucket(place)
  const source = new FolderSource(place.dir)
  return {
    get: async (key) => await source.get(key),
    list: (prefix) => source.list(prefix),
    close: () => undefined,
  }
}

function refuseEmpty(result: Verification, where: string): void {
  const { sessions, ledgers, anchors, findings } = result
  if (sessions + ledgers + anchors.count + findings.length > 0) return
  const detail = `${where} holds no recordings`
  throw new SallyportError('SP_NOT_FOUND', detail, { detail })
}

/** Whoever has a store and not the data folder that it belongs to can't have made what the key in that folder signed. */
async function expectedKeys({ path, dataDir, signedBy = [] }: VerifyPlace): Promise<string[]> {
  if (signedBy.length > 0) return await Promise.all(signedBy.map(thumbprintOf))
  if (dataDir === undefined || !(await isStoreOf(dataDir, path))) return []
  const key = await fileOf(dataDir, 'signing.key')
  return key === undefined ? [] : [await thumbprintOf(key)]
}

async function isStoreOf(dataDir: string, path: string): Promise<boolean> {
  if (!path.startsWith('s3://')) return resolve(path) === resolve(dataDir)
  const [own, other] = [await placeOf(dataDir), parseRecordingPlace(path)]
  return describePlace(own) === describePlace(other)
}

async function thumbprintOf(text: string): Promise<string> {
  if (/^[\w-]{43}$/u.test(text)) return text
  const pem = await readFile(text, 'utf8').catch((cause: unknown) => {
    throw invalid(`"${text}" is no thumbprint of a key, and no file that can be read`, cause)
  })
  const id = thumbprint(pem)
  if (id === undefined) throw invalid(`${text} holds no Ed25519 key`)
  return id
}

async function fileOf(dir: string, name: string): Promise<string | undefined> {
  const path = join(dir, name)
  return (await stat(path).catch(() => undefined)) === undefined ? undefined : path
}

type Options = Pick<VerifyPlace, 'idPrefix' | 'onPart' | 'signedBy'> & {
  readonly copies: readonly AnchorCopy[]
}

async function verifyExport(
  source: ObjectSource,
  path: string,
  options: Options,
): Promise<Verification> {
  const keys = await exportKeys(source).catch((cause: unknown) => {
    if (!(cause instanceof RangeError)) throw cause
    throw invalid(`${manifestName} in ${path}: ${cause.message}`, cause)
  })
  if (keys === undefined) throw invalid(`${path} holds no ${manifestName}`)
  const keyOf = async (session: string) => await Promise.resolve(keys.get(session))
  const only = new Set(keys.keys())
  const result = await verifyRecordings({ source, keyOf, only, ...options })
  return { ...result, notes: [...result.notes, notChecked] }
}

async function verifyStore(
  source: ObjectSource,
  recordingKey: Buffer | undefined,
  options: Options,
): Promise<Verification> {
  const lost = new Map<string, Finding>()
  const shut = new Map<string, Finding>()
  let opened = 0
  const keyOf = async (session: string): Promise<Buffer | undefined> => {
    const where = storeKeys.sessionKey(session)
    const wrapped = await source.get(where).catch(() => undefined)
    if (wrapped === undefined)
      lost.set(session, { where, what: 'the key of the session is missing' })
    if (wrapped === undefined || recordingKey === undefined) return undefined
    const key = unwrapSessionKey(recordingKey, wrapped, session)
    if (key === undefined)
      shut.set(session, {
        where,
        what: 'the key of the session does not open with this recording key',
      })
    else opened += 1
    return key
  }
  const result = await verifyRecordings({ source, keyOf, ...options })
  // Where it opens none, the recording key is another one; where it opens others, these were changed.
  for (const session of result.erased) lost.delete(session)
  const findings = [...result.findings, ...lost.values(), ...(opened > 0 ? shut.values() : [])]
  const isOther = opened === 0 && shut.size > 0
  const notes = isOther ? ['The recording key opens none of them.'] : []
  return { ...result, findings, notes: [...result.notes, ...notes] }
}

async function recordingKeyOf(file: string | undefined): Promise<Buffer | undefined> {
  if (file === undefined) return undefined
  const text = await readFile(file, 'utf8').catch((cause: unknown) => {
    throw invalid(`the recording key ${file} cannot be read`, cause)
  })
  const key = Buffer.from(text.trim(), 'base64')
  if (key.length !== 32) throw invalid(`${file} holds no recording key`)
  return key
}

async function archive(path: string): Promise<ZipSource> {
  try {
    return await ZipSource.open(path)
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw invalid(`${path} is no archive that can be read: ${cause.message}`, cause)
  }
}

function invalid(detail: string, cause?: unknown): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', detail, { detail, cause })
}
