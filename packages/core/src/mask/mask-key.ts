import { Buffer } from 'node:buffer'
import { createCipheriv, createHash, createHmac, hash, type Cipheriv } from 'node:crypto'

const dayMicros = 86_400_000_000

/** Dates move by at least a month and at most about five years, so that they stay plausible. */
const daysMin = 30
const daysSpan = 1800

/** The block of SHA-256, to which HMAC fills up its key (RFC 2104). */
const shaBlock = 64
const shaBytes = 32
/** Longer values go through the streaming interface; its extra cost is small beside theirs. */
const valueBytesMax = 1024
/** A character of a string takes at most three bytes of UTF-8. */
const utf8BytesMax = 3
const domainBytesMax = 32

/** Values of the round function are made in runs of this many, because a call into the cipher costs more than a run. */
const runLength = 64
/** Numbers of up to ten digits that fit an int4 have sides up to here. Larger ones have too many values to keep. */
const keptSideMax = 46_341
/** Three quarters of a megabyte for one tree of agents; then it starts over. It holds one band of any size. */
const keptMax = 384 * 1024

/** Values of the round function that were made: those of a run are there where its flag is set. */
interface RoundTable {
  readonly values: Uint16Array
  readonly made: Uint8Array
}

/** The secret behind `token` and `hash`. Equal values stay equal under one key and can't be compared between two. */
export class MaskKey {
  readonly #key: Buffer
  readonly #cipher: Cipheriv
  readonly #block = Buffer.alloc(16)
  /** The padded key, then domain and value; and the padded key, then the digest of the first. */
  readonly #inner = Buffer.alloc(shaBlock + domainBytesMax + 1 + valueBytesMax)
  readonly #outer = Buffer.alloc(shaBlock + shaBytes)
  readonly #tables = new Map<number, RoundTable>()
  #kept = 0
  /** Whole days by which dates move. */
  readonly shiftDays: number
  /** Microseconds by which timestamps move: the days, and a part of a day, so that the time of day isn't shown. */
  readonly shiftMicros: number

  constructor(key: Buffer) {
    this.#key = Buffer.from(key)
    const short = key.length > shaBlock ? createHash('sha256').update(key).digest() : key
    this.#inner.fill(0x36, 0, shaBlock)
    this.#outer.fill(0x5c, 0, shaBlock)
    for (const [at, byte] of short.entries()) {
      this.#inner.writeUInt8(byte ^ 0x36, at)
      this.#outer.writeUInt8(byte ^ 0x5c, at)
    }
    this.#cipher = createCipheriv('aes-256-ecb', this.mac('digits', ''), null).setAutoPadding(false)
    const shift = this.mac('date-shift', '')
    const days = daysMin + (shift.readUInt32BE(0) % daysSpan)
    this.shiftDays = (shift.readUInt8(4) & 1) === 0 ? days : -days
    this.shiftMicros =
      this.shiftDays * dayMicros + (1 + (shift.readUInt32BE(5) % 86_399)) * 1_000_000
  }

  /** The key of one tree of agents: `scope` names its root, so that trees can't compare their tokens. */
  static derive(key: Buffer, scope: string): MaskKey {
    return new MaskKey(createHmac('sha256', key).update('mask-scope\0').update(scope).digest())
  }

  /** HMAC-SHA-256 of a value; `domain` separates uses, so that one can't be compared with another. */
  mac(domain: string, value: string | Buffer): Buffer {
    return Buffer.from(this.macText(domain, value), 'latin1')
  }

  /** The same, each byte as one character: no buffer is made for it. */
  macText(domain: string, value: string | Buffer): string {
    const bytesMax = typeof value === 'string' ? value.length * utf8BytesMax : value.length
    if (bytesMax > valueBytesMax || domain.length > domainBytesMax) {
      return createHmac('sha256', this.#key).update(`${domain}\0`).update(value).digest('binary')
    }
    // Both hashes of HMAC in one call each: an Hmac object costs several times as much as hashing a short value.
    const inner = this.#inner
    const start = shaBlock + inner.write(`${domain}\0`, shaBlock, 'latin1')
    const length = typeof value === 'string' ? inner.write(value, start) : value.copy(inner, start)
    const digest = hash('sha256', inner.subarray(0, start + length), 'binary')
    this.#outer.write(digest, shaBlock, 'latin1')
    return hash('sha256', this.#outer, 'binary')
  }

  /** The round function modulo the side of a band. */
  roundModulo(domain: number, round: number, value: number, side: number, sideMax: number): number {
    if (sideMax > keptSideMax) return this.round(domain, round, value) % side
    const table = this.#tables.get(domain * 16 + round) ?? this.#makeTable(domain, round, sideMax)
    const run = Math.floor(value / runLength)
    if (table.made[run] !== 1) this.#makeRun(table, run, domain, round, side)
    return table.values[value] ?? 0
  }

  #makeTable(domain: number, round: number, sideMax: number): RoundTable {
    const runs = Math.ceil(sideMax / runLength)
    if (this.#kept + runs * runLength > keptMax) {
      this.#tables.clear()
      this.#kept = 0
    }
    const table = { values: new Uint16Array(runs * runLength), made: new Uint8Array(runs) }
    this.#tables.set(domain * 16 + round, table)
    this.#kept += table.values.length
    return table
  }

  #makeRun(table: RoundTable, run: number, domain: number, round: number, side: number): void {
    const first = run * runLength
    const blocks = Buffer.alloc(runLength * 16)
    for (let n = 0; n < runLength; n += 1) {
      blocks.writeUInt32BE(domain, n * 16)
      blocks.writeUInt32BE(round, n * 16 + 4)
      blocks.writeUInt32BE(first + n, n * 16 + 12)
    }
    const out = this.#cipher.update(blocks)
    for (let n = 0; n < runLength; n += 1) {
      table.values[first + n] = out.readUIntBE(n * 16, 6) % side
    }
    table.made[run] = 1
  }

  /** The round function of the digit permutation: 48 pseudo-random bits of AES, as NIST's FF1 takes it. */
  round(domain: number, round: number, value: number): number {
    const block = this.#block
    block.writeUInt32BE(domain, 0)
    block.writeUInt32BE(round, 4)
    block.writeUInt32BE(Math.floor(value / 0x1_0000_0000), 8)
    block.writeUInt32BE(value % 0x1_0000_0000, 12)
    return this.#cipher.update(block).readUIntBE(0, 6)
  }
}
