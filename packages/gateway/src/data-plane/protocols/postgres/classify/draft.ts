import type { EffectClass, ObjectName } from '@sallyport/core'
import type { Tree } from './tree.ts'
import type { CopyInfo, StatementKind } from './classified.ts'
import type { MadeFunction, RowEvent } from './stored-code.ts'

/** One effect on one object, by the name as written. `relation` names are resolved against the catalog later. */
export interface Touch {
  readonly effect: EffectClass
  readonly object?: ObjectName
  readonly kind: 'relation' | 'created' | 'named'
  /** What happens to the rows: the target may keep code that runs then. */
  readonly event?: RowEvent
}

/** A column as written, with the relations it may belong to. `*` stands for all columns. */
export interface ColumnUse {
  readonly relations: readonly ObjectName[]
  readonly column: string
}

/** What a text says, without a catalog: the same for every session, and safe to send between threads. */
export interface Draft {
  readonly statements: readonly DraftStatement[]
  readonly syntaxError: boolean
  /** Why nothing could be told; then `statements` is empty. */
  readonly opaque: readonly string[]
  /** True where every text of the same template (text-template.ts) has this draft too. */
  readonly isTemplate: boolean
  /** Only of texts that a worker reads: their trees, without long lists of constants. */
  readonly trees?: readonly Tree[]
}

/** Collects what one statement does while its tree is walked. */
export interface DraftStatement {
  verb: string
  nodeTag: string
  kind: StatementKind
  returnsRows: boolean
  utility: boolean
  ddl: boolean
  changesSearchPath: boolean
  /** Later names in the same text may mean other objects than the catalog says. */
  shadowsNames: boolean
  name?: string
  /** EXPLAIN of an EXECUTE, which may run it. */
  explains?: true
  copy?: CopyInfo
  setting?: { readonly name: string; readonly value: string }
  inner?: DraftStatement
  objectKind: string
  /** What it does beside its verb: `drop column`, `drop constraint`. */
  readonly parts: string[]
  unbounded: boolean
  /** Writes that change every row where none of these columns can be NULL. */
  readonly boundedByNulls: { readonly relation: ObjectName; readonly columns: readonly string[] }[]
  limit: number
  hasWhere: boolean
  fileAccess: boolean
  readonly touches: Touch[]
  readonly relations: ObjectName[]
  readonly functions: ObjectName[]
  /** Operators by their sign, and with their schema where it is written; which function stands behind one, the catalog knows. */
  readonly operators: Set<string>
  /** Types that values are cast to, without their schema: a cast may call a function, a domain has checks. */
  readonly types: Set<string>
  /** Values come from outside of the text: what they are, it doesn't tell. */
  hasParameters: boolean
  /** Variables are set, and their types are not told apart. */
  assigns: boolean
  /** The statements of a block of code: what DO runs. */
  readonly block: DraftStatement[]
  readonly makesFunctions: MadeFunction[]
  /** Functions that triggers which the statement makes will call. */
  readonly triggerFunctions: ObjectName[]
  readonly columns: ColumnUse[]
  readonly predicateColumns: ColumnUse[]
  readonly opaque: Set<string>
}

/** A statement of which nothing is known yet. */
export function makeDraftStatement(nodeTag: string): DraftStatement {
  return {
    verb: '',
    nodeTag,
    kind: 'plain',
    returnsRows: false,
    utility: true,
    ddl: false,
    changesSearchPath: false,
    shadowsNames: false,
    objectKind: '',
    parts: [],
    unbounded: false,
    boundedByNulls: [],
    limit: 0,
    hasWhere: false,
    fileAccess: false,
    touches: [],
    relations: [],
    functions: [],
    operators: new Set(),
    types: new Set(),
    hasParameters: false,
    assigns: false,
    block: [],
    makesFunctions: [],
    triggerFunctions: [],
    columns: [],
    predicateColumns: [],
    opaque: new Set(),
  }
}

/** Adds what an inner statement names, calls and reads to the statement around it. */
export function takeReads(draft: DraftStatement, inner: DraftStatement): void {
  draft.relations.push(...inner.relations)
  draft.functions.push(...inner.functions)
  takeTypes(draft, inner)
  draft.columns.push(...inner.columns)
  draft.predicateColumns.push(...inner.predicateColumns)
  for (const reason of inner.opaque) draft.opaque.add(reason)
  draft.hasWhere = inner.hasWhere
  draft.limit = inner.limit
}

/** Adds the operators and types of an inner statement: both may call functions. */
export function takeTypes(draft: DraftStatement, inner: DraftStatement): void {
  for (const operator of inner.operators) draft.operators.add(operator)
  for (const type of inner.types) draft.types.add(type)
  draft.hasParameters ||= inner.hasParameters
  draft.assigns ||= inner.assigns
}
