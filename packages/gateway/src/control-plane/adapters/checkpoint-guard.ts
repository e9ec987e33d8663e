import { access, copyFile, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

const segmentBytes = 16 * 1024 * 1024
/** How much log a checkpoint leaves in place (`wal_keep_size`): enough to start again from the one before. */
export const keptLogBytes = 128 * 1024 * 1024

/**
 * Makes a checkpoint of an embedded database survive a power failure.
 *
 * A checkpoint writes the data files, then says in `pg_control` that recovery may begin behind it. PGlite syncs neither, so
 * `pg_control` may reach the disk alone. A copy from before stands beside it until all is synced; where it is found, it is
 * put back, and recovery begins where the data files are known to be whole.
 */
export class CheckpointGuard {
  readonly #dir: string
  readonly #control: string
  readonly #copy: string

  constructor(dir: string) {
    this.#dir = dir
    this.#control = join(dir, 'global', 'pg_control')
    this.#copy = join(dir, 'pg_control.before')
  }

  /** Undoes a checkpoint that was under way when the power failed. Called before the database is opened. */
  async undo(): Promise<void> {
    if (!(await isThere(this.#copy))) return
    await copyFile(this.#copy, this.#control)
    await synced(this.#control)
    await this.#remove()
  }

  /** Does what makes a checkpoint, and syncs all that it wrote before it resolves. Where that fails, the copy stays. */
  async around<T>(work: () => Promise<T>): Promise<T> {
    // With more log than a checkpoint keeps, recovery could not begin before it.
    const isGuarded = (await isThere(this.#control)) && (await this.#logBytes()) <= keptLogBytes
    if (isGuarded) await this.#make()
    const result = await work()
    if (isGuarded) await this.#remove()
    return result
  }

  async #logBytes(): Promise<number> {
    const names = await readdir(join(this.#dir, 'pg_wal'))
    return names.filter((name) => isSegmentName(name)).length * segmentBytes
  }

  async #make(): Promise<void> {
    const draft = `${this.#copy}.new`
    await copyFile(this.#control, draft)
    await synced(draft)
    await rename(draft, this.#copy)
    await synced(this.#dir)
  }

  async #remove(): Promise<void> {
    await rm(this.#copy)
    await synced(this.#dir)
  }
}

/** A file of the write-ahead log: timeline, log and segment, each of eight hexadecimal digits. */
export function isSegmentName(name: string): boolean {
  return /^[0-9A-F]{24}$/u.test(name)
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}

async function synced(path: string): Promise<void> {
  await using handle = await open(path, 'r')
  await handle.sync()
}
