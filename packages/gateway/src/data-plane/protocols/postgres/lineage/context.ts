import type { Tree } from '../classify/tree.ts'
import type { Kind } from './expression-kind.ts'
import type { Facts } from './facts.ts'
import type { Flow } from './flow.ts'
import type { LineageCatalog, LineageFunction, LineageRelation } from './lineage-catalog.ts'
import type { MaskSet } from './mask-set.ts'
import type { Scope, ScopeColumn } from './scope.ts'

/** Rows of a query or relation: its columns in order. */
export interface Output {
  readonly columns: readonly ScopeColumn[]
  /** What further columns may carry; undefined where all are listed. */
  readonly open: Flow | undefined
  /** How many rows there are, where that does not depend on what is stored. */
  readonly rows?: 'one' | 'at most one' | undefined
}

/** A CTE by name, evaluated where it is used first. */
export interface Cte {
  readonly name: string
  output(): Output
  /** What it does with masked columns; what decides about its rows matters where they are read. */
  readonly facts: Facts
  /** It changes rows, whether it is read or not. */
  readonly changesRows: boolean
}

/** Where in a statement an expression or query stands: what names mean there. */
export interface Place {
  readonly scope: Scope | undefined
  readonly ctes: ReadonlyMap<string, Cte>
  readonly windows: ReadonlyMap<string, Flow>
  /** Arguments of the function whose body this is. */
  readonly parameters: readonly Flow[]
  /** Inside a definition that the server has printed, where every name is qualified. */
  readonly isPrinted: boolean
}

export const nowhere: Place = {
  scope: undefined,
  ctes: new Map(),
  windows: new Map(),
  parameters: [],
  isPrinted: false,
}

/** What the rules of lineage share. The rules call each other through it: expressions hold queries, and queries hold expressions. */
export interface Context {
  readonly masks: MaskSet
  readonly catalog: LineageCatalog
  readonly facts: Facts
  /** What sort of values nodes have, of those that were asked about: long chains ask about their beginnings again and again. */
  readonly kinds: WeakMap<Tree, Kind | undefined>
  /** The same with facts of its own, which are not among this one's until they are included. */
  apart(): Context
  /** False only in a test that shows what a rule is there for. */
  isOn(rule: string): boolean
  /** The statements of a text of the server's own; undefined where they can't be read. */
  parse(text: string): readonly Tree[] | undefined
  expression(node: Tree | undefined, place: Place): Flow
  /** A query of any kind, with what it does. */
  query(node: Tree, place: Place): Output
  relation(relation: LineageRelation): Output
  /** What a function in SQL gives that a statement makes; undefined where it can't be told. */
  madeFunction(create: Tree): Output | undefined
  /** What functions give that a body names: which of them it calls, and with what, is not told. */
  calledByName(functions: readonly LineageFunction[], given: Flow): Output
  /** A call of functions outside `pg_catalog`. */
  ownCall(functions: readonly LineageFunction[], args: readonly Flow[], place: Place): Output
}
