import { createCipheriv, createHmac, type Cipheriv } from 'node:crypto'

const dayMicros = 86_400_000_000

/** Dates move by at least a month and at most about five years, so that they stay plausible. */
const daysMin = 30
const daysSpan = 1800

/** The secret behind `token` and `hash`. Equal values stay equal under one key and can't be compared between two. */
export class MaskKey {
  readonly #key: Buffer
  readonly #cipher: Cipheriv
  readonly #block = Buffer.alloc(16)
  /** Whole days by which dates move. */
  readonly shiftDays: number
  /** Microseconds by which timestamps move: the days, and a part of a day, so that the time of day isn't shown. */
  readonly shiftMicros: number

  constructor(key: Buffer) {
    this.#key = Buffer.from(key)
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
    return createHmac('sha256', this.#key).update(`${domain}\0`).update(value).digest()
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
