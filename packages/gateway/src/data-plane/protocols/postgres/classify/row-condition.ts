import type { ObjectName } from '@sallyport/core'
import {
  areSame,
  at,
  canonical,
  constantText,
  flag,
  isTree,
  list,
  tagged,
  text,
  words,
  type Tree,
} from './tree.ts'

/** Whether a condition can differ between rows. `false` and `null` keep no row. */
type Outcome = 'true' | 'false' | 'varies'

const maxDepth = 500

/** True when the condition can hold back no row: absent, constant, or a tautology such as `id = id` or `x or true`. */
export function keepsEveryRow(where: Tree | undefined): boolean {
  return where === undefined || new Judgement(false).outcome(where, 0) === 'true'
}

/** Columns, as written, of which none can be NULL where the condition holds back no row; undefined where it can all the same. */
export function keepsEveryRowWithout(where: Tree | undefined): readonly ObjectName[] | undefined {
  if (where === undefined) return undefined
  const judgement = new Judgement(true)
  const keeps = judgement.outcome(where, 0) === 'true'
  return keeps && judgement.presumed.length > 0 ? judgement.presumed : undefined
}

/** True when a condition names columns, and each is of another relation than the one that changes: all of its rows go together. */
export function asksNothingOf(target: Tree | undefined, where: Tree | undefined): boolean {
  if (target === undefined || where === undefined) return false
  const alias = text(at(target, 'alias') ?? {}, 'aliasname') || text(target, 'relname')
  const owners = new Set<string>()
  collectOwners(where, owners, 0)
  // A name without its relation, and one that a sub-query may hide, can be of any.
  return owners.size > 0 && !owners.has(alias) && !owners.has('')
}

function collectOwners(value: unknown, owners: Set<string>, depth: number): void {
  if (depth > maxDepth) owners.add('')
  else if (Array.isArray(value)) for (const one of value) collectOwners(one, owners, depth + 1)
  else if (isTree(value)) {
    const column = tagged(value, 'ColumnRef')
    if (column !== undefined) {
      const names = words(list(column, 'fields'))
      owners.add(names.length === 2 ? (names[0] ?? '') : '')
      return
    }
    for (const [field, inner] of Object.entries(value)) {
      // `current of` names no column, and is one row; what a sub-query asks may be about the row too.
      if (field === 'CurrentOfExpr' || field === 'SubLink') owners.add('')
      else collectOwners(inner, owners, depth + 1)
    }
  }
}

/** Judges one condition, where it may under the presumption that columns which are asked for NULL have none. */
class Judgement {
  readonly presumed: ObjectName[] = []
  readonly #presumes: boolean

  constructor(presumes: boolean) {
    this.#presumes = presumes
  }

  outcome(node: Tree, depth: number): Outcome {
    if (depth > maxDepth) return 'varies'
    const nullTest = this.#presumes ? tagged(node, 'NullTest') : undefined
    const asked = tagged(at(nullTest ?? {}, 'arg'), 'ColumnRef')
    if (nullTest !== undefined && asked !== undefined) {
      this.presumed.push(words(list(asked, 'fields')))
      return text(nullTest, 'nulltesttype') === 'IS_NOT_NULL' ? 'true' : 'false'
    }
    const bool = tagged(node, 'BoolExpr')
    if (bool !== undefined) return this.#bool(bool, depth)
    const cast = tagged(node, 'TypeCast')
    const argument = at(cast ?? at(node, 'BooleanTest') ?? {}, 'arg')
    const comparison = tagged(node, 'A_Expr')
    if (!dependsOnRow(node)) return foldsToFalse(node, depth) ? 'false' : 'true'
    if (comparison !== undefined) return comparisonOutcome(comparison)
    if (argument !== undefined)
      return this.outcome(argument, depth + 1) === 'true' ? 'true' : 'varies'
    return 'varies'
  }

