import path from 'node:path'
import { parseJournalFileName, SallyportError } from '@sallyport/core'
import type { JournalFs } from './journal-fs.ts'

/** Free space and folder size are looked up at most this often: a lookup costs system calls, a second's growth is small. */
const CHECK_EVERY_MS = 1000
/** New sessions need this much more room than commands, so that running sessions can drain. */
const SESSION_RESERVE = 1.1

/** Refuses sessions, then commands, when the disk or the journal's share of it is nearly full. */
export class SpaceGuard {
  readonly #fs: JournalFs
  readonly #dir: string
  readonly #worker: number
  readonly #minFreeBytes: number
  readonly #maxBytes: number
  #checkedAtMs = Number.NEGATIVE_INFINITY
  #freeBytes = Number.POSITIVE_INFINITY
  #usedBytes = 0

  constructor(
    fs: JournalFs,
    worker: number,
    limits: { readonly dir: string; readonly minFreeBytes: number; readonly maxBytes: number },
  ) {
    this.#fs = fs
    this.#worker = worker
    this.#dir = limits.dir
    this.#minFreeBytes = limits.minFreeBytes
    this.#maxBytes = limits.maxBytes
  }

  /** Size of the worker's files at the last look, plus what was written since. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  wrote(bytes: number): void {
    this.#usedBytes += bytes
    this.#freeBytes -= bytes
  }

  /** Returns why there is no room, or undefined. */
  refusal(what: 'session' | 'command', nowMs: number): SallyportError | undefined {
    if (nowMs - this.#checkedAtMs >= CHECK_EVERY_MS) {
      this.#checkedAtMs = nowMs
      this.#look()
    }
    const reserve = what === 'session' ? SESSION_RESERVE : 1
    if (this.#freeBytes < this.#minFreeBytes * reserve) {
      return new SallyportError(
        'SP_RECORD_UNAVAILABLE',
        'the journal disk has too little free space',
      )
    }
    if (this.#usedBytes * reserve >= this.#maxBytes) {
      return new SallyportError('SP_RECORD_UNAVAILABLE', 'the journal has reached its maximum size')
    }
    return undefined
  }

  #look(): void {
    try {
      const disk = this.#fs.statfsSync(this.#dir)
      this.#freeBytes = disk.bavail * disk.bsize
      this.#usedBytes = this.#folderBytes()
    } catch {
      // A folder that can't be asked has no room that could be relied on; the next look may find it again.
      this.#freeBytes = Number.NEGATIVE_INFINITY
    }
  }

  #folderBytes(): number {
    let sum = 0
    for (const name of this.#fs.readdirSync(this.#dir)) {
      if (parseJournalFileName(name)?.worker !== this.#worker) continue
      sum += this.#fs.statSync(path.join(this.#dir, name), { throwIfNoEntry: false })?.size ?? 0
    }
    return sum
  }
}
