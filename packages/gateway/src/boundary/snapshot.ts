import type { GuardedSet, Policy } from '@sallyport/core'

/** What a data-plane worker serves from, beside the agents: it never asks a database. Replaced whole; `version` only grows. */
export interface Snapshot {
  readonly version: number
  readonly policyVersion: number
  readonly connections: readonly ConnectionConfig[]
  readonly policies: readonly Policy[]
  /** Key of the `token` and `hash` mask functions, base64, 32 bytes. */
  readonly maskKey: string
  /** Where persons answer a request for approval, with its id behind it; absent where nobody can log in. */
  readonly approvalUrl?: string
}

/** One target as users see it. */
export interface ConnectionConfig {
  readonly name: string
  readonly type: 'postgres'
  readonly labels: Readonly<Record<string, string>>
  readonly target: { readonly host: string; readonly port: number }
  /** The gateway's own login at the target. The password crosses the process channel only, and is never logged. */
  readonly login: { readonly user: string; readonly password: string }
  /** Used where the caller asks for no database of its own. */
  readonly database: string
  readonly tls: TargetTls
  readonly notices: 'auto' | 'always' | 'never'
  readonly responses: 'masked' | 'shape' | 'none'
  /** Functions, `schema.name`, that the operator vouches for: they read and write nothing that matters. */
  readonly trustedFunctions: readonly string[]
  /** How long a command may wait for an approval, whatever the rules say. Milliseconds. */
  readonly holdMaxMs: number
  /** The same in an open transaction, whose locks others wait for. */
  readonly holdInTransactionMaxMs: number
  /** Who masks columns: the gateway, by what a statement reads, or the target, for roles of its own. */
  readonly masking: 'lineage' | 'guard'
  /** Where the target masks: what it was made to enforce. Absent until a guard was applied. */
  readonly guard?: Guard
}

/** The roles of a target that see masks in the place of columns. */
export interface Guard {
  /** The one database that they were made in. */
  readonly database: string
  readonly sets: readonly GuardLogin[]
}

/** The role that enforces one mask set. */
export interface GuardLogin extends GuardedSet {
  /** Relations that have a masked form. */
  readonly relations: readonly (readonly [schema: string, name: string])[]
  readonly password: string
  /** Functions, `schema.name`, that look up rows by a masked value, each with the table that it reads. */
  readonly lookups: readonly { readonly name: string; readonly table: readonly [string, string] }[]
}

/** Where a target is and how it is spoken to; no secret. */
export interface TargetPlace extends Pick<ConnectionConfig, 'name' | 'target' | 'tls'> {
  /** The address that a session was opened at: a name may lead to several servers. */
  readonly address?: string
}

/** `full` checks chain and host name, `ca` the chain, `require` nothing, `off` speaks plain text. */
export interface TargetTls {
  readonly mode: 'full' | 'ca' | 'require' | 'off'
  /** PEM; the system's roots where absent. */
  readonly ca?: string
}

/** RFC 5802 section 3: salt, iteration count, StoredKey and ServerKey, base64. */
export interface ScramVerifier {
  readonly salt: string
  readonly iterations: number
  readonly storedKey: string
  readonly serverKey: string
}
