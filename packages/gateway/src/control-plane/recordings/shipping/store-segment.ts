import { Buffer } from 'node:buffer'
import { sealSegment, segmentHash, storeKeys } from '@sallyport/core'
import type { RecordingStore } from '../../ports/recording-store.ts'
import type { PendingSegment, RecordedPart } from './recorded-part.ts'

/** Puts the oldest entries that wait into the store, behind those that are there. */
export async function storeSegment(
  recordings: RecordingStore,
  part: RecordedPart,
  segment: PendingSegment,
): Promise<void> {
  const { session } = part.id
  const { segments, bytes, previous } = part.shipped
  // Entries without a key are never kept.
  if (part.key === undefined) throw new TypeError('a part without a key has nothing to ship')
  if (segments === 0) await recordings.put(storeKeys.sessionKey(session), part.wrappedKey)
  const { first, count, fromMs, toMs, head, records } = segment
  const range = { first, count, fromMs, toMs, rawBytes: segment.bytes, head }
  const header = { session, part: part.name, index: segments, ...range, previous }
  const file = await sealSegment(header, Buffer.concat(records), part.key)
  await recordings.put(storeKeys.segment(session, part.name, segments), file)
  part.shippedOne({
    position: first + count,
    segments: segments + 1,
    bytes: bytes + file.length,
    head,
    previous: segmentHash(file),
  })
}

/** What the node signs of a session that is whole in the store. */
export function sealOf({ id, name, shipped, problems }: RecordedPart, nowMs: number): object {
  const { position, segments, bytes, head, previous } = shipped
  return {
    type: 'sallyport.seal.1',
    session: id.session,
    sealedAt: new Date(nowMs).toISOString(),
    parts: [{ part: name, entries: position, head, segments, bytes, last: previous, problems }],
  }
}
