import { Buffer } from 'node:buffer'
import { storeKeys, type ObjectSource } from '@sallyport/core'
import type { AnchorSink } from './anchor-place.ts'
import type { CopyStatus } from '../../contract/operations.ts'

interface CopierOptions {
  readonly sink: AnchorSink
  /** The recording store: what is still to be copied waits there, so that nothing piles up in memory. */
  readonly store: ObjectSource
  /** The number of the newest anchor that is in the store; undefined while that is not known. */
  readonly newest: () => number | undefined
  /** The number that is next, kept over restarts. */
  readonly memory: { load(): Promise<number>; save(next: number): Promise<void> }
  /** Called when copying begins to fail, and for each anchor that is missing. */
  readonly onFault: (error: unknown) => void
}

const lookEveryMs = 1000
const retryMsMin = 1000
const retryMsMax = 60_000
const stopMsMax = 2000
/** More is not repeated after a crash. */
const saveEvery = 20
const missingMax = 100

/** Brings anchors to another place: all, in order, each at least once, with the keys that prove them before them. */
export class AnchorCopier {
  readonly #options: CopierOptions
  #next: number | undefined
  #saved = 0
  /** The key whose proofs are there. */
  #provenKey: string | undefined
  #retryMs = retryMsMin
  #problem: string | undefined
  readonly #missing: number[] = []
  #timer: NodeJS.Timeout | undefined
  #round: Promise<void> | undefined
  #isStopped = false

  constructor(options: CopierOptions) {
    this.#options = options
  }

  start(): void {
    this.#later(0)
  }

  /** Brings what is there, as much as a short time allows. */
  async stop(): Promise<void> {
    this.#isStopped = true
    clearTimeout(this.#timer)
    const last = setTimeout(() => this.#options.sink.close(), stopMsMax)
    await this.#round
    await this.round()
    clearTimeout(last)
    this.#options.sink.close()
  }

  status(): CopyStatus {
    const newest = this.#options.newest()
    const behind = newest === undefined ? 0 : Math.max(0, newest + 1 - (this.#next ?? 0))
    const problem = this.#problem === undefined ? {} : { problem: this.#problem }
    return { where: this.#options.sink.where, behind, missing: this.#missing, ...problem }
  }

  /** Copies what is new. Never rejects: what fails is told, and tried again. */
  async round(): Promise<void> {
    try {
      await this.#copy()
      this.#problem = undefined
      this.#retryMs = retryMsMin
    } catch (error) {
      const wasFailing = this.#problem !== undefined
      this.#problem = error instanceof Error ? error.message : String(error)
      if (!wasFailing) this.#options.onFault(new Error(`anchors are not copied: ${this.#problem}`))
    }
  }

  #later(ms: number): void {
    if (this.#isStopped) return
    this.#timer = setTimeout(() => {
      this.#round = this.round().finally(() => {
        this.#round = undefined
        if (this.#problem === undefined) return this.#later(lookEveryMs)
        this.#later(this.#retryMs)
        this.#retryMs = Math.min(retryMsMax, this.#retryMs * 2)
      })
    }, ms)
    this.#timer.unref()
  }

  async #copy(): Promise<void> {
    const { newest, memory } = this.#options
    const to = newest()
    if (to === undefined) return
    if (this.#next === undefined) {
      this.#next = await memory.load()
      this.#saved = this.#next
    }
    try {
      while (this.#next <= to) {
        await this.#one(this.#next)
        this.#next += 1
        if (this.#next - this.#saved >= saveEvery) await this.#save(this.#next)
      }
    } finally {
      if (this.#next > this.#saved) await this.#save(this.#next)
    }
  }

  async #save(next: number): Promise<void> {
    await this.#options.memory.save(next)
    this.#saved = next
  }

  async #one(number: number): Promise<void> {
    const { sink, store, onFault } = this.#options
    const key = storeKeys.anchor(number)
    const bytes = await store.get(key)
    if (bytes === undefined) {
      // Whoever took it away must not be able to stop those behind it as well.
      if (this.#missing.length < missingMax) this.#missing.push(number)
      onFault(new Error(`anchor ${number} is gone from the recording store, and was not copied`))
      return
    }
    const [head = ''] = Buffer.from(bytes).toString().split('.', 1)
    if (head !== this.#provenKey) {
      for (const prefix of [storeKeys.publicKeys, storeKeys.keyChanges])
        for await (const proof of store.list(prefix)) {
          const what = await store.get(proof)
          if (what !== undefined) await sink.put(proof, what)
        }
      this.#provenKey = head
    }
    await sink.put(key, bytes)
  }
}
