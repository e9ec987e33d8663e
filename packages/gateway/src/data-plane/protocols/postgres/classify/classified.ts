import type { Effects, ObjectName } from '@sallyport/core'

/** What a session has to know of a statement beyond its effects, to keep its own tables right. */
export type StatementKind =
  | 'plain'
  | 'begin'
  | 'commit'
  | 'rollback'
  | 'savepoint'
  | 'prepare'
  | 'execute'
  | 'deallocate'
  | 'declare'
  | 'fetch'
  | 'close'
  | 'copy'
  | 'discard'
  | 'set'
  | 'listen'
  | 'other'

/** A COPY: its direction and how its rows are written. `options` hold only what the statement states. */
export interface CopyInfo {
  readonly direction: 'in' | 'out'
  readonly format: 'text' | 'csv' | 'binary'
  readonly options: {
    readonly delimiter?: string
    readonly null?: string
    readonly quote?: string
    readonly escape?: string
    readonly header?: boolean
    readonly encoding?: string
  }
  readonly relation?: ObjectName
  readonly columns?: readonly string[]
  /** True for `COPY (SELECT …) TO`. */
  readonly query: boolean
}

/** One statement of a text. */
export interface StatementInfo {
  readonly verb: string
  /** Tag of the parser's node: `SelectStmt`. */
  readonly nodeTag: string
  readonly returnsRows: boolean
  readonly utility: boolean
  readonly kind: StatementKind
  /** Name of the prepared statement, cursor, savepoint or channel; absent where it means all of them. */
  readonly name?: string
  /** The statement inside PREPARE or DECLARE. */
  readonly prepared?: Classified
  readonly copy?: CopyInfo
  /** Relations as written, without CTE names. */
  readonly relations: readonly ObjectName[]
  /** By position of the output column: `clean` where no stored value can reach it. Stops before a `*`; empty for set operations. */
  readonly cleanColumns: readonly ('clean' | undefined)[]
  readonly setting?: { readonly name: string; readonly value: string }
  readonly changesSearchPath: boolean
  readonly ddl: boolean
  /** Functions that it makes, without their schema: until it is committed, the catalog does not show them. */
  readonly makesFunctions: readonly string[]
  /** The effects of this statement alone. */
  readonly effects: Effects
  /** Only on EXECUTE: what the arguments do, without the statement that is executed. */
  readonly argumentEffects?: Effects
}

/** What a text asks the server to do. */
export interface Classified {
  readonly effects: Effects
  readonly statements: readonly StatementInfo[]
  readonly syntaxError: boolean
}

/** One function of a name, as the target's catalog has it. */
export interface CatalogFunction {
  readonly schema: string
  readonly name: string
  readonly volatility: 'i' | 's' | 'v'
  readonly language: string
  readonly securityDefiner: boolean
}

/** What the classifier asks about the target's objects, seen with the session's search path. */
export interface CatalogView {
  /** Unique per content: no two views of any connection, search path or age share one unless every answer is equal. */
  readonly generation: number
  /** Schema in which an unqualified CREATE makes its object, where that is known. */
  readonly creationSchema?: string
  /** All relations that the name may mean, qualified; empty when it is not known. */
  resolve(name: ObjectName): readonly ObjectName[]
  /** Relations whose rows stand behind a qualified one: a view's tables, a table's partitions. Without the relation itself. */
  baseRelations(qualified: ObjectName): readonly ObjectName[]
  /** Functions of that name outside `pg_catalog`, in any schema; undefined when the catalog is not loaded. */
  functionsNamed(name: string): readonly CatalogFunction[] | undefined
  /** `schema.name` of the functions that the operator vouches for. */
  readonly trustedFunctions: ReadonlySet<string>
}

/** The same catalog with functions that nobody vouches for. An overload of a built-in may be among them. */
export function withFunctions(
  view: CatalogView,
  names: ReadonlySet<string>,
  generation: number,
): CatalogView {
  const functionsNamed = (name: string): readonly CatalogFunction[] | undefined => {
    const known = view.functionsNamed(name)
    if (!names.has(name)) return known
    const made = {
      schema: '',
      name,
      volatility: 'v',
      language: '',
      securityDefiner: false,
    } as const
    return [...(known ?? []), made]
  }
  return { ...view, generation, functionsNamed }
}

/** A catalog that knows nothing: names stay as written, and unresolved. */
export const emptyCatalog: CatalogView = Object.freeze({
  generation: 0,
  resolve: () => [],
  baseRelations: () => [],
  functionsNamed: () => undefined,
  trustedFunctions: new Set<string>(),
})
