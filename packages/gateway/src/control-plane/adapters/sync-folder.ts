import { open, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Makes the commits of an embedded database survive a power failure. PGlite never calls fsync, so after each commit the
 * write-ahead log is synced here; after a checkpoint, which allows old log to be reused, the data files are as well.
 */
export class FolderSync {
  readonly #dir: string
  #syncedAtMs = 0
  #checkpointMs = 0

  constructor(dir: string) {
    this.#dir = dir
  }

  async sync(): Promise<void> {
    const startedMs = Date.now()
    const checkpointMs = (await stat(join(this.#dir, 'global', 'pg_control'))).mtimeMs
    if (checkpointMs !== this.#checkpointMs) await syncChanged(this.#dir, this.#syncedAtMs)
    await syncChanged(join(this.#dir, 'pg_wal'), this.#syncedAtMs)
    this.#checkpointMs = checkpointMs
    // A second of overlap, since file times are coarser than the clock.
    this.#syncedAtMs = startedMs - 1000
  }
}

async function syncChanged(dir: string, sinceMs: number): Promise<void> {
  for (const entry of await readdir(dir, { withFileTypes: true })) {
    const path = join(dir, entry.name)
    if (entry.isDirectory()) await syncChanged(path, sinceMs)
    else if (entry.isFile()) await syncIfChanged(path, sinceMs)
  }
  await syncIfChanged(dir, sinceMs)
}

async function syncIfChanged(path: string, sinceMs: number): Promise<void> {
  try {
    if ((await stat(path)).mtimeMs < sinceMs) return
    await using handle = await open(path, 'r')
    await handle.sync()
  } catch (error) {
    // The database may remove a file between the listing and here; it then holds nothing to keep.
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error
  }
}
