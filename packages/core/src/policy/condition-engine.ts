/** A path of names such as `op.class`. */
export type FactPath = string

/** Facts as nested plain objects: `{ op: { class: 'read' } }`. CEL integers are BigInt. An unknown fact is left out. */
export type Facts = Readonly<Record<string, unknown>>

/** Types of facts by path: `string`, `bool`, `int`, `list<string>`, `map<string, string>`, `google.protobuf.Timestamp`; a closed set of values where there is one. */
export interface FactSchema {
  readonly facts: Readonly<
    Record<FactPath, { readonly type: string; readonly values?: readonly string[] }>
  >
}

/** Compiles and evaluates conditions. The library behind it can be exchanged; the semantics of policies are not its business. */
export interface ConditionEngine {
  readonly name: string
  /** Parses, type-checks and limits a condition. Never throws; every problem has a source range. */
  compile(source: string, schema: FactSchema): CompileResult
}

export type CompileResult =
  | { readonly kind: 'ok'; readonly condition: Condition }
  | { readonly kind: 'refused'; readonly problems: readonly Problem[] }

export interface Problem {
  readonly check: string
  readonly message: string
  /** Offsets into the condition's source, in UTF-16 units; `end` is exclusive. */
  readonly start: number
  readonly end: number
}

export interface Condition {
  /** Fact paths the condition may read. */
  readonly reads: readonly FactPath[]
  /** Synchronous, pure, bounded. What it costs is taken off `meter`; an empty meter gives the error `cost`. */
  evaluate(facts: Facts, meter?: CostMeter): Outcome
  /** The condition taken apart, for people. Made when first asked for: deciding has no use for it. */
  clauses(): ClauseTree
}

/** A condition taken apart at `&&`, `||` and `!`, down to what is true or false by itself. */
export type ClauseTree =
  | { readonly kind: 'all' | 'any'; readonly parts: readonly ClauseTree[] }
  | { readonly kind: 'not'; readonly part: ClauseTree }
  | Clause

/** What is evaluated on its own. */
export interface Clause {
  readonly kind: 'clause'
  readonly text: string
  readonly condition: Condition
}

/** What one decision may still cost. Counted, not timed, so that a replay gives the same result. */
export interface CostMeter {
  /** Nodes of syntax trees that may still be visited. */
  nodes: number
  /** UTF-16 units that regular expressions may still read. */
  matched: number
}

export type Outcome =
  | { readonly kind: 'value'; readonly value: boolean }
  | { readonly kind: 'unknown'; readonly fact: FactPath }
  | {
      readonly kind: 'error'
      readonly code: 'cost' | 'type' | 'subject-too-long' | 'internal'
    }
