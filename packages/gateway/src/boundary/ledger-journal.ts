import type { FactEntry, SessionId } from '@sallyport/core'
import type { JournalConfig } from './messages.ts'

/** A fact as the control plane states it. */
export type FactFields = Omit<FactEntry, 'kind'>

/** What a ledger says of itself in its first entry. */
export interface LedgerOpening {
  /** The gateway's program and version. */
  readonly application: string
  /** The machine that it runs on. */
  readonly node: string
  /** The operating system's user who runs it. */
  readonly owner: string
}

/** The journal of the control plane's facts. The data plane's journal makes one; the planes know it by this alone. */
export interface LedgerJournal {
  /** `l_…`: the ledger is recorded, verified and exported as a session of this id. */
  readonly id: SessionId
  /**
   * The fact is with the kernel when this returns, so that no crash of the gateway loses it; throws SP_RECORD_UNAVAILABLE
   * where it can't be written, and then nothing of it is. Resolves once the fact is stored as durably as the journal's mode
   * says (in `auto`: on disk), and rejects where that fails: the fact may stand then all the same.
   * `evenWhenLow` writes on as long as there is any room, below the reserve too.
   */
  append(
    fact: FactFields,
    options: { readonly evenWhenLow: boolean; readonly atMs: number },
  ): Promise<void>
  /** Ends the ledger. Further calls do nothing. */
  close(reason: string): Promise<void>
}

/** Mends what an earlier run left of its ledger, and begins a new one. */
export type OpenLedgerJournal = (
  config: JournalConfig,
  opening: LedgerOpening,
  deps: { readonly now: () => number },
) => Promise<LedgerJournal>
