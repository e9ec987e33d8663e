import { watch, type FSWatcher } from 'node:fs'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** Editors write a file in several steps; one reload follows all of them. */
const debounceMs = 100
/** Network and container file systems lose change events, so the folder is looked at as well. */
const pollMs = 2000

/** Ends the watching of a folder. */
export interface FolderWatch {
  close(): void
}

/** Loads again when a YAML file of the folder changes. */
export async function watchFolder<T>(
  dir: string,
  load: () => Promise<T>,
  onChange: (loaded: T) => void,
): Promise<FolderWatch> {
  let seen = await fingerprint(dir)
  let closed = false
  let running: Promise<void> = Promise.resolve()
  let pending: NodeJS.Timeout | undefined

  const check = async (): Promise<void> => {
    const now = await fingerprint(dir)
    if (closed || now === seen) return
    seen = now
    const loaded = await load()
    if (!closed) onChange(loaded)
  }
  const soon = (): void => {
    clearTimeout(pending)
    pending = setTimeout(() => {
      running = running.then(check)
    }, debounceMs)
  }
  const poll = setInterval(soon, pollMs)
  poll.unref()
  const watcher = startWatcher(dir, soon)
  return {
    close() {
      closed = true
      clearTimeout(pending)
      clearInterval(poll)
      watcher?.close()
    },
  }
}

/** The poll alone does where the system has no watches left. */
function startWatcher(dir: string, onEvent: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(dir, { persistent: false }, onEvent)
    watcher.on('error', () => {
      watcher.close()
    })
    return watcher
  } catch {
    return undefined
  }
}

async function fingerprint(dir: string): Promise<string> {
  try {
    const names = (await readdir(dir)).filter((name) => /\.ya?ml$/u.test(name)).sort()
    const stats = await Promise.all(names.map((name) => stat(join(dir, name))))
    return names
      .map((name, at) => `${name} ${stats[at]?.size ?? 0} ${stats[at]?.mtimeMs ?? 0}`)
      .join('\n')
  } catch (error) {
    return `unreadable: ${String(error)}`
  }
}
