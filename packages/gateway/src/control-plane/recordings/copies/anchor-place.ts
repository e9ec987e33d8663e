import { SallyportError, type AnchorCopy } from '@sallyport/core'
import { openBucket, openRecordingStore } from '../../adapters/open-recording-store.ts'
import type { RecordingStore } from '../../ports/recording-store.ts'
import { isThisMachine } from '../../this-machine.ts'
import { FolderSource } from '../folder-source.ts'
import { describePlace, parseRecordingPlace } from '../recording-place.ts'
import { postTo } from './post-to.ts'

/** Takes copies, one after the other. */
export interface AnchorSink {
  /** For people, without secrets. */
  readonly where: string
  /** Resolves once it has been taken. The same may come again. */
  put(key: string, bytes: Uint8Array): Promise<void>
  close(): void
}

/** Opens a folder, a bucket or a webhook that anchors are copied to. Nothing is asked of it yet. */
export async function openAnchorSink(text: string): Promise<AnchorSink> {
  if (!/^https?:\/\//iu.test(text))
    return keeping(await openRecordingStore(parseRecordingPlace(text)))
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isSafe = url?.protocol === 'https:' || (url !== undefined && isThisMachine(url.hostname))
  if (url === undefined || !isSafe || url.username !== '' || url.hash !== '')
    throw invalid(
      '--anchors takes a folder, s3://bucket/prefix, or an https address without a password',
    )
  return postTo(url)
}

/** What was copied stays: a store that was made anew must not take its past away from here too. */
function keeping(store: RecordingStore): AnchorSink {
  return {
    where: store.where,
    async put(key, bytes) {
      const there = await store.get(key)
      if (there?.equals(bytes) === true) return
      if (there !== undefined) {
        const words = 'of another gateway, or of a store that was made anew'
        throw new Error(`${store.where} holds another ${key}: these are copies ${words}`)
      }
      await store.put(key, bytes)
    },
    close: () => store.close(),
  }
}

/** Opens copies to read. Of a webhook there are none here: what it kept is a folder, or a bucket. */
export async function openAnchorCopy(text: string): Promise<AnchorCopy & { close(): void }> {
  const place = parseRecordingPlace(text)
  const where = describePlace(place)
  if (place.kind === 'folder')
    return { where, source: new FolderSource(place.dir), close: () => undefined }
  const source = await openBucket(place)
  return { where, source, close: () => source.close() }
}

function invalid(detail: string): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}