  #bool(bool: Tree, depth: number): Outcome {
    const parts = list(bool, 'args')
    const outcomes = parts.map((part) => this.outcome(part, depth + 1))
    const operator = text(bool, 'boolop')
    if (operator === 'NOT_EXPR') {
      const inner = outcomes[0]
      if (inner === 'true') return 'false'
      return inner === 'false' ? 'true' : 'varies'
    }
    if (operator === 'AND_EXPR') {
      if (outcomes.includes('false')) return 'false'
      return outcomes.every((one) => one === 'true') ? 'true' : 'varies'
    }
    if (outcomes.includes('true') || hasComplement(parts)) return 'true'
    return outcomes.every((one) => one === 'false') ? 'false' : 'varies'
  }
}

/** `x or not x`, `x is null or x is not null`, `x = 1 or x <> 1`. */
function hasComplement(parts: readonly Tree[]): boolean {
  const seen = new Set(parts.map((part) => canonical(part)))
  return parts.some((part) => {
    const opposite = negated(part)
    return opposite !== undefined && seen.has(canonical(opposite))
  })
}

const opposites = new Map([
  ['=', '<>'],
  ['<', '>='],
  ['>', '<='],
])

function negated(part: Tree): Tree | undefined {
  const bool = tagged(part, 'BoolExpr')
  if (bool !== undefined && text(bool, 'boolop') === 'NOT_EXPR') return list(bool, 'args')[0]
  const test = tagged(part, 'NullTest')
  if (test !== undefined && text(test, 'nulltesttype') === 'IS_NULL') {
    return { NullTest: { ...test, nulltesttype: 'IS_NOT_NULL' } }
  }
  const comparison = tagged(part, 'A_Expr')
  const opposite = comparison && opposites.get(operatorOf(comparison))
  if (comparison === undefined || opposite === undefined) return undefined
  return { A_Expr: { ...comparison, name: [{ String: { sval: opposite } }] } }
}

function operatorOf(comparison: Tree): string {
  return words(list(comparison, 'name')).at(-1) ?? ''
}

/** `id = id` keeps every row that has an id; `id <> id` none. */
function comparisonOutcome(comparison: Tree): Outcome {
  const operator = operatorOf(comparison)
  const left = comparison['lexpr']
  const right = comparison['rexpr']
  if (operator === '~~' && isTree(right) && constantText(right)?.replaceAll('%', '') === '')
    return 'true'
  if (!areSame(left, right)) return 'varies'
  const kind = text(comparison, 'kind')
  if (kind === 'AEXPR_NOT_DISTINCT') return 'true'
  if (kind === 'AEXPR_DISTINCT') return 'false'
  if (['=', '<=', '>='].includes(operator)) return 'true'
  return ['<>', '<', '>'].includes(operator) ? 'false' : 'varies'
}

/** True when the value can differ between rows: a column, a cursor's row, or a subquery over a table. */
function dependsOnRow(value: unknown): boolean {
  if (Array.isArray(value)) return value.some((one) => dependsOnRow(one))
  if (!isTree(value)) return false
  if ('ColumnRef' in value || 'CurrentOfExpr' in value || 'RangeVar' in value) return true
  return Object.values(value).some((one) => dependsOnRow(one))
}

/** Folds what a person writes to switch a statement off: `false`, `1 = 2`, NULL. What is not understood counts as true. */
function foldsToFalse(node: Tree, depth: number): boolean {
  const constant = tagged(node, 'A_Const')
  if (constant !== undefined) {
    return flag(constant, 'isnull') || /^(f|false|off|no|n|0)$/i.test(constantText(node) ?? '')
  }
  const cast = at(tagged(node, 'TypeCast') ?? {}, 'arg')
  if (cast !== undefined) return depth < maxDepth && foldsToFalse(cast, depth + 1)
  const comparison = tagged(node, 'A_Expr')
  if (comparison === undefined || text(comparison, 'kind') !== 'AEXPR_OP') return false
  const left = constantText(at(comparison, 'lexpr') ?? {})
  const right = constantText(at(comparison, 'rexpr') ?? {})
  if (left === undefined || right === undefined) return false
  const operator = operatorOf(comparison)
  if (operator === '<>') return left === right
  return operator === '=' && left !== right && /^\d+$/.test(left) && /^\d+$/.test(right)
}
