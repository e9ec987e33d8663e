import type { Awaited } from './awaited.ts'
import type { Classified } from './classify/classified.ts'
import type { Statement } from './names.ts'

/** What the pipeline carries in a PostgreSQL session: messages that ask for one thing, and where their passage is prepared. */
export interface Unit {
  readonly kind: 'query' | 'parse' | 'execute' | 'function'
  readonly batch: number
  readonly slot: Slot
  /** The messages as they came. */
  readonly frames: Buffer
  readonly text: string
  readonly parameters: readonly (Buffer | null)[]
  readonly formats: readonly number[]
  readonly statement?: Statement
  readonly oid?: number
  /** A simple query or a Parse of the unnamed statement ends the older one, also where it is refused. */
  readonly endsUnnamed?: boolean
  classified?: Classified
  /** What the target will owe for these messages; filled in order. */
  readonly awaits: Omit<Awaited, 'answer'>[]
  /** Set as soon as the verdict is known, before it is stored. */
  isRefused: boolean
}

/** The place of some messages in what goes to the target, kept while their verdict is being stored. */
export interface Slot {
  readonly batch: number
  readonly isSync: boolean
  bytes: Buffer[]
  awaits: Awaited[]
  isPoison: boolean
}
