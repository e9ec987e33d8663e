import type { CommandId } from './ids.ts'

/** All effects that a statement can have: the closed list that grants and `op.classes` use. */
export const EFFECT_CLASSES = [
  'read',
  'explain',
  'write',
  'delete',
  'ddl',
  'grant',
  'exec',
  'forward',
  'transfer',
  'admin',
  'persist',
  'unknown',
] as const
export type EffectClass = (typeof EFFECT_CLASSES)[number]

/** The coarse class that rules read, most consequential first. `delete` counts as `write`, `explain` as `read`. */
export const COARSE_CLASSES = [
  'unknown',
  'admin',
  'grant',
  'exec',
  'forward',
  'ddl',
  'write',
  'read',
] as const
export type CoarseClass = (typeof COARSE_CLASSES)[number]

/** The name of an object as a list of parts (`[schema, table]`); never a joined string, so that `"a.b"` stays one part. */
export type ObjectName = readonly string[]

/** One thing a command does to one object. `object` is absent where the effect has none (`begin`) or it could not be told. */
export interface Access {
  readonly effect: EffectClass
  readonly object?: ObjectName
  /** False when the object exists but could not be determined: a grant that limits objects then does not match. */
  readonly resolved: boolean
}

/** What a text asks a target to do, in words that every protocol shares. Immutable; one may stand for many executions of the same text. */
export interface Effects {
  readonly class: CoarseClass
  readonly classes: readonly EffectClass[]
  /** The verb of the most consequential statement, in lower case: `select`, `delete`, `drop`, `copy_from`. */
  readonly verb: string
  readonly objects: readonly ObjectName[]
  readonly accesses: readonly Access[]
  readonly unbounded: boolean
  /** Why the class is `unknown`; empty otherwise. */
  readonly opaque: readonly string[]
  readonly persists: boolean
  readonly sql?: SqlEffects
}

/** Facts that only SQL statements have. */
export interface SqlEffects {
  readonly dialect: 'postgres'
  readonly objectKind: string
  /** What each statement is, verb and kind of object: `drop schema`, `alter table`, `select`. Statements that others set off are among them. */
  readonly actions: readonly string[]
  readonly reads: readonly ObjectName[]
  readonly writes: readonly ObjectName[]
  readonly columns: readonly ObjectName[]
  readonly predicateColumns: readonly ObjectName[]
  readonly functions: readonly string[]
  readonly statements: number
  readonly limit: number
  readonly hasWhere: boolean
  readonly tempOnly: boolean
  readonly fileAccess: boolean
}

/** One unit of work that a caller asked a target to do. */
export interface Command {
  readonly id: CommandId
  readonly effects: Effects
  /** The text as the caller sent it. */
  readonly text: string
  /** Size of the command on the wire, in bytes. */
  readonly bytes: number
  readonly inTransaction: boolean
}
