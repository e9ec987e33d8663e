import type { Flow, MaskedColumn } from './flow.ts'

/** How a masked column decides about something else than a value. */
export type Influence =
  | 'filter'
  | 'join'
  | 'order'
  | 'group'
  | 'distinct'
  | 'limit'
  | 'rows'
  | 'branch'
  | 'window'
  | 'constraint'

/** A fact about masked columns, and how they come there. */
export interface Finding {
  readonly flow: Flow
  /** A few words: what the columns do, or where they would be put. */
  readonly what: string
}

export interface InfluenceFinding extends Finding {
  readonly influence: Influence
  /** The condition is `column = constant or parameter`, which a look-up may have. */
  readonly isLookup: boolean
}

/** One output column of a statement. */
export interface OutputColumn {
  /** As the server will name it; undefined where that isn't followed. */
  readonly name: string | undefined
  readonly flow: Flow
  /** The table column that the server must name as the origin, where it names one. */
  readonly origin?: { readonly relation: number; readonly attribute: number }
}

/** Where the values of one statement come from and go to. */
export interface Lineage {
  /** Undefined where the columns can't be told one by one. */
  readonly columns: readonly OutputColumn[] | undefined
  /** Where they can't: what any of them may carry. */
  readonly others: Flow | undefined
  /** What a plan computes though nothing uses it. */
  readonly planned: Flow
  /** Only of PREPARE and DECLARE: what EXECUTE and FETCH return. */
  readonly prepared?: Lineage
  readonly influences: readonly InfluenceFinding[]
  /** Masked values that would be moved to where no mask names them. */
  readonly launders: readonly Finding[]
  /** Expressions that can fail on a masked value: whether they do tells of it, and the error may quote it. */
  readonly partials: readonly Finding[]
  /** Why something could not be followed. */
  readonly unresolved: readonly string[]
  /** Ways past every mask: `pg_read_file`, EXPLAIN with row counts. */
  readonly sideDoors: readonly string[]
  /** Masked columns that the statement assigns, with constants that it assigns to them. */
  readonly maskedWrites: readonly MaskedWrite[]
}

export interface MaskedWrite {
  readonly column: MaskedColumn
  /** A literal; undefined for anything else. */
  readonly constant: string | undefined
  /** The number of a parameter. */
  readonly parameter: number | undefined
}
