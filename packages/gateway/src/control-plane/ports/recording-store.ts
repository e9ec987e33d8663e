import { SallyportError } from '@sallyport/core'
import { draftEnd } from '../recordings/folder-source.ts'

/**
 * Where sealed recordings are kept: a folder, or a bucket. Keys are paths with `/`, of letters, digits, `.`, `_` and `-`.
 * Objects are written once and never changed.
 */
export interface RecordingStore {
  /** For people: where it is. */
  readonly where: string
  /** Resolves once the object would survive a power failure. The same object may be put again. */
  put(key: string, bytes: Uint8Array): Promise<void>
  /** Undefined where there is no such object. */
  get(key: string): Promise<Buffer | undefined>
  /** All keys that begin with `prefix`, in order. */
  list(prefix: string): AsyncIterable<string>
  /** Also where there is no such object. */
  remove(key: string): Promise<void>
  /** Ends what is under way; nothing is asked of it afterwards. */
  close(): void
}

/** A key is a path inside the store, and can't lead out of it. */
const keyPattern = /^(?:(?!\.{1,2}\/)[\w.-]+\/)*(?!\.{1,2}$)[\w.-]+$/

export function assertStoreKey(key: string): void {
  if (!keyPattern.test(key) || key.endsWith(draftEnd))
    throw new SallyportError('SP_INTERNAL', `"${key}" is no key of a recording`)
}
