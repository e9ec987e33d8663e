import { mkdir, open, readdir, readFile, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { openKeyChange, SallyportError, SigningKeys, type KeyChange } from '@sallyport/core'
import {
  loadSigningKey,
  newSigningKey,
  signingKeyOf,
  signingKeyPath,
  type SigningKey,
} from './signing-key.ts'

/** A change, with what the two keys have signed. */
export interface SignedChange extends KeyChange {
  readonly text: string
}

/** What is to be said of a change. */
export interface RingChange {
  /** The first anchor that the new key signs. */
  readonly anchor: number
  readonly nowMs: number
  /** Called with the thumbprints before anything is changed; nothing is where it rejects. */
  readonly announce: (from: string, to: string) => Promise<void>
}

/** The keys that this node has signed with. Only the current one's private half is kept. */
export class KeyRing {
  readonly #dataDir: string
  #current: SigningKey
  /** Those that led to the current key, oldest first. */
  #changes: readonly SignedChange[]
  #old: readonly Pick<SigningKey, 'id' | 'publicKey'>[]

  private constructor(
    dataDir: string,
    current: SigningKey,
    changes: readonly SignedChange[],
    old: readonly Pick<SigningKey, 'id' | 'publicKey'>[],
  ) {
    this.#dataDir = dataDir
    this.#current = current
    this.#changes = changes
    this.#old = old
  }

  /** Reads the keys of a data folder, making the first one where there is none. */
  static async open(dataDir: string): Promise<KeyRing> {
    const current = await loadSigningKey(dataDir)
    const stored = await storedChanges(changesDir(dataDir))
    const changes: SignedChange[] = []
    const old: Pick<SigningKey, 'id' | 'publicKey'>[] = []
    // A crash may have left a change to a key that never came to be: only what leads to this one counts.
    for (let at = stored.get(current.id); at !== undefined; at = stored.get(at.from)) {
      changes.unshift(at)
      old.unshift({ id: at.from, publicKey: at.fromKey })
      if (changes.length > stored.size) break
    }
    return new KeyRing(dataDir, current, changes, old)
  }

  get current(): SigningKey {
    return this.#current
  }

  get changes(): readonly SignedChange[] {
    return this.#changes
  }

  /** Of all keys the public halves, oldest first. */
  get all(): readonly Pick<SigningKey, 'id' | 'publicKey'>[] {
    return [...this.#old, this.#current]
  }

  /**
   * Makes a new key, lets both sign the change, and forgets the old one. The change is on disk before the key is, so that a crash
   * in between leaves the old key, or the new one with what leads to it.
   */
  async rotate({ anchor, nowMs, announce }: RingChange): Promise<void> {
    const path = signingKeyPath(this.#dataDir)
    const pem = newSigningKey()
    const next = await signingKeyOf(pem, path)
    const before = this.#current
    const payload = {
      type: 'sallyport.key.1',
      from: before.id,
      to: next.id,
      fromKey: before.publicKey,
      toKey: next.publicKey,
      anchor,
      at: new Date(nowMs).toISOString(),
    }
    const text = `${await before.sign(payload)}\n${await next.sign(payload)}`
    await announce(before.id, next.id)
    const dir = changesDir(this.#dataDir)
    await mkdir(dir, { recursive: true, mode: 0o700 })
    await writeDurably(join(dir, `${next.id}.jws`), text)
    await syncFolder(this.#dataDir)
    await writeDurably(path, pem)
    this.#old = this.all.map(({ id, publicKey }) => ({ id, publicKey }))
    this.#changes = [...this.#changes, { ...payload, text }]
    this.#current = next
  }
}

function changesDir(dataDir: string): string {
  return join(dataDir, 'key-changes')
}

async function storedChanges(
  dir: string,
): Promise<Map<string, SignedChange & { readonly fromKey: string }>> {
  const found = new Map<string, SignedChange & { readonly fromKey: string }>()
  const names = await readdir(dir).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  })
  for (const name of names.filter((each) => each.endsWith('.jws'))) {
    const text = await readFile(join(dir, name), 'utf8')
    try {
      const body = text.split('.')[1] ?? ''
      const said = Object(JSON.parse(Buffer.from(body, 'base64url').toString())) as {
        fromKey?: unknown
        toKey?: unknown
      }
      const { fromKey, toKey } = said
      const keys = new SigningKeys()
      if (typeof fromKey !== 'string' || typeof toKey !== 'string') throw new RangeError('no keys')
      keys.add(fromKey)
      keys.add(toKey)
      const change = openKeyChange(text, keys)
      found.set(change.to, { ...change, text, fromKey })
    } catch (cause) {
      const detail = `${join(dir, name)} is no change of a signing key. Put back what stood there`
      throw new SallyportError('SP_CONFIG_INVALID', detail, { detail, cause })
    }
  }
  return found
}

async function writeDurably(path: string, text: string): Promise<void> {
  const draft = `${path}.${process.pid}.new`
  await using handle = await open(draft, 'w', 0o600)
  await handle.writeFile(text)
  await handle.sync()
  await rename(draft, path)
  await syncFolder(dirname(path))
}

async function syncFolder(dir: string): Promise<void> {
  await using handle = await open(dir, 'r')
  await handle.sync()
}
