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

/** What the journals take of the disk, in bytes, and what is left of it. */
export interface JournalSpace {
  readonly freeBytes: number
  readonly usedBytes: number
  /** Of the worker that has most. */
  readonly largestBytes: number
}

/** Looks at the folder of the journals; undefined where it or its disk can't be asked. */
export function journalSpace(dir: string): JournalSpace | undefined {
  try {
    const byWorker = new Map<number, number>()
    for (const name of readdirSync(dir)) {
      const worker = parseJournalFileName(name)?.worker
      if (worker === undefined) continue
      // One that was shipped and removed since takes nothing.
      const bytes = statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0
      byWorker.set(worker, (byWorker.get(worker) ?? 0) + bytes)
    }
    const sizes = [...byWorker.values()]
    const disk = statfsSync(dir)
    return {
      freeBytes: disk.bavail * disk.bsize,
      usedBytes: sizes.reduce((sum, size) => sum + size, 0),
      largestBytes: Math.max(0, ...sizes),
    }
  } catch {
    return undefined
  }
}

/** How full the journals are now. */
export function journalUse(dir: string, bounds: JournalBounds = journalSpaceDefault): JournalUse {
  const space = journalSpace(dir)
  if (space === undefined) return { ...bounds, bytes: 0 }
  return { ...bounds, bytes: space.usedBytes, freeBytes: space.freeBytes }
}
