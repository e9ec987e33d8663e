import { at, list, text, unwrap, words, type Tree } from '../classify/tree.ts'
import { joins } from './array-shapes.ts'
import { isPatternOperator, isTotalOperator } from './builtin-totals.ts'
import type { Context, Place } from './context.ts'
import { isScalar } from './expression-kind.ts'
import { derived, failing, type Flow } from './flow.ts'
import { isSafeLikeness, isSafePattern } from './literal-arguments.ts'

/** An operator's value, whatever its kind: `a + b`, `a = ANY(b)`, `a BETWEEN b AND c`, NULLIF. */
export function operatorFlow(body: Tree, place: Place, context: Context): Flow {
  const left = context.expression(at(body, 'lexpr'), place)
  const right = context.expression(at(body, 'rexpr'), place)
  return operatorOf(
    {
      name: words(list(body, 'name')),
      kind: text(body, 'kind'),
      left,
      right,
      nodes: [at(body, 'lexpr'), at(body, 'rexpr')],
      isUnary: at(body, 'lexpr') === undefined,
    },
    place,
    context,
  )
}

/** An operator with its sides. */
interface Operator {
  readonly name: readonly string[]
  readonly kind: string
  readonly left: Flow
  readonly right: Flow
  /** The sides as they are written, where they are expressions. */
  readonly nodes: readonly [Tree | undefined, Tree | undefined]
  readonly isUnary: boolean
}

export function operatorOf(
  { name, kind, left, right, nodes, isUnary }: Operator,
  place: Place,
  context: Context,
): Flow {
  const operator = name.at(-1) ?? ''
  const own = ownOperator(name, [left, right], place, context)
  const flow = derived([left, right, ...own])
  if (!isTotal(kind, operator, isUnary)) {
    context.facts.partial(flow, `the operator ${operator}`)
    return failing(flow)
  }
  if (operator === '||' && !joins(nodes, place, context)) {
    // What is no array fails for no value of its own.
    const risky = [left, right].filter((_, side) => !isScalar(nodes[side], place, context))
    context.facts.partial(derived(risky), 'the operator ||')
    return failing(flow)
  }
  if (isSafe(kind, operator, nodes[1])) return flow
  context.facts.partial(right, `the operator ${operator}`)
  return failing(flow)
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

/** Whether the right side is one that the operator does not fail on. */
function isSafe(kind: string, operator: string, node: Tree | undefined): boolean {
  const isLike = kind === 'AEXPR_LIKE' || kind === 'AEXPR_ILIKE' || /^!?~~\*?$/.test(operator)
  if (isLike) return isSafeLikeness(node)
  return kind === 'AEXPR_SIMILAR' || isPatternOperator(operator) ? isSafePattern(node) : true
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
