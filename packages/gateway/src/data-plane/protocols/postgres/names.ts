import type { RuleDemand } from '@sallyport/core'
import type { ColumnDescription } from '@sallyport/wire'
import type { Classified } from './classify/classified.ts'
import { NameTable } from './name-table.ts'

/** A prepared statement of the session, by Parse or by PREPARE. */
export interface Statement {
  readonly text: string
  /** Types of its parameters as Parse gave them, by oid; 0 leaves one to the target. */
  readonly parameterTypes?: readonly number[]
  /** What EXECUTE of it does where it was prepared in SQL; a Parse is classified by its text. */
  readonly prepared?: Classified
  /** Where PREPARE stands, and the catalog under which `prepared` holds: a target reads the names anew when they mean something else. */
  readonly source?: {
    readonly text: string
    readonly statementIndex: number
    readonly generation: number
  }
}

/** A portal of the session, by Bind or by DECLARE. */
export interface Portal {
  readonly statement: Statement
  readonly resultFormats: readonly number[]
  /** A cursor WITH HOLD may outlive its transaction. */
  readonly isHeld: boolean
  columns?: readonly ColumnDescription[]
  /** What Bind gave, kept where no Execute came with it. */
  readonly values?: BoundValues
  /** What its execution was approved for: to continue it asks nobody again. */
  approvedFor?: readonly RuleDemand[]
}

/** Values of a Bind, and their formats. */
export interface BoundValues {
  readonly parameters: readonly (Buffer | null)[]
  readonly formats: readonly number[]
}

/** One name space each: SQL's PREPARE shares it with Parse, cursors with portals. */
export class Names {
  readonly statements: NameTable<Statement>
  readonly portals: NameTable<Portal>

  constructor(limits: { preparedStatementsMax: number; portalsMax: number }) {
    this.statements = new NameTable(limits.preparedStatementsMax)
    this.portals = new NameTable(limits.portalsMax)
  }

  get isSettled(): boolean {
    return this.statements.isSettled && this.portals.isSettled
  }

  /** Bytes of values that portals keep. */
  get valueBytes(): number {
    let bytes = 0
    for (const { values } of this.portals.values())
      for (const value of values?.parameters ?? []) bytes += value?.length ?? 0
    return bytes
  }

  settle(batch: number): void {
    this.statements.settle(batch)
    this.portals.settle(batch)
  }
}
