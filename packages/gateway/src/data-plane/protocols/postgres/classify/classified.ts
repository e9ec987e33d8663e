import type { Effects, ObjectName } from '@sallyport/core'
import type { CatalogFunction, MadeFunction, StoredCode } from './stored-code.ts'

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
  /** On EXECUTE: what comes back is its plan. */
  readonly explains?: true
  /** The statement inside PREPARE or DECLARE. */
  readonly prepared?: Classified
  readonly copy?: CopyInfo
  /** Relations as written, without CTE names. */
  readonly relations: readonly ObjectName[]
  readonly setting?: { readonly name: string; readonly value: string }
  readonly changesSearchPath: boolean
  readonly ddl: boolean
  /** Functions that it makes: until it is committed, the catalog does not show them. */
  readonly makesFunctions: readonly MadeFunction[]
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

/** What the classifier asks about the target's objects, seen with the session's search path. */
export interface CatalogView {
  /** Unique per content: no two views of any connection, search path or age share one unless every answer is equal. */
  readonly generation: number
  /** Schema in which an unqualified CREATE makes its object, where that is known. */
  readonly creationSchema?: string
  /** All relations that the name may mean, qualified; empty when it is not known. `path` takes the place of the session's. */
  resolve(name: ObjectName, path?: readonly string[] | 'any'): readonly ObjectName[]
  /** Relations whose rows stand behind a qualified one: a view's tables, a table's partitions. Without the relation itself. */
  baseRelations(qualified: ObjectName): readonly ObjectName[]
  /** Whether a column of a qualified relation can't be NULL; false where that isn't known. */
  isNotNull(qualified: ObjectName, column: string): boolean
  /** Functions of that name that are not the server's own, in any schema; undefined when the catalog is not loaded. */
  functionsNamed(name: string): readonly CatalogFunction[] | undefined
  /** `schema.name` of the functions that the operator vouches for. */
  readonly trustedFunctions: ReadonlySet<string>
  /** Absent where the catalog is not loaded. */
  readonly code?: StoredCode
  /** Functions that the session made: they may stand in the place of any that bear their name. */
  readonly made?: MadeFunctions
}

/** Functions of a session's own, by name. */
export type MadeFunctions = Map<string, readonly CatalogFunction[]>

/** Adds a function as its statement defines it. What it was before may come back with a rollback, so it stays beside this. */
export function addMade(made: MadeFunctions, { name, definition }: MadeFunction): void {
  const fn: CatalogFunction = {
    schema: '',
    name,
    volatility: 'v',
    language: '',
    securityDefiner: false,
    ...(definition === undefined ? {} : { definition }),
  }
  const known = made.get(name) ?? []
  if (!known.some((one) => one.definition === definition)) made.set(name, [...known, fn])
}

/** The same catalog with functions that the session made and nobody vouches for. An overload of a built-in may be among them. */
export function withFunctions(
  view: CatalogView,
  functions: MadeFunctions,
  generation: number,
): CatalogView {
  let made = functions
  if (view.made !== undefined) {
    made = new Map(view.made)
    for (const [name, own] of functions) made.set(name, [...(made.get(name) ?? []), ...own])
  }
  const functionsNamed = (name: string): readonly CatalogFunction[] | undefined => {
    const known = view.functionsNamed(name)
    const own = functions.get(name)
    return own === undefined ? known : [...(known ?? []), ...own]
  }
  return { ...view, generation, functionsNamed, made }
}

/** A catalog that knows nothing: names stay as written, and unresolved. */
export const emptyCatalog: CatalogView = Object.freeze({
  generation: 0,
  resolve: () => [],
  baseRelations: () => [],
  isNotNull: () => false,
  functionsNamed: () => undefined,
  trustedFunctions: new Set<string>(),
})
