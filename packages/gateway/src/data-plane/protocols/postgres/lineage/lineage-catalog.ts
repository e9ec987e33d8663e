import type { ObjectName } from '@sallyport/core'

/** One column of a relation, in the order of `*`. */
export interface LineageColumn {
  readonly attribute: number
  readonly name: string
  readonly typeOid: number
  readonly typmod: number
  /** The expression of a generated column. */
  readonly generated?: string
}

export interface LineageRelation {
  readonly oid: number
  readonly schema: string
  readonly name: string
  /** `pg_class.relkind`. */
  readonly kind: string
  readonly columns: readonly LineageColumn[]
  /** The query of a view, every name in it qualified; undefined where it is no view, or its query is not known. */
  readonly definition?: string
  /** Events that rules other than a view's own wait for: what is written may be something else, and rows may come back. */
  readonly rules: readonly RowEvent[]
  readonly constraints: readonly LineageConstraint[]
  readonly triggers: readonly LineageTrigger[]
  /** The session has just made it: its columns are not known, and nothing masked is in them. */
  readonly isMade?: true
}

/** What a statement does to rows, as triggers and rules wait for it. */
export type RowEvent = 'insert' | 'update' | 'delete'

/** Code that runs when rows are written. */
export interface LineageTrigger {
  readonly name: string
  readonly events: readonly RowEvent[]
  /** `schema.name` of its function. */
  readonly function: string
  readonly language: string
  /** The function's body. */
  readonly source: string
}

/** What the server checks when rows are written, and tells of by an error. */
export interface LineageConstraint {
  readonly kind: 'unique' | 'check' | 'foreign' | 'exclusion'
  readonly name: string
  /** Attributes that it looks at; empty where it may look at any of the relation's. */
  readonly attributes: readonly number[]
  readonly references?: { readonly oid: number; readonly attributes: readonly number[] }
}

/** A foreign key, seen from the relation that it refers to. */
export interface LineageReferrer {
  readonly relation: number
  readonly attributes: readonly number[]
  /** The attributes that it refers to. */
  readonly keys: readonly number[]
  /** What becomes of the rows that refer, where they are not in the way: by ON DELETE and ON UPDATE. */
  readonly actions: { readonly delete: RowEvent | undefined; readonly update: RowEvent | undefined }
}

/** A function outside `pg_catalog`. */
export interface LineageFunction {
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly volatility: 'i' | 's' | 'v'
  readonly language: string
  /** The operator vouches for it: it takes its arguments, and nothing that is stored. */
  readonly isTrusted: boolean
  readonly returnsSet: boolean
  /** CREATE FUNCTION as the server prints it, of functions in SQL. */
  readonly definition?: string
  /** The body, of functions in PL/pgSQL. */
  readonly source?: string
  /** Of an aggregate: its functions, without those of the server's own. */
  readonly behind?: readonly LineageFunction[]
}

/** All functions of one name in `pg_catalog`. */
export interface BuiltinFacts {
  readonly isVolatile: boolean
  readonly returnsSet: boolean
  readonly isAggregate: boolean
  /** Categories (`pg_type.typcategory`) of what they give, each once. */
  readonly returns: string
}

/** What lineage has to know of the target, as one session sees it. */
export interface LineageCatalog {
  /** Relations that the name may mean; empty where none is known. */
  named(name: ObjectName): readonly LineageRelation[]
  /** Relations of this name in any schema. */
  bearing(name: string): readonly LineageRelation[]
  relation(oid: number): LineageRelation | undefined
  /** All partitions and children below, at any depth. */
  descendants(oid: number): readonly number[]
  /** Foreign keys of other relations that refer to this one. */
  referrers(oid: number): readonly LineageReferrer[]
  functionsNamed(name: string): readonly LineageFunction[]
  builtin(name: string): BuiltinFacts | undefined
  /** Names of operators outside `pg_catalog`. */
  readonly operators: Iterable<string>
  /** Functions behind all casts outside `pg_catalog`. */
  readonly casts: readonly LineageFunction[]
  /** Functions behind operators of this name outside `pg_catalog`. */
  operatorsNamed(name: string): readonly LineageFunction[]
  /** Functions behind casts to types of this name, from this type where it is known; those of implicit casts stand under ``, of casts on assignment under `=`. */
  castsTo(type: string, from?: number): readonly LineageFunction[]
  /** Operators and casts run code that can't be told from their names: some of it may read anything. */
  readonly hasHiddenCode: boolean
  /** Types outside `pg_catalog`, domains among them: a cast to one may check, and call anything. */
  isOwnType(name: string): boolean
}
