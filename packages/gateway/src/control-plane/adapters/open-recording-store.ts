import type { ObjectSource } from '@sallyport/core'
import type { RecordingStore } from '../ports/recording-store.ts'
import type { RecordingPlace, S3Place } from '../recordings/recording-place.ts'
import { DirectoryRecordingStore } from './directory-recording-store.ts'

/** Opens where recordings are kept. A bucket is not asked anything yet: a gateway starts while its store is away. */
export async function openRecordingStore(place: RecordingPlace): Promise<RecordingStore> {
  if (place.kind === 'folder') return new DirectoryRecordingStore(place.dir)
  const { S3RecordingStore } = await import('./s3-recording-store.ts')
  return await S3RecordingStore.open(place)
}

/** A bucket that is only read. */
export async function openBucket(place: S3Place): Promise<ObjectSource & { close(): void }> {
  const { S3Bucket } = await import('./s3-bucket.ts')
  return await S3Bucket.open(place)
}
