import { Buffer } from 'node:buffer'
import { createHmac, createSecretKey, hash, timingSafeEqual, type KeyObject } from 'node:crypto'

/** Length of a chain hash, in bytes. */
export const HASH_BYTES = 32
/** Block length of SHA-256: an HMAC key is padded to it. */
const BLOCK_BYTES = 64
/** What is hashed before a body: the inner pad and the previous hash. */
const PREFIX_BYTES = BLOCK_BYTES + HASH_BYTES

/**
 * The hash chain of one session: `h = HMAC-SHA-256(session key, previous h ‖ body)`, from 32 zero bytes.
 *
 * The HMAC is written out over one-shot hashes (RFC 2104), since these cost 1 µs where `createHmac` costs 2.5 µs;
 * a digest as a latin-1 string saves the allocation of two buffers. A test compares both.
 */
export class EntryChain {
  readonly #inner = Buffer.alloc(PREFIX_BYTES, 0x36)
  readonly #outer = Buffer.alloc(PREFIX_BYTES, 0x5c)
  readonly #saved = Buffer.alloc(PREFIX_BYTES)
  #length: number

  /** `head` and `length` continue a chain that was begun elsewhere. `key` has 32 bytes. */
  constructor(key: Uint8Array, head: Uint8Array = new Uint8Array(HASH_BYTES), length = 0) {
    if (key.length !== HASH_BYTES) throw new RangeError('a chain key has 32 bytes')
    padWith(key, this.#inner, this.#outer)
    this.#inner.set(head, BLOCK_BYTES)
    this.#length = length
  }

  /** Number of entries in the chain: the position of the next one. */
  get length(): number {
    return this.#length
  }

  /** A copy of the newest hash. */
  get head(): Buffer {
    return Buffer.from(this.#inner.subarray(BLOCK_BYTES))
  }

  /**
   * Appends the body that stands in `bytes` from `start` to `end`, and writes its hash to `end`.
   * `start` is at least 96: these bytes are borrowed and put back, so that no body is copied.
   */
  seal(bytes: Buffer, start: number, end: number): void {
    const from = start - PREFIX_BYTES
    bytes.copy(this.#saved, 0, from, start)
    this.#inner.copy(bytes, from)
    const inner = hash('sha256', bytes.subarray(from, end), 'binary')
    this.#saved.copy(bytes, from)
    this.#outer.write(inner, BLOCK_BYTES, HASH_BYTES, 'latin1')
    const sealed = hash('sha256', this.#outer, 'binary')
    bytes.write(sealed, end, HASH_BYTES, 'latin1')
    this.#inner.write(sealed, BLOCK_BYTES, HASH_BYTES, 'latin1')
    this.#length += 1
  }
}

/** Bodies up to this length are copied to be hashed; larger ones are rare, and go to `createHmac`. */
const COPIED_BYTES_MAX = 16 * 1024
const copied = Buffer.alloc(PREFIX_BYTES + COPIED_BYTES_MAX)

/** Checks a chain that someone else wrote, entry by entry. */
export class ChainVerifier {
  /** An object: given as bytes, a key is made anew for every entry, which takes five times as long as the hash. */
  readonly #key: KeyObject
  /** The inner pad and the previous hash; see `EntryChain` for why the HMAC is written out. */
  readonly #inner = Buffer.alloc(PREFIX_BYTES, 0x36)
  readonly #outer = Buffer.alloc(PREFIX_BYTES, 0x5c)
  #length: number

  /** `head` and `length` go on behind what was checked before. */
  constructor(key: Uint8Array, head: Uint8Array = new Uint8Array(HASH_BYTES), length = 0) {
    this.#key = createSecretKey(key)
    padWith(key, this.#inner, this.#outer)
    this.#inner.set(head, BLOCK_BYTES)
    this.#length = length
  }

  /** True when the entry is the next of the chain and its hash is right. After one failure nothing is accepted. */
  accept(record: {
    readonly position: number
    readonly body: Uint8Array
    readonly hash: Uint8Array
  }): boolean {
    if (record.position !== this.#length) return this.#refuse()
    const expected = this.#hashOf(record.body)
    if (!timingSafeEqual(expected, record.hash)) return this.#refuse()
    this.#inner.set(expected, BLOCK_BYTES)
    this.#length += 1
    return true
  }

  #hashOf(body: Uint8Array): Buffer {
    if (body.length > COPIED_BYTES_MAX) {
      const head = this.#inner.subarray(BLOCK_BYTES)
      return createHmac('sha256', this.#key).update(head).update(body).digest()
    }
    copied.set(this.#inner)
    copied.set(body, PREFIX_BYTES)
    const whole = copied.subarray(0, PREFIX_BYTES + body.length)
    this.#outer.write(hash('sha256', whole, 'binary'), BLOCK_BYTES, HASH_BYTES, 'latin1')
    return hash('sha256', this.#outer, 'buffer')
  }

  #refuse(): false {
    this.#length = Number.NaN
    return false
  }
}

/** The pads of RFC 2104 for this key. */
function padWith(key: Uint8Array, inner: Buffer, outer: Buffer): void {
  for (const [index, byte] of key.entries()) {
    inner[index] = 0x36 ^ byte
    outer[index] = 0x5c ^ byte
  }
}
