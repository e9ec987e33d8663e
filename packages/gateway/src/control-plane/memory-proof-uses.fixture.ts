import type { ProofUses } from './dpop.ts'

/** Proofs that were taken, forgotten with the process. */
export class MemoryProofUses implements ProofUses {
  readonly #taken = new Set<string>()

  async take(id: string): Promise<boolean> {
    const isNew = !this.#taken.has(id)
    this.#taken.add(id)
    return await Promise.resolve(isNew)
  }
}
