import type { FactActor } from '@sallyport/core'
import type { FactDetail, FactName } from './facts.ts'

/** Who brings a fact about. */
export interface FactBy {
  readonly by: FactActor
  readonly name: string
  /** The agent's path, root first, where it is one. */
  readonly chain?: readonly { readonly id: string; readonly name: string }[]
}

/** Something that happened in the control plane. */
export interface Fact {
  readonly what: FactName
  readonly actor: FactBy
  /** What it was done to: an id or a name. */
  readonly subject: string
  readonly detail?: FactDetail
  /** Where absent, the address of the request that is being served. */
  readonly source?: string
}

/** Takes down what the control plane does. */
export interface Ledger {
  /**
   * Writes a fact as its rule in `FACTS` says. A fact whose act may be refused is with the kernel when this returns; it throws
   * SP_RECORD_UNAVAILABLE where that can't be. What is returned resolves once the fact is stored as durably as the journal's
   * mode asks for, and rejects with that code where the disk fails then: to be awaited before the act is acknowledged.
   * For other facts it never throws nor rejects, and waits for nothing.
   */
  write(fact: Fact): Promise<void>
}

/** The gateway itself, by the name of what it noticed. */
export function gatewayBy(name = 'gateway'): FactBy {
  return { by: 'gateway', name }
}

/** Somebody who did not say who they are, or could not prove it. */
export const nobody: FactBy = { by: 'nobody', name: '' }
