import { isTextLike, type DetectRule, type MaskFunction, type MaskRule } from '@sallyport/core'
import type { ColumnPlan } from './row-masker.ts'

/** A column as the target's RowDescription declares it. */
export interface ResultField {
  readonly name: string
  /** 0 where the column comes from no single table column. */
  readonly tableOid: number
  readonly attribute: number
  readonly typeOid: number
  readonly typmod: number
  readonly format: 0 | 1
}

/** What is known of the values of one result column. */
export type ColumnOutcome =
  | { readonly kind: 'clean' }
  /** Each value is a masked column's own: its mask shows as much of it as the rule wants. */
  | { readonly kind: 'direct'; readonly with: MaskFunction; readonly rule: string }
  /** Computed from masked values: to mask what was computed would show something else than the rule means. */
  | { readonly kind: 'derived'; readonly rule: string; readonly blockedBy: string | undefined }

/** Plans the masks of a result, column by column. Blocked where a rule would rather withhold a result than show it without the values. */
export function planColumns(
  fields: readonly ResultField[],
  outcomes: readonly ColumnOutcome[],
  masks: readonly MaskRule[],
): readonly ColumnPlan[] | { readonly blocked: string } {
  const detectors = masks
    .filter((mask) => mask.detect.length > 0)
    .map(({ rule, detect, with: fn }) => ({ rule, detect, with: fn }))
  const plan: ColumnPlan[] = []
  for (const [index, field] of fields.entries()) {
    const outcome = outcomes[index] ?? withheld
    switch (outcome.kind) {
      case 'clean':
        plan.push(detectPlan(field, detectors))
        break
      case 'direct':
        plan.push(columnPlan(field, outcome.with, outcome.rule))
        break
      case 'derived':
        if (outcome.blockedBy !== undefined) return { blocked: outcome.blockedBy }
        // Whether a computed value is NULL tells of what it was computed from.
        plan.push(columnPlan(field, 'null', outcome.rule))
        break
    }
  }
  return plan
}

const withheld: ColumnOutcome = { kind: 'derived', rule: '', blockedBy: undefined }

function columnPlan(field: ResultField, fn: MaskFunction, rule: string): ColumnPlan {
  const { typeOid, typmod, format } = field
  return { kind: 'column', fn, typeOid, typmod, format, rule }
}

function detectPlan(
  field: ResultField,
  rules: readonly (DetectRule & { readonly rule: string })[],
): ColumnPlan {
  if (rules.length === 0 || !isTextLike(field.typeOid)) return { kind: 'pass' }
  return { kind: 'detect', rules, typeOid: field.typeOid, format: field.format }
}
