/** One column of the target, as far as its mask depends on it. */
export interface GuardColumn {
  readonly attribute: number
  readonly name: string
  /** Below any domain: what the wire shows. */
  readonly typeOid: number
  readonly typmod: number
  /** As SQL writes it, with its modifier: `pg_catalog.varchar(40)`. */
  readonly type: string
  /** As SQL writes it; undefined where the type has none. */
  readonly collation: string | undefined
  /** A type of the database's own that is text with other rules, such as `citext`: casts to and from text call nothing. */
  readonly isTextAlias: boolean
}
