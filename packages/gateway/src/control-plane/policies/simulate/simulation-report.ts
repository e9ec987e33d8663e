/** What would become of a command that had another fate. */
export type ChangeKind =
  | 'allowed → held'
  | 'allowed → blocked'
  | 'held → blocked'
  | 'clear → masked'
  | 'blocked → held'
  | 'blocked → allowed'
  | 'held → allowed'
  | 'masked → clear'

/** Changes after which more is possible than before: they are listed apart, and reviewed first. */
export const loosening: ReadonlySet<ChangeKind> = new Set([
  'blocked → held',
  'blocked → allowed',
  'held → allowed',
  'masked → clear',
])

/** One kind of change. */
export interface Change {
  readonly kind: ChangeKind
  readonly loosens: boolean
  readonly commands: number
  /** Who does what most often. */
  readonly mostly: { readonly agent: string; readonly what: string; readonly commands: number }
  /** The first of them. */
  readonly examples: readonly ChangedCommand[]
}

/** A command that would fare otherwise. */
export interface ChangedCommand {
  readonly decision: string
  readonly session: string
  readonly seq: number
  readonly agent: string
  readonly connection: string
  /** The beginning of it. */
  readonly text: string
  readonly rulesBefore: readonly string[]
  readonly rulesAfter: readonly string[]
}

/** How often a rule would have matched. */
export interface RuleHits {
  readonly id: string
  readonly matched: number
  readonly decided: number
}

/** What another set of policies would have made of recorded commands. */
export interface SimulationReport {
  /** Each counted once; a statement that was prepared counts when it is executed. */
  readonly commands: number
  readonly unchanged: number
  readonly changes: readonly Change[]
  /** By why; a command that can't be judged is never counted as unchanged. */
  readonly cannotJudge: readonly { readonly why: string; readonly commands: number }[]
  /** Refused before rules were asked, by a grant or for the agent: no policy changes that. */
  readonly notAsked: number
  /** Facts that were not known, and so count as a match of rules that restrict: how many commands met each. */
  readonly unknownFacts: readonly { readonly cause: string; readonly commands: number }[]
  /** Decisions that the policies of then do not make again: a fault of the gateway. */
  readonly faults: readonly string[]
  readonly faultCount: number
  readonly rules: readonly RuleHits[]
}
