/** Lets changes of one thing follow each other. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Does the work when what was given for the same key before is done, however that ended. */
  async take<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key) ?? Promise.resolve()
    const mine = before.then(work)
    const settled = mine.catch(() => undefined)
    this.#last.set(key, settled)
    void settled.then(() => {
      if (this.#last.get(key) === settled) this.#last.delete(key)
    })
    return await mine
  }

  /** Resolves when all that was given until now is done. */
  async allTaken(): Promise<void> {
    await Promise.all(this.#last.values())
  }
}
