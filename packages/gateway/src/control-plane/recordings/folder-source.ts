import type { Buffer } from 'node:buffer'
import { constants as fileConstants } from 'node:fs'
import { open, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** What is still being written: a crash may leave it, and no list shows it. */
export const draftEnd = '.draft'

/** The largest is a segment of one record, which has at most 128 MiB: more must not be taken into memory. */
export const objectBytesMax = 256 * 1024 * 1024

/** Objects that are files of a folder. A key is a path inside it. */
export class FolderSource {
  readonly #dir: string

  constructor(dir: string) {
    this.#dir = dir
  }

  async get(key: string): Promise<Buffer | undefined> {
    try {
      // Of what somebody else unpacked, a name may be a pipe, which never ends, or a device.
      const flags = fileConstants.O_RDONLY | fileConstants.O_NONBLOCK
      await using handle = await open(join(this.#dir, key), flags)
      const info = await handle.stat()
      if (!info.isFile()) throw new RangeError('it is no file')
      if (info.size > objectBytesMax) throw new RangeError('it is larger than an object can be')
      return await handle.readFile()
    } catch (error) {
      if (isMissing(error)) return undefined
      if (isClosedToUs(error)) throw new RangeError('it cannot be read', { cause: error })
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
    // With its slash a folder's name sorts as the keys below it do.
    const names = entries.map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name))
    for (const name of names.toSorted((a, b) => (a < b ? -1 : 1))) {
      if (name.endsWith('/')) yield* this.#below(`${folder}${name}`)
      else if (!name.endsWith(draftEnd)) yield `${folder}${name}`
    }
  }
}

function isMissing(error: unknown): boolean {
  return hasCode(error, ['ENOENT', 'ENOTDIR'])
}

/** ENXIO: a socket. */
function isClosedToUs(error: unknown): boolean {
  return hasCode(error, ['EACCES', 'ELOOP', 'ENXIO'])
}

function hasCode(error: unknown, codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.includes(String(error.code))
}
