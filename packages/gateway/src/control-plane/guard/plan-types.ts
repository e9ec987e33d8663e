import type { ColumnPattern, MaskSet } from '@sallyport/core'
import type { Ask, GuardCatalog, GuardRelation } from './guard-catalog.ts'
import type { GuardNames } from './guard-names.ts'
import type { MaskedColumns } from './masked-columns.ts'

/** What an operator chooses. */
export interface GuardOptions {
  /** `clean`: rows may be inserted, changed and deleted through the masks, masked columns excepted. */
  readonly writes: 'none' | 'clean'
  readonly lookup: LookupOptions | undefined
  /** Rights that everybody has and that would let masked data out are given to each present role instead. */
  readonly closePublic: boolean
}

/** Masked columns by whose true value callers may look rows up, and how often. */
export interface LookupOptions {
  readonly columns: readonly ColumnPattern[]
  readonly count: number
  readonly windowSeconds: number
}

export interface Statement {
  /** What a person reads while it runs. */
  readonly step: string
  readonly sql: string
  /** The relation it provides, where its text is the same as long as nothing has drifted. */
  readonly about?: string
}

export interface PlanInput {
  readonly ask: Ask
  readonly catalog: GuardCatalog
  readonly names: GuardNames
  readonly sets: readonly MaskSet[]
  readonly options: GuardOptions
  /** The connection's own login, as a name. */
  readonly login: string
  readonly database: string
  readonly connection: string
  readonly trustedFunctions: readonly string[]
}

/** What one mask set needs at the target. */
export interface PlannedSet {
  readonly set: MaskSet
  readonly login: string
  /** Schemas of the target, each with the one that stands before it. */
  readonly schemas: Readonly<Record<string, string>>
  /** Functions that look rows up by a masked value, each with the table that it reads. */
  readonly lookups: readonly Lookup[]
  /** Materialized views that are read as they are. */
  readonly matviews: readonly string[]
  /** Relations that have a masked form. */
  readonly relations: readonly (readonly [schema: string, name: string])[]
  /** Tables with masked columns, as SQL writes them. */
  readonly maskedTables: readonly string[]
  /** Masked columns, views included. */
  readonly maskedCount: number
  readonly statements: readonly Statement[]
  readonly notes: readonly string[]
}

export interface Lookup {
  /** `schema.name`. */
  readonly name: string
  readonly table: readonly [schema: string, name: string]
}

/** Which relations are masked, which are read as they are, and which are views to be made anew. */
export interface Sorted {
  readonly masked: MaskedColumns
  readonly maskedTables: readonly GuardRelation[]
  readonly clean: readonly GuardRelation[]
  readonly views: readonly GuardRelation[]
}

/** One mask set's part of the plan. */
export interface SetContext {
  readonly input: PlanInput
  readonly set: MaskSet
  readonly sorted: Sorted
  readonly schemas: Readonly<Record<string, string>>
  readonly notes: string[]
}
