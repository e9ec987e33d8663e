import { Buffer } from 'node:buffer'
import { openSegment, parseSegment, segmentHash, storeKeys } from '@sallyport/core'
import type { RecordingStore } from '../../ports/recording-store.ts'
import type { RecordedPart, Shipped } from './recorded-part.ts'

/**
 * How far a part is in the store, which may be further than the database says: a segment was put and not noted, or the database
 * is an older copy. What is there is gone on from, and never written over: its journal may be gone.
 */
export async function shippedInStore(
  recordings: RecordingStore,
  part: RecordedPart,
): Promise<Shipped> {
  let shipped = part.shipped
  for (;;) {
    const key = storeKeys.segment(part.id.session, part.name, shipped.segments)
    const file = await recordings.get(key)
    const next = file === undefined ? undefined : await following(Buffer.from(file), part, shipped)
    if (next === undefined) return shipped
    shipped = next
  }
}

/** Undefined where the file is not the part's next segment: then it is damaged, or somebody else's, and is replaced. */
async function following(
  file: Buffer,
  part: RecordedPart,
  before: Shipped,
): Promise<Shipped | undefined> {
  try {
    const segment = parseSegment(file)
    const { session, part: name, index, first, count, head, previous } = segment.header
    const isNext =
      session === part.id.session &&
      name === part.name &&
      index === before.segments &&
      first === before.position &&
      previous === before.previous
    if (!isNext || part.key === undefined) return undefined
    await openSegment(segment, part.key)
    return {
      position: first + count,
      segments: index + 1,
      bytes: before.bytes + file.length,
      head,
      previous: segmentHash(file),
    }
  } catch (error) {
    if (error instanceof RangeError) return undefined
    throw error
  }
}
