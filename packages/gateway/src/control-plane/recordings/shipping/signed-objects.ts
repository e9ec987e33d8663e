import { Buffer } from 'node:buffer'
import { SigningKeys } from '@sallyport/core'
import { storeKeys } from '@sallyport/core'
import type { SigningKey } from '../../keys/signing-key.ts'
import type { RecordingStore } from '../../ports/recording-store.ts'

/** Puts what the node signs into the store, with the key that proves it. */
export class SignedObjects {
  readonly #recordings: RecordingStore
  readonly #key: SigningKey
  #isKeyThere = false

  constructor(recordings: RecordingStore, key: SigningKey) {
    this.#recordings = recordings
    this.#key = key
  }

  /** A compact JWS (RFC 7515) over the JSON of `payload`. */
  async sign(payload: object): Promise<string> {
    return await this.#key.sign(payload)
  }

  /** What stands there, where this node signed it as it is now. */
  async own(key: string): Promise<string | undefined> {
    const bytes = await this.#recordings.get(key)
    if (bytes === undefined) return undefined
    const keys = new SigningKeys()
    keys.add(this.#key.publicKey)
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
    if (!this.#isKeyThere) {
      const { id, publicKey } = this.#key
      await this.#recordings.put(storeKeys.publicKey(id), Buffer.from(publicKey))
      this.#isKeyThere = true
    }
    await this.#recordings.put(key, Buffer.from(jws))
  }
}
