import { Buffer } from 'node:buffer'
import { SigningKeys, storeKeys } from '@sallyport/core'
import type { KeyRing, RingChange } from '../../keys/key-ring.ts'
import type { RecordingStore } from '../../ports/recording-store.ts'

/** Puts what the node signs into the store, with the keys that prove it. */
export class SignedObjects {
  readonly #recordings: RecordingStore
  readonly #keys: KeyRing
  /** The key that stands in the store, with all that led to it. */
  #published: string | undefined

  constructor(recordings: RecordingStore, keys: KeyRing) {
    this.#recordings = recordings
    this.#keys = keys
  }

  /** A compact JWS (RFC 7515) over the JSON of `payload`. */
  async sign(payload: object): Promise<string> {
    return await this.#keys.current.sign(payload)
  }

  /** What stands there, where this node signed it as it is now. */
  async own(key: string): Promise<string | undefined> {
    const bytes = await this.#recordings.get(key)
    if (bytes === undefined) return undefined
    const keys = new SigningKeys()
    for (const { publicKey } of this.#keys.all) keys.add(publicKey)
    const jws = Buffer.from(bytes).toString()
    try {
      keys.open(jws)
      return jws
    } catch (error) {
      if (error instanceof RangeError) return undefined
      throw error
    }
  }

  async put(key: string, jws: string): Promise<void> {
    await this.#publish()
    await this.#recordings.put(key, Buffer.from(jws))
  }

  /** See KeyRing. What the old key signs afterwards is what it had begun: seals, and no anchor. */
  async rotate(change: RingChange): Promise<void> {
    await this.#keys.rotate(change)
  }

  async #publish(): Promise<void> {
    const { current, all, changes } = this.#keys
    if (this.#published === current.id) return
    for (const { id, publicKey } of all)
      await this.#recordings.put(storeKeys.publicKey(id), Buffer.from(publicKey))
    for (const { to, text } of changes)
      await this.#recordings.put(storeKeys.keyChange(to), Buffer.from(text))
    this.#published = current.id
  }
}
