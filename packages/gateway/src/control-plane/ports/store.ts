import type { Kysely, Transaction } from 'kysely'
import type { Tables } from './tables/tables.ts'

/** A change that others can see. Nobody outside may be told of it before it is on disk. */
export interface Committed<T> {
  readonly value: T
  /** Resolves once the change would survive a power failure. */
  readonly onDisk: Promise<void>
}

/** Connections to the database: all, those that do nothing, and how many changes wait for one. */
export interface PoolState {
  readonly total: number
  readonly idle: number
  readonly waiting: number
}

/** The control plane's database. The same code runs on the embedded one and on a PostgreSQL server. */
export interface Store {
  readonly kind: 'embedded' | 'server'
  /** What stands behind it, for people: `PGlite (PostgreSQL 18.3)`. */
  readonly version: string
  readonly db: Kysely<Tables>
  /** Its connections, and how many wait for one. */
  pool(): PoolState
  /** Runs `change` in one transaction, and resolves once its commit would survive a power failure. */
  durable<T>(change: (tx: Transaction<Tables>) => Promise<T>): Promise<T>
  /** As `durable`, but resolves at the commit, so that changes that wait for each other need not wait for the disk. */
  commit<T>(change: (tx: Transaction<Tables>) => Promise<T>): Promise<Committed<T>>
  close(): Promise<void>
}
