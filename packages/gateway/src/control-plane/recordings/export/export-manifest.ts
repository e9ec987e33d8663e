import { Buffer } from 'node:buffer'
import { fieldsOf, membersOf, type ObjectSource } from '@sallyport/core'

/** Beside the objects of an export: what is in it, and the keys that open it. */
export const manifestName = 'export.json'

/** What a reader of an export must not take for proven. */
export const notChecked =
  'Transcripts and entries in an export are for reading; they were not checked.'

/** What an export says of itself. */
export interface ExportManifest {
  readonly type: 'sallyport.export.1'
  readonly exportedAt: string
  /** The sessions that are in it, each with its key, in base64. */
  readonly sessions: readonly { readonly session: string; readonly key: string }[]
}

/** The keys of an export by session; undefined where there is no manifest. Throws a RangeError where it is none. */
export async function exportKeys(source: ObjectSource): Promise<Map<string, Buffer> | undefined> {
  const text = await source.get(manifestName)
  if (text === undefined) return undefined
  const fields = fieldsOf(Buffer.from(text).toString())
  const sessions = fields.get('sessions')
  if (fields.get('type') !== 'sallyport.export.1' || !Array.isArray(sessions))
    throw new RangeError(`${manifestName} is of a kind that is not known`)
  const keys = new Map<string, Buffer>()
  for (const each of sessions.map(membersOf))
    keys.set(String(each.get('session')), Buffer.from(String(each.get('key')), 'base64'))
  return keys
}
