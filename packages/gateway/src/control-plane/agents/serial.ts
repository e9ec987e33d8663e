import { withSource } from '../ledger/request-source.ts'

type Job = () => Promise<void>

/** Runs changes one after the other, in the order in which they were asked for; urgent ones before all others that wait. */
export class Serial {
  readonly #urgent: Job[] = []
  readonly #waiting: Job[] = []
  #isBusy = false

  run<T>(change: () => Promise<T>): Promise<T> {
    return this.#add(this.#waiting, change)
  }

  /** For what takes something away: no queue of wishes, however long, puts it off. */
  runUrgent<T>(change: () => Promise<T>): Promise<T> {
    return this.#add(this.#urgent, change)
  }

  #add<T>(queue: Job[], change: () => Promise<T>): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    // Whoever asked is named in what is recorded, though another's request may run it.
    const own = withSource(change)
    queue.push(async () => {
      try {
        resolve(await own())
      } catch (error) {
        reject(error as Error)
      }
    })
    if (!this.#isBusy) void this.#work()
    return promise
  }

  async #work(): Promise<void> {
    this.#isBusy = true
    for (let job = this.#next(); job !== undefined; job = this.#next()) await job()
    this.#isBusy = false
  }

  #next(): Job | undefined {
    return this.#urgent.shift() ?? this.#waiting.shift()
  }
}
