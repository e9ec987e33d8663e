import { open, readdir, stat } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { isSegmentName } from './checkpoint-guard.ts'

/**
 * Makes the commits of an embedded database survive a power failure. PGlite never calls fsync, so after each commit the
 * write-ahead log is synced here; after a checkpoint, which allows old log to be reused, the data files are as well.
 */
export class FolderSync {
  readonly #dir: string
  #syncedAtMs = 0
  #checkpointMs = 0
  #segment = 0
  #segmentAtCheckpoint = 0

  constructor(dir: string) {
    this.#dir = dir
  }

  /** Files of the log, of 16 MiB each, that were begun since the last checkpoint. */
  get segmentsSinceCheckpoint(): number {
    return this.#segment - this.#segmentAtCheckpoint
  }

  async sync(): Promise<void> {
    const startedMs = Date.now()
    const checkpointMs = (await stat(join(this.#dir, 'global', 'pg_control'))).mtimeMs
    if (checkpointMs !== this.#checkpointMs) await syncChanged(this.#dir, this.#syncedAtMs)
    const written = await syncChanged(join(this.#dir, 'pg_wal'), this.#syncedAtMs)
    this.#segment = Math.max(this.#segment, ...written.map((path) => segmentOf(basename(path))))
    if (checkpointMs !== this.#checkpointMs) this.#segmentAtCheckpoint = this.#segment
    this.#checkpointMs = checkpointMs
    // A second of overlap, since file times are coarser than the clock.
    this.#syncedAtMs = startedMs - 1000
  }
}

/** Number of a file of the log; 0 of another file. A log has 256 segments. */
function segmentOf(name: string): number {
  if (!isSegmentName(name)) return 0
  return parseInt(name.slice(8, 16), 16) * 256 + parseInt(name.slice(16), 16)
}

/** Returns the paths that had changed. */
async function syncChanged(dir: string, sinceMs: number): Promise<string[]> {
  const changed: string[] = []
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name)
    if (entry.isDirectory()) changed.push(...(await syncChanged(path, sinceMs)))
    else if (entry.isFile() && (await syncIfChanged(path, sinceMs))) changed.push(path)
  }
  await syncIfChanged(dir, sinceMs)
  return changed
}

async function syncIfChanged(path: string, sinceMs: number): Promise<boolean> {
  try {
    if ((await stat(path)).mtimeMs < sinceMs) return false
    await using handle = await open(path, 'r')
    await handle.sync()
    return true
  } catch (error) {
    // The database may remove a file between the listing and here; it then holds nothing to keep.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
    return false
  }
}
