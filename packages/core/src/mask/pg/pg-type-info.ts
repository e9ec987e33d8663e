/** What a type that the database made itself is, as far as masks care. */
export type PgTypeInfo =
  | { readonly kind: 'enum'; readonly labels: readonly string[] }
  /** A text of another name, such as `citext`: both forms are the text itself. */
  | { readonly kind: 'text' }
  | { readonly kind: 'domain'; readonly base: number; readonly typmod: number }
  | { readonly kind: 'array'; readonly element: number }
  | { readonly kind: 'range'; readonly subtype: number }
  | { readonly kind: 'multirange'; readonly subtype: number }

/** Looks up a type that the database made itself; undefined for one of another kind. */
export type PgTypes = (typeOid: number) => PgTypeInfo | undefined
