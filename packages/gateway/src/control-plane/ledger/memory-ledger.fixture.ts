import { SallyportError } from '@sallyport/core'
import { FACTS, type FactName } from './facts.ts'
import type { Fact, Ledger } from './ledger.ts'

/** Keeps facts in memory, and refuses those that may be refused where it is told to. */
export class MemoryLedger implements Ledger {
  readonly facts: Fact[] = []
  isAway = false

  write(fact: Fact): Promise<void> {
    if (this.isAway && FACTS[fact.what].rule === 'refuse')
      throw new SallyportError('SP_RECORD_UNAVAILABLE', 'the ledger could not be written')
    this.facts.push(fact)
    return Promise.resolve()
  }

  named(what: FactName): Fact[] {
    return this.facts.filter((fact) => fact.what === what)
  }
}
