/** Puts things on disk, one sync at a time; all who ask while one runs share the next, which begins after all their writes. */
export class SharedSync {
  readonly #sync: () => Promise<void>
  #running: Promise<void> | undefined
  #next: Promise<void> | undefined

  constructor(sync: () => Promise<void>) {
    this.#sync = sync
  }

  /** Resolves when a sync is over that began after this call. */
  next(): Promise<void> {
    if (this.#running === undefined) return this.#start()
    this.#next ??= this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        return this.#start()
      })
    return this.#next
  }

  /** Resolves when none runs, however the last one went. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running.catch(() => undefined)
  }

  #start(): Promise<void> {
    const running = this.#sync().finally(() => {
      if (this.#running === running) this.#running = undefined
    })
    this.#running = running
    return running
  }
}
