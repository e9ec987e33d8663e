import type { RuleDemand } from './approval/demand.ts'
import type { ErrorCode } from './errors.ts'
import type { DecisionId } from './ids.ts'

/** What was decided about one command, and by which rules. `masks` exists only where the command may run. */
export type Verdict =
  | {
      readonly effect: 'allow'
      readonly id: DecisionId
      readonly masks: readonly MaskRule[]
      readonly rules: readonly string[]
      readonly policyVersion: number
      /** Rows that the answer may have at most, by the grants of the chain; absent = any number. */
      readonly rowsMax?: number
      /** When the rules were asked; milliseconds since the epoch. */
      readonly askedAtMs?: number
    }
  | {
      readonly effect: 'approve'
      readonly id: DecisionId
      readonly masks: readonly MaskRule[]
      readonly rules: readonly string[]
      readonly policyVersion: number
      /** Rows that the answer may have at most, by the grants of the chain; absent = any number. */
      readonly rowsMax?: number
      /** Whose approval it needs: all of these. */
      readonly demands: readonly RuleDemand[]
      /** What the caller reads where nobody can be asked. */
      /** When the rules were asked; milliseconds since the epoch. */
      readonly askedAtMs?: number
      readonly reason: Refusal
    }
  | {
      readonly effect: 'block'
      readonly id: DecisionId
      readonly rules: readonly string[]
      readonly policyVersion: number
      /** When the rules were asked; absent where something else decided before them. */
      readonly askedAtMs?: number
      readonly reason: Refusal
    }

/** Why a command does not run, in parts that a protocol can put into its own error form. No masked value or condition stands in it. */
export interface Refusal {
  readonly code: ErrorCode
  /** `blocked by Sallyport rule "no-drop-database"` */
  readonly message: string
  /** What and why, and that nothing was sent. */
  readonly detail: string
  /** The next step, with the decision id. */
  readonly hint: string
  /** `policy/rule`, where a rule decided. */
  readonly rule?: string
}

/** One thing to mask in an answer: columns by name, or values by detector. */
export interface MaskRule {
  readonly rule: string
  /** `[schema.]table.column` patterns as lists of parts with globs; empty for a detector mask. */
  readonly columns: readonly (readonly string[])[]
  readonly detect: readonly string[]
  readonly with: MaskFunction
  /** What happens to a result column whose origin can't be told, in a statement that touches masked columns. */
  readonly unresolved: 'mask' | 'block'
  /** Whether the columns may decide about rows, order, groups and branches; absent: `observe` for people, `block` for all others. */
  readonly inference?: InferenceMode
}

/** `lookup` lets a command ask for the row of a value that it names, and nothing else; `observe` notes what is asked. */
export const INFERENCE_MODES = ['allow', 'observe', 'lookup', 'block'] as const
export type InferenceMode = (typeof INFERENCE_MODES)[number]

/** Names of mask functions; `round` carries its step (`round:10`, `round:month`). Strongest first is block, null, redact, hash, token, fake, last4, round, partial. */
export type MaskFunction =
  | 'block'
  | 'null'
  | 'redact'
  | 'hash'
  | 'token'
  | 'fake'
  | 'last4'
  | 'partial'
  | `round:${string}`
