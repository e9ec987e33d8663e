import type { Store } from '../ports/store.ts'

const purgeEveryMs = 60_000

/** Proofs of possession that were taken. On disk, so that none is taken again after a restart. */
export class StoredProofUses {
  readonly #store: Store
  readonly #now: () => number
  #purgedAtMs = 0

  constructor(store: Store, now: () => number = Date.now) {
    this.#store = store
    this.#now = now
  }

  /** False where it was taken before. */
  take(id: string, forgetAtMs: number): Promise<boolean> {
    const nowMs = this.#now()
    const isDue = nowMs - this.#purgedAtMs >= purgeEveryMs
    if (isDue) this.#purgedAtMs = nowMs
    return this.#store.durable(async (tx) => {
      if (isDue)
        await tx.deleteFrom('dpop_proof').where('forget_at', '<', new Date(nowMs)).execute()
      const { numInsertedOrUpdatedRows } = await tx
        .insertInto('dpop_proof')
        .values({ id, forget_at: new Date(forgetAtMs) })
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirst()
      return numInsertedOrUpdatedRows === 1n
    })
  }
}
