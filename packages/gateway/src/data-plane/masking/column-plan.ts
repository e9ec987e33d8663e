import { isTextLike, strongest, type DetectRule, type MaskRule } from '@sallyport/core'
import { matchesColumn, type ColumnPattern } from './column-pattern.ts'
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

/** The names of one column: its own and those it has in every inheritance ancestor. */
export interface CatalogColumn {
  readonly names: readonly (readonly [schema: string, table: string, column: string])[]
  readonly kind: 'table' | 'view' | 'other'
}

/** What the plan must know of the target's catalogue. */
export interface MaskCatalog {
  column(tableOid: number, attribute: number): CatalogColumn | undefined
  /** True where the view reads, at any depth, a relation with a column that one of the patterns names; true too where it can't tell. */
  readsMasked(tableOid: number, patterns: readonly ColumnPattern[]): boolean
}

export interface PlanInput {
  readonly fields: readonly ResultField[]
  readonly masks: readonly MaskRule[]
  readonly origins: MaskCatalog
  /** The statement reads a relation with masked columns, or that can't be told. */
  readonly touchesMasked: boolean
  /** True where lineage proved that the output column takes nothing from a masked one. */
  readonly clean: (index: number) => boolean
}

/** Plans the masks of a result, column by column. Blocked where a rule would rather withhold than guess an origin. */
export function planColumns(
  input: PlanInput,
): readonly ColumnPlan[] | { readonly blocked: string } {
  const columnRules = input.masks.filter((mask) => mask.columns.length > 0)
  const detectors = input.masks
    .filter((mask) => mask.detect.length > 0)
    .map(({ rule, detect, with: fn }) => ({ rule, detect, with: fn }))
  const plan: ColumnPlan[] = []
  for (const [index, field] of input.fields.entries()) {
    const rules = rulesOf(field, index, columnRules, input)
    if (rules === 'unresolved') {
      const blocking = columnRules.find((mask) => mask.unresolved === 'block')
      if (blocking !== undefined) return { blocked: blocking.rule }
      plan.push(columnPlan(field, columnRules))
    } else if (rules.length > 0) plan.push(columnPlan(field, rules))
    else plan.push(detectPlan(field, detectors))
  }
  return plan
}

/** The column rules that name a field's origin; `unresolved` where the origin could be any of them. */
function rulesOf(
  field: ResultField,
  index: number,
  columnRules: readonly MaskRule[],
  input: PlanInput,
): readonly MaskRule[] | 'unresolved' {
  if (columnRules.length === 0) return []
  if (field.tableOid === 0) return input.touchesMasked && !input.clean(index) ? 'unresolved' : []
  const origin = input.origins.column(field.tableOid, field.attribute)
  if (origin === undefined || origin.names.length === 0) return 'unresolved'
  const matching = columnRules.filter((mask) =>
    mask.columns.some((pattern) => origin.names.some((name) => matchesColumn(pattern, name))),
  )
  if (matching.length > 0 || origin.kind === 'table') return matching
  // Behind a view's column, or one of a kind the catalogue has no word for, a masked column may stand.
  const patterns = columnRules.flatMap((mask) => mask.columns)
  return input.origins.readsMasked(field.tableOid, patterns) ? 'unresolved' : []
}

function columnPlan(field: ResultField, rules: readonly MaskRule[]): ColumnPlan {
  const fn = strongest(rules.map((mask) => mask.with))
  const rule = rules.find((mask) => mask.with === fn)?.rule ?? ''
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
