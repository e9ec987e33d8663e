import type { DecodedRecord } from '@sallyport/core'
import type { RecordObserver, RecordOf } from '../index/search-index.ts'

/** Several that are told of every record; a journal goes when each of them has kept what is in it. */
export class Observers implements RecordObserver {
  readonly #all: readonly RecordObserver[]

  constructor(all: readonly RecordObserver[]) {
    this.#all = all
  }

  async open(runs: readonly { readonly worker: number; readonly run: number }[]): Promise<void> {
    for (const each of this.#all) await each.open(runs)
  }

  get hasRoom(): boolean {
    return this.#all.every((each) => each.hasRoom)
  }

  take(record: DecodedRecord, of: RecordOf): void {
    for (const each of this.#all) each.take(record, of)
  }

  /** One that fails keeps the others from nothing but the removal of journals. */
  async flush(): Promise<void> {
    const failures: unknown[] = []
    for (const each of this.#all) await each.flush().catch((error: unknown) => failures.push(error))
    if (failures.length > 0) throw failures[0]
  }
}
