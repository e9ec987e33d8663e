import { at, list, text, unwrap, words, type Tree } from '../classify/tree.ts'
import { isPatternOperator, isTotalOperator } from './builtin-totals.ts'
import type { Context, Place } from './context.ts'
import { derived, failing, isTainted, type Flow } from './flow.ts'

/** An operator's value, whatever its kind: `a + b`, `a = ANY(b)`, `a BETWEEN b AND c`, NULLIF. */
export function operatorFlow(body: Tree, place: Place, context: Context): Flow {
  const left = context.expression(at(body, 'lexpr'), place)
  const right = context.expression(at(body, 'rexpr'), place)
  const name = words(list(body, 'name'))
  const operator = name.at(-1) ?? ''
  const own = ownOperator(name, [left, right], place, context)
  const flow = derived([left, right, ...own])
  const isUnary = at(body, 'lexpr') === undefined
  const isSure = text(body, 'kind').startsWith('AEXPR_')
    ? isTotal(text(body, 'kind'), operator, isUnary)
    : false
  const risky = isSure ? (isPattern(text(body, 'kind'), operator) ? right : undefined) : flow
  if (risky !== undefined && isTainted(risky))
    context.facts.partial(risky, `the operator ${operator}`)
  return isSure && !(risky?.fails === true) ? flow : failing(flow)
}

const comparingKinds = new Set([
  'AEXPR_DISTINCT',
  'AEXPR_NOT_DISTINCT',
  'AEXPR_NULLIF',
  'AEXPR_IN',
  'AEXPR_BETWEEN',
  'AEXPR_NOT_BETWEEN',
  'AEXPR_BETWEEN_SYM',
  'AEXPR_NOT_BETWEEN_SYM',
  'AEXPR_LIKE',
  'AEXPR_ILIKE',
  'AEXPR_SIMILAR',
])

function isTotal(kind: string, operator: string, isUnary: boolean): boolean {
  if (comparingKinds.has(kind)) return true
  return !isUnary && isTotalOperator(operator)
}

function isPattern(kind: string, operator: string): boolean {
  return (
    kind === 'AEXPR_LIKE' ||
    kind === 'AEXPR_ILIKE' ||
    kind === 'AEXPR_SIMILAR' ||
    isPatternOperator(operator)
  )
}

/** An operator of the database's own may win over a built-in one, by the types of its sides. */
function ownOperator(
  name: readonly string[],
  sides: readonly Flow[],
  place: Place,
  context: Context,
): readonly Flow[] {
  if (name.length > 1 && name[0] === 'pg_catalog') return []
  const operator = name.at(-1) ?? ''
  const functions = context.catalog.operatorsNamed(operator)
  const output = context.ownCall(functions, sides, place)
  const flows = output.columns.map(({ flow }) => flow)
  if (functions.length > 0 || isKnown(operator)) return flows
  return [...flows, failing(derived(sides))]
}

function isKnown(operator: string): boolean {
  return isTotalOperator(operator) || /^[-+*/<>=~!@#%^&|`?]+$|^[A-Z ]+$/.test(operator)
}

/** `column = constant` and nothing more, which a look-up may ask. */
export function isLookupCondition(node: Tree): boolean {
  const inner = unwrap(node)
  if (inner?.tag !== 'A_Expr' || text(inner.body, 'kind') !== 'AEXPR_OP') return false
  const name = words(list(inner.body, 'name'))
  if (name.at(-1) !== '=' || (name.length > 1 && name[0] !== 'pg_catalog')) return false
  const sides = [at(inner.body, 'lexpr') ?? {}, at(inner.body, 'rexpr') ?? {}]
  return sides.some((side) => 'ColumnRef' in side) && sides.some(isGiven)
}

/** A constant or parameter, cast or not. */
function isGiven(node: Tree): boolean {
  if ('A_Const' in node || 'ParamRef' in node) return true
  const cast = at(node, 'TypeCast')
  return cast !== undefined && isGiven(at(cast, 'arg') ?? {})
}
