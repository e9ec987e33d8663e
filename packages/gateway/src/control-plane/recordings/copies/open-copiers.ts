import { hash } from 'node:crypto'
import { SallyportError } from '@sallyport/core'
import type { RecordingStore } from '../../ports/recording-store.ts'
import type { Store } from '../../ports/store.ts'
import { readSetting, writeSetting } from '../../settings.ts'
import { AnchorCopier } from './anchor-copier.ts'
import { openAnchorSink } from './anchor-place.ts'

/** Opens one copier for each place. Throws SP_CONFIG_INVALID where one is no place, or is the recording store itself. */
export async function openCopiers(
  places: readonly string[],
  of: {
    readonly store: Store
    readonly recordings: RecordingStore
    readonly newest: () => number | undefined
    readonly onFault: (error: unknown) => void
  },
): Promise<readonly AnchorCopier[]> {
  const copiers: AnchorCopier[] = []
  for (const [at, place] of places.entries()) {
    const sink = await openAnchorSink(place)
    if (sink.where === of.recordings.where || places.indexOf(place) !== at) {
      const detail = `--anchors ${sink.where}: copies belong elsewhere, and once to a place`
      throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
    }
    // An address may hold a secret.
    const setting = `anchors.next ${hash('sha256', place, 'base64url')}`
    const memory = {
      load: async () => Number((await readSetting(of.store, setting)) ?? 0),
      save: async (next: number) => await writeSetting(of.store, setting, next),
    }
    const { recordings: store, newest, onFault } = of
    copiers.push(new AnchorCopier({ sink, store, newest, memory, onFault }))
  }
  return copiers
}
