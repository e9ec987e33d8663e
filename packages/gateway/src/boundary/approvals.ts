import type { AgentId, ApprovalId, HoldOutcome, RuleDemand, SessionId } from '@sallyport/core'

/** A command that waits for an approval, as its worker tells it. */
export interface HoldAsked {
  readonly id: ApprovalId
  readonly session: SessionId
  /** Number of the command in its session. */
  readonly seq: number
  readonly connection: string
  readonly database: string
  readonly agent: AgentId
  /** Ids, root first, the agent last. */
  readonly path: readonly AgentId[]
  /** Names, root first. */
  readonly chain: readonly string[]
  readonly level: number
  readonly application: string
  readonly source: string
  /** As the caller sent it, cut to `heldTextMax` characters. */
  readonly text: string
  readonly textLength: number
  /** Values that the caller gave beside the text, in the same form, each cut; null is SQL's. */
  readonly parameters: readonly (string | null)[]
  readonly class: string
  readonly verb: string
  /** Names of what it touches, as lists of parts. */
  readonly objects: readonly (readonly string[])[]
  readonly unbounded: boolean
  readonly opaque: readonly string[]
  readonly inTransaction: boolean
  readonly demands: readonly RuleDemand[]
  readonly policyVersion: number
  /** SHA-256, in hexadecimal, of all that an approval is bound to. */
  readonly binding: string
  /** `return`: the worker waits only for what is known at once. */
  readonly wait: 'hold' | 'return'
  /** Milliseconds since the epoch. */
  readonly askedAtMs: number
  readonly untilMs: number
}

/** How a request ended. */
export interface HoldAnswer {
  readonly outcome: HoldOutcome
  /** Names of those who answered. */
  readonly by: readonly string[]
  /** What they said, or why it was withdrawn. */
  readonly note: string
  /** Of an older request for the same command that this one was answered by. */
  readonly insteadOf?: ApprovalId
}

/** Longer texts are cut where they are shown; an approval is bound to the whole. */
export const heldTextMax = 16_384
