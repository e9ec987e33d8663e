import { readdir, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { parseJournalFileName } from '@sallyport/core'

/** What the journals take of the disk, in bytes, and what is left of it. */
export interface JournalSpace {
  readonly freeBytes: number
  readonly usedBytes: number
  /** Of the worker that has most. */
  readonly largestBytes: number
}

/** Looks at the folder of the journals. */
export async function journalSpace(dir: string): Promise<JournalSpace> {
  const disk = await statfs(dir)
  const byWorker = new Map<number, number>()
  for (const name of await readdir(dir)) {
    const worker = parseJournalFileName(name)?.worker
    if (worker === undefined) continue
    // One that was shipped and removed since takes nothing.
    const size = await stat(join(dir, name)).then(
      (found) => found.size,
      () => 0,
    )
    byWorker.set(worker, (byWorker.get(worker) ?? 0) + size)
  }
  const sizes = [...byWorker.values()]
  return {
    freeBytes: disk.bavail * disk.bsize,
    usedBytes: sizes.reduce((sum, size) => sum + size, 0),
    largestBytes: Math.max(0, ...sizes),
  }
}
