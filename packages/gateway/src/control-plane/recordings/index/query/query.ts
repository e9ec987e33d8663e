import { COARSE_CLASSES } from '@sallyport/core'

/** A name with wildcards: the pieces between them. One piece is the name itself. */
export type Glob = readonly string[]

/** Half-open: from the first moment on, up to before the last. */
export interface TimeRange {
  readonly fromMs: number
  readonly untilMs: number
}

export type Comparison = '>' | '>=' | '<' | '<=' | '='

/** One condition of a search. Several values of one are joined by *or*. */
export type Term = { readonly isNegated: boolean } & (
  | { readonly kind: 'name'; readonly field: NameField; readonly values: readonly Glob[] }
  /** Names as lists of parts. */
  | { readonly kind: 'object'; readonly values: readonly (readonly Glob[])[] }
  | { readonly kind: 'text' | 'word'; readonly values: readonly string[] }
  | { readonly kind: 'size'; readonly field: SizeField; readonly values: readonly SizeTest[] }
  | ({ readonly kind: 'time' } & TimeRange)
)

export interface SizeTest {
  readonly is: Comparison
  readonly than: number
}

/** A search, as it was understood: all of its terms hold. */
export interface Query {
  readonly terms: readonly Term[]
}

export const nameFields = [
  'tree',
  'agent',
  'root',
  'connection',
  'verdict',
  'rule',
  'class',
  'verb',
  'returned',
  'masked',
] as const
export type NameField = (typeof nameFields)[number]

export const sizeFields = ['rows', 'bytes', 'level'] as const
export type SizeField = (typeof sizeFields)[number]

/** All terms, in the order in which the documentation lists them. */
export const fields = [
  ...nameFields,
  'table',
  'object',
  'text',
  'word',
  ...sizeFields,
  'since',
  'until',
  'at',
] as const

/** Where a name can only be one of these. */
export const namesOf: Readonly<Partial<Record<NameField, readonly string[]>>> = {
  verdict: [
    'allowed',
    'held',
    'blocked',
    'approved',
    'denied',
    'expired',
    'withdrawn',
    'pending',
    'masked',
    'would-allow',
    'would-mask',
    'would-hold',
    'would-block',
  ],
  class: COARSE_CLASSES,
}
