/** Something that a preview tells, with where it comes from; or why it is not known. Never empty, and no zero in its place. */
export type Told<T> =
  | { readonly known: true; readonly value: T; readonly source: string }
  | { readonly known: false; readonly why: string }

/** What a command that waits would do, as far as that can be said without running it. */
export interface Preview {
  /** Rows that it would meet. */
  readonly estimate: Told<number>
  /** Asked for by somebody. */
  readonly count?: Told<number>
  readonly tables: Told<readonly TableEffect[]>
  readonly locks: Told<string>
  readonly undo: Told<string>
  /** Of rows that it would meet. Kept only while the request waits. */
  readonly sample: Told<SampleRows>
  /** What the agent did before, newest first. */
  readonly before: Told<readonly CommandBefore[]>
  /** How commands of the same shape on this connection were decided. */
  readonly sameShape: Told<ShapeHistory>
}

/** A table that it changes. */
export interface TableEffect {
  readonly name: string
  /** Rows in all, as the target's statistics have it. */
  readonly rows: Told<number>
  /** What foreign keys do along with it, each with the way that leads there. */
  readonly cascades: readonly string[]
  readonly triggers: readonly string[]
}

export interface SampleRows {
  readonly columns: readonly string[]
  readonly rows: readonly (readonly (string | null)[])[]
}

export interface CommandBefore {
  /** ISO 8601. */
  readonly at: string
  readonly verdict: string
  readonly text: string
}

export interface ShapeHistory {
  readonly days: number
  readonly approved: number
  readonly denied: number
  /** Names of who decided. */
  readonly by: readonly string[]
}

export function told<T>(value: T, source: string): Told<T> {
  return { known: true, value, source }
}

export function unknown(why: string): { readonly known: false; readonly why: string } {
  return { known: false, why }
}
