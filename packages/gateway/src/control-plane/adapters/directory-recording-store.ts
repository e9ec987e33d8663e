import type { Buffer } from 'node:buffer'
import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { assertStoreKey, type RecordingStore } from '../ports/recording-store.ts'
import { draftEnd, FolderSource } from '../recordings/folder-source.ts'

/** Recordings hold what callers read and wrote: nobody but the gateway's user opens them. */
const folderMode = 0o700
const fileMode = 0o600

/** Keeps recordings in a folder. An object is written beside its place, synced, and moved there. */
export class DirectoryRecordingStore implements RecordingStore {
  readonly where: string
  readonly #source: FolderSource
  #drafts = 0

  constructor(dir: string) {
    this.where = dir
    this.#source = new FolderSource(dir)
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    const path = this.#path(key)
    const made = await mkdir(dirname(path), { recursive: true, mode: folderMode })
    this.#drafts += 1
    const draft = `${path}.${process.pid}-${this.#drafts}${draftEnd}`
    try {
      await using handle = await open(draft, 'w', fileMode)
      await handle.writeFile(bytes)
      await handle.sync()
    } catch (error) {
      await rm(draft, { force: true }).catch(() => undefined)
      throw error
    }
    await rename(draft, path)
    await syncFolder(dirname(path))
    // A folder that was just made is itself an entry of the one above it.
    for (let dir = dirname(path); made !== undefined && dir.length >= made.length;) {
      dir = dirname(dir)
      await syncFolder(dir)
    }
  }

  async get(key: string): Promise<Buffer | undefined> {
    this.#path(key)
    return await this.#source.get(key)
  }

  list(prefix: string): AsyncIterable<string> {
    return this.#source.list(prefix)
  }

  async remove(key: string): Promise<void> {
    const path = this.#path(key)
    await rm(path, { force: true })
    await syncFolder(dirname(path)).catch((error: unknown) => {
      if (!isMissing(error)) throw error
    })
  }

  close(): void {
    // Files need no end.
  }

  #path(key: string): string {
    assertStoreKey(key)
    return join(this.where, key)
  }
}

async function syncFolder(dir: string): Promise<void> {
  await using handle = await open(dir, 'r')
  await handle.sync()
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
