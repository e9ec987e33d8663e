import type { CoarseClass, ErrorCode } from '@sallyport/core'

/** What became of a command when it was judged. */
export const COUNTED_VERDICTS = ['allowed', 'held', 'blocked'] as const
export type CountedVerdict = (typeof COUNTED_VERDICTS)[number]

/** Upper bounds of the bins of a latency, in seconds. What is slower is in one bin more. */
export const LATENCY_BOUNDS = [
  0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025,
  0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
] as const

/** How often something took how long. */
export interface Bins {
  /** One for each of `LATENCY_BOUNDS`, and one for what is slower; not cumulative. */
  readonly counts: readonly number[]
  /** Seconds, of all. */
  readonly sum: number
}

/**
 * What a worker has counted since it last told, and how it is now. Amounts and not totals: a worker that dies takes the amounts
 * of its last second with it, and nothing that was told before.
 */
export interface WorkerCounts {
  readonly commands: readonly {
    readonly connection: string
    readonly verdict: CountedVerdict
    readonly class: CoarseClass
    readonly count: number
  }[]
  readonly masked: readonly { readonly connection: string; readonly values: number }[]
  /** Errors that callers have read. */
  readonly refusals: readonly { readonly code: ErrorCode; readonly count: number }[]
  readonly sessionsOpened: number
  /** From the first byte of a command that was looked at to its verdict. */
  readonly decision: Bins
  /** From the first byte that was looked at until the command could leave: its verdict was stored by then. */
  readonly added: Bins
  /** Syncs of the journal. */
  readonly sync: Bins
  /** Sessions that are open now. */
  readonly sessions: number
  /** The journal cannot be written. */
  readonly isJournalFailing: boolean
  /** The longest that the event loop was late, in seconds. */
  readonly loopLag: number
}
