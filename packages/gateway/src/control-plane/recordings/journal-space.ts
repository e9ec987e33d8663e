import { readdirSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { parseJournalFileName } from '@sallyport/core'
import type { JournalConfig } from '../../boundary/messages.ts'

/** How much journals may take. Beyond it commands are refused (SP_RECORD_UNAVAILABLE); new sessions a little earlier. */
export interface JournalBounds {
  /** Of all workers together. */
  readonly maxBytes: number
  /** Of the disk that they are on. */
  readonly minFreeBytes: number
}

/** What `status` tells of the journals' space. */
export interface JournalUse extends JournalBounds {
  readonly bytes: number
  /** Absent where the disk can't be asked. */
  readonly freeBytes?: number
}

const mebibyte = 1024 * 1024

export const journalSpaceDefault: JournalBounds = {
  maxBytes: 8192 * mebibyte,
  minFreeBytes: 500 * mebibyte,
}

/** A worker's share: each looks at its own files only, and none may take what another was promised. */
export function workerSpace(
  space: JournalBounds = journalSpaceDefault,
  workers: number,
): Pick<JournalConfig, 'maxBytes' | 'minFreeBytes'> {
  return { maxBytes: Math.floor(space.maxBytes / workers), minFreeBytes: space.minFreeBytes }
}

/** How full the journals are now. */
export function journalUse(dir: string, space: JournalBounds = journalSpaceDefault): JournalUse {
  let bytes = 0
  try {
    for (const name of readdirSync(dir)) {
      if (parseJournalFileName(name) === undefined) continue
      bytes += statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0
    }
    const disk = statfsSync(dir)
    return { ...space, bytes, freeBytes: disk.bavail * disk.bsize }
  } catch {
    return { ...space, bytes }
  }
}
