import type {
  AgentId,
  ApprovalId,
  HoldOutcome,
  ObjectName,
  RuleDemand,
  SessionId,
} from '@sallyport/core'

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
  /** SHA-256, in hexadecimal, of the statement without its values; absent where it has no shape that could be told. */
  readonly shape?: string
  /** The statement without values and comments, in one line, perhaps cut; absent where it could not be told. */
  readonly outline?: string
  readonly policyVersion: number
  /** SHA-256, in hexadecimal, of all that an approval is bound to. */
  readonly binding: string
  /** `return`: the worker waits only for what is known at once. */
  readonly wait: 'hold' | 'return'
  /** Milliseconds since the epoch. */
  readonly askedAtMs: number
  readonly untilMs: number
}

/** What may be asked of the target about a command that waits, each with the text to ask by or why there is none. */
export interface TargetQuestions {
  /** `EXPLAIN`, never ANALYZE. */
  readonly plan: Question
  /** Counts the rows that it meets. */
  readonly count: Question
  /** Reads a few rows that it meets, which the agent may read unmasked. */
  readonly sample: Question
  /** The shape of the statement, as in `HoldAsked`. */
  readonly shape: Question
  /** As in `HoldAsked`. */
  readonly outline?: string
  /** What the caller gave beside the text; bytes are in the protocol's binary form. */
  readonly values: readonly AskedValue[]
  /** Object ids of the values' types; 0 or nothing where the target is to tell. */
  readonly types: readonly number[]
  /** Settings that the session began with, `name=value`: a date may be another one by them. */
  readonly settings: readonly string[]
  /** Qualified names of what the statement itself changes. */
  readonly changes: { readonly names: readonly ObjectName[] } | { readonly why: string }
}

export type Question = { readonly text: string } | { readonly why: string }

export type AskedValue = string | Uint8Array | null

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
