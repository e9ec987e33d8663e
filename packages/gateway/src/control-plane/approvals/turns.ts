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

  /** As `take`, when what was given for all of these keys before is done. */
  async takeAll<T>(keys: readonly string[], work: () => Promise<T>): Promise<T> {
    // In one order for everybody, so that no two wait for each other.
    const [first, ...others] = [...new Set(keys)].toSorted()
    if (first === undefined) return await work()
    return await this.take(first, async () => await this.takeAll(others, work))
  }

  /** Resolves when all that was given until now is done. */
  async allTaken(): Promise<void> {
    await Promise.all(this.#last.values())
  }
}
