import type { EffectClass, ObjectName } from '@sallyport/core'

/** What triggers, rules, checks and cascades wait for; `maintain` is VACUUM, ANALYZE, CLUSTER and REINDEX. */
export type RowEvent = 'select' | 'insert' | 'update' | 'delete' | 'truncate' | 'maintain'

/** One function of a name, as the target's catalog has it. */
export interface CatalogFunction {
  readonly schema: string
  readonly name: string
  readonly volatility: 'i' | 's' | 'v'
  readonly language: string
  readonly securityDefiner: boolean
  /** Its CREATE FUNCTION, where the language is one that is read. */
  readonly definition?: string
  /** The extension that it belongs to. */
  readonly extension?: string
  /** The functions of an aggregate. */
  readonly behind?: readonly CatalogFunction[]
  /** Checks of the domains among its parameters and its result. */
  readonly checks?: readonly string[]
  /** One of the server's own: what it does stands in a list. */
  readonly isBuiltin?: true
}

/** A function that a statement makes, without its schema; its CREATE FUNCTION where it has one. */
export interface MadeFunction {
  readonly name: string
  readonly definition?: string
}

/** Code that the target runs by itself when something happens to the rows of a relation. */
export interface RelationCode {
  readonly event: RowEvent
  /** CREATE RULE, CREATE TRIGGER, or a SELECT of the expressions of defaults, checks, indexes and policies. */
  readonly definition?: string
  /** What a trigger calls. */
  readonly calls?: CatalogFunction
  /** What a foreign key does to the rows of the table that refers to this one. */
  readonly cascade?: {
    readonly relation: ObjectName
    readonly effect: EffectClass
    readonly event: RowEvent
  }
}

/** A cast between two types. Without being written it runs where a value is assigned, or in any expression. */
export interface CatalogCast {
  readonly source: number
  /** Name of the type that it makes. */
  readonly target: string
  readonly runs: 'where-written' | 'on-assignment' | 'anywhere'
  readonly calls: CatalogFunction
}

/** The target's own code, and what stands between a statement and it. */
export interface StoredCode {
  /** Functions behind the operators of that sign that are not the server's own. */
  operatorFunctions(sign: string): readonly CatalogFunction[]
  /** Checks of the domains of that name. */
  checksOf(type: string): readonly string[]
  /** Casts that call functions. */
  readonly casts: readonly CatalogCast[]
  /** Whether a value of the type can come from a column or row of the relations, or from a value of the named types. */
  mayHold(type: number, relations: readonly ObjectName[], types: Iterable<string>): boolean
  /** Functions behind comparisons of types and behind ranges, which a statement needs not write. */
  readonly implicit: readonly CatalogFunction[]
  ofRelation(qualified: ObjectName): readonly RelationCode[]
  /** Functions that event triggers call. */
  readonly eventTriggers: readonly CatalogFunction[]
}
