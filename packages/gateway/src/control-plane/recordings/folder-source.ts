import type { Buffer } from 'node:buffer'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** What is still being written: a crash may leave it, and no list shows it. */
export const draftEnd = '.draft'

/** Objects that are files of a folder. A key is a path inside it. */
export class FolderSource {
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
  }

  /** Undefined where there is no such object. */
  async get(key: string): Promise<Buffer | undefined> {
    try {
      return await readFile(join(this.#dir, key))
    } catch (error) {
      if (isMissing(error)) return undefined
      throw error
    }
  }

  /** All keys that begin with `prefix`, in order. */
  async *list(prefix: string): AsyncGenerator<string> {
    const folder = prefix.slice(0, prefix.lastIndexOf('/') + 1)
    for await (const key of this.#below(folder)) if (key.startsWith(prefix)) yield key
  }

  async *#below(folder: string): AsyncGenerator<string> {
    const entries = await readdir(join(this.#dir, folder), { withFileTypes: true }).catch(
      (error: unknown) => {
        if (isMissing(error)) return []
        throw error
      },
    )
    for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
      if (entry.isDirectory()) yield* this.#below(`${folder}${entry.name}/`)
      else if (!entry.name.endsWith(draftEnd)) yield `${folder}${entry.name}`
    }
  }
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}
