import { literal, type MaskFunction } from '@sallyport/core'
import type { GuardColumn } from './guard-column.ts'

/** The table of one row with the target's own secrets, which only the owner of the masks can read. */
export interface MaskSecrets {
  readonly table: string
}

/** What a mask is made for. */
export interface MaskInput {
  readonly column: GuardColumn
  /** The column, qualified. */
  readonly value: string
  readonly fn: MaskFunction
  readonly secrets: MaskSecrets | undefined
}

/** A keyed digest, 32 bytes. The keys are read by sub-queries, for which the owner's rights count and no caller's. */
export function mac(secrets: MaskSecrets, domain: string, bytes: string): string {
  const key = (name: string): string => `(select ${name} from ${secrets.table})`
  const inner = `pg_catalog.sha256(${key('inner_key')} || ${literal(`${domain}:`)}::pg_catalog.bytea || ${bytes})`
  return `pg_catalog.sha256(${key('outer_key')} || ${inner})`
}

/** Bytes as they are stored: nothing is converted, so nothing can fail. */
export function macOfText(secrets: MaskSecrets, domain: string, text: string): string {
  return mac(secrets, domain, `pg_catalog.convert_to(${text}, pg_catalog.getdatabaseencoding())`)
}

export function hexOf(bytes: string, from: number, length: number): string {
  return `pg_catalog.substring(pg_catalog.encode(${bytes}, 'hex'), ${from}, ${length})`
}
