import { at, list, text, unwrap, type Tree } from '../classify/tree.ts'
import { isEven } from './array-shapes.ts'
import { callFlow } from './call-rules.ts'
import { castFlow } from './cast-rules.ts'
import { referenceFlow, selectionFlow } from './reference-rules.ts'
import { sublinkFlow } from './sublink-rules.ts'
import type { Context, Place } from './context.ts'
import { isScalar, kindOf } from './expression-kind.ts'
import { clean, derived, either, failing, inexact, isTainted, marked, type Flow } from './flow.ts'
import { guarded, isNullVisible, values, windowFlow } from './guards.ts'
import { operatorFlow } from './operator-rules.ts'

/** How the value of one kind of node depends on what it is made of. */
interface ExpressionRule {
  readonly says: string
  of(body: Tree, place: Place, context: Context): Flow
}

/** The rules by the tag of the parser's node. A tag without a rule may carry anything. */
export const expressionRules: Readonly<Record<string, ExpressionRule>> = {
  A_Const: { says: 'a constant takes nothing', of: () => clean },
  SetToDefault: { says: 'a default takes nothing', of: () => clean },
  SQLValueFunction: { says: 'the time and the user take nothing', of: () => clean },
  MergeSupportFunc: { says: 'merge_action() takes nothing', of: () => clean },
  GroupingFunc: { says: 'grouping() tells of the query, not of values', of: () => clean },
  CurrentOfExpr: { says: 'the row of a cursor, whose query was judged', of: () => clean },
  ParamRef: {
    says: "a parameter is the caller's own; in the body of a function it is an argument",
    of: (body, place) => place.parameters[Number(body['number'] ?? 0) - 1] ?? clean,
  },
  ColumnRef: { says: 'a column, or a whole row, by its name', of: referenceFlow },
  A_Indirection: { says: 'a field, an element or a slice of a value', of: selectionFlow },
  FuncCall: { says: 'a function takes all its arguments', of: callFlow },
  A_Expr: { says: 'an operator takes both sides', of: operatorFlow },
  TypeCast: { says: 'a cast takes its value', of: castFlow },
  SubLink: { says: 'a sub-query gives the value of its column', of: sublinkFlow },
  CollateClause: {
    says: 'a collation changes no value',
    of: (body, place, context) => context.expression(at(body, 'arg'), place),
  },
  BoolExpr: {
    says: 'AND, OR and NOT take all their operands',
    of: (body, place, context) => guarded(values(list(body, 'args'), place, context), context),
  },
  NullTest: { says: 'IS NULL tells no more than a mask that keeps NULL', of: nullTest },
  BooleanTest: { says: 'IS TRUE takes its operand', of: ofAll('arg') },
  CaseExpr: { says: 'CASE takes its conditions and its results', of: caseFlow },
  CoalesceExpr: { says: 'COALESCE is one of its arguments', of: coalesceFlow },
  MinMaxExpr: { says: 'GREATEST and LEAST compare all their arguments', of: ofAll('args') },
  NamedArgExpr: {
    says: 'a named argument is its value',
    of: (body, place, context) => context.expression(at(body, 'arg'), place),
  },
  RowExpr: { says: 'a row takes its fields', of: ofAll('args') },
  A_ArrayExpr: { says: 'an array takes its elements', of: arrayFlow },
  List: { says: 'a list takes its members', of: ofAll('items') },
  A_Indices: { says: 'a subscript takes its bounds', of: ofAll('lidx', 'uidx') },
  ResTarget: { says: 'a named value is its value', of: ofAll('val') },
  SortBy: {
    says: 'an order takes what it sorts by',
    of: (body, place, context) => derived([context.expression(at(body, 'node'), place)]),
  },
  XmlExpr: { says: 'XML takes all its parts', of: xmlFlow },
  XmlSerialize: { says: 'serialised XML takes the XML', of: partial(ofAll('expr')) },
  JsonFormat: { says: 'FORMAT JSON names a form', of: () => clean },
  JsonReturning: { says: 'RETURNING names a type', of: () => clean },
  JsonOutput: { says: 'RETURNING names a type', of: () => clean },
  JsonKeyValue: { says: 'a JSON member takes key and value', of: ofAll('key', 'value') },
  JsonValueExpr: { says: 'a JSON value is its expression', of: ofAll('raw_expr') },
  JsonIsPredicate: { says: 'IS JSON takes its value', of: ofAll('expr') },
  JsonObjectConstructor: { says: 'JSON_OBJECT takes its members', of: partial(ofAll('exprs')) },
  JsonArrayConstructor: { says: 'JSON_ARRAY takes its elements', of: ofAll('exprs') },
  JsonArrayQueryConstructor: {
    says: 'JSON_ARRAY of a query takes its column',
    of: (body, place, context) => queryFlow(at(body, 'query'), place, context),
  },
  JsonParseExpr: { says: 'JSON() takes its text', of: partial(ofAll('expr')) },
  JsonScalarExpr: { says: 'JSON_SCALAR takes its value', of: ofAll('expr') },
  JsonSerializeExpr: { says: 'JSON_SERIALIZE takes its value', of: ofAll('expr') },
  JsonFuncExpr: {
    says: 'JSON_VALUE, JSON_QUERY and JSON_EXISTS take document, path and defaults',
    of: partial(ofAll('context_item', 'pathspec', 'passing', 'on_empty', 'on_error')),
  },
  JsonArgument: { says: 'a variable of a path takes its value', of: ofAll('val') },
  JsonBehavior: { says: 'DEFAULT of a path takes its value', of: ofAll('expr') },
  JsonObjectAgg: { says: 'JSON_OBJECTAGG takes its members', of: partial(jsonAggregate) },
  JsonArrayAgg: { says: 'JSON_ARRAYAGG takes its elements', of: jsonAggregate },
}

/** What one expression can carry. */
export function expressionFlow(node: Tree | undefined, place: Place, context: Context): Flow {
  if (node === undefined || Object.keys(node).length === 0) return clean
  const inner = unwrap(node)
  if (inner === undefined) return unknownNode('an unnamed node', context)
  const rule = expressionRules[inner.tag]
  if (rule === undefined) return unknownNode(inner.tag, context)
  const flow = context.isOn(inner.tag) ? rule.of(inner.body, place, context) : clean
  context.facts.note(flow)
  return flow
}

function unknownNode(tag: string, context: Context): Flow {
  context.facts.unresolved.add(tag)
  context.facts.note(context.masks.anything)
  return context.masks.anything
}

/** A value computed from all that stands in these fields, one by one or in lists. */
function ofAll(...fields: readonly string[]): ExpressionRule['of'] {
  return (body, place, context) =>
    derived(
      fields.flatMap((field) => {
        const one = at(body, field)
        return one === undefined
          ? values(list(body, field), place, context)
          : [wrapped(field, one, place, context)]
      }),
    )
}

/** Fields of a fixed type hold their struct without its tag. */
const untagged: Readonly<Record<string, string>> = {
  context_item: 'JsonValueExpr',
  on_empty: 'JsonBehavior',
  on_error: 'JsonBehavior',
  value: 'JsonValueExpr',
}

function wrapped(field: string, node: Tree, place: Place, context: Context): Flow {
  const tag = untagged[field]
  const isBare = tag !== undefined && unwrap(node) === undefined
  const inner = !isBare && 'raw_expr' in node ? { JsonValueExpr: node } : node
  return context.expression(isBare ? { [tag]: node } : inner, place)
}

/** The same where the value may make it fail. */
function partial(of: ExpressionRule['of']): ExpressionRule['of'] {
  return (body, place, context) => {
    const flow = of(body, place, context)
    context.facts.partial(flow, 'an expression that may fail')
    return failing(flow)
  }
}

/** Arrays in an array must have the same dimensions. */
function arrayFlow(body: Tree, place: Place, context: Context): Flow {
  const elements = list(body, 'elements')
  const flows = values(elements, place, context)
  if (isEven(elements, place, context)) return derived(flows)
  const risky = flows.filter((_, at) => !isScalar(elements[at], place, context))
  context.facts.partial(derived(risky), 'an array of arrays')
  return failing(derived(flows))
}

/** An element of any value but a date, which may be infinite, is made of it, and never fails. Attributes and all else may. */
function xmlFlow(body: Tree, place: Place, context: Context): Flow {
  const kind = text(body, 'op')
  const args = list(body, 'args')
  const named = list(body, 'named_args')
  const flow = derived(values([...args, ...named], place, context))
  const content =
    kind === 'IS_XMLFOREST' ? named.map((node) => at(at(node, 'ResTarget') ?? {}, 'val')) : args
  const isElement = kind === 'IS_XMLFOREST' || (kind === 'IS_XMLELEMENT' && named.length === 0)
  const isSafe = (node: Tree | undefined): boolean => {
    const of = kindOf(node, place, context)
    return of !== undefined && of !== 'D' && of !== 'A'
  }
  if (isElement && content.every(isSafe)) return flow
  context.facts.partial(flow, 'XML that may fail')
  return failing(flow)
}

function nullTest(body: Tree, place: Place, context: Context): Flow {
  const arg = context.expression(at(body, 'arg'), place)
  return isNullVisible(arg) ? { ...clean, fails: arg.fails, acts: arg.acts } : inexact(arg)
}

function caseFlow(body: Tree, place: Place, context: Context): Flow {
  const operand = context.expression(at(body, 'arg'), place)
  const conditions: Flow[] = [operand]
  const results: Flow[] = []
  for (const node of list(body, 'args')) {
    const when = at(node, 'CaseWhen') ?? {}
    conditions.push(context.expression(at(when, 'expr'), place))
    results.push(context.expression(at(when, 'result'), place))
  }
  results.push(context.expression(at(body, 'defresult'), place))
  const condition = context.isOn('CaseExpr.condition') ? derived(conditions) : clean
  const result = either(results)
  if (result.fails || result.acts || (conditions.length > 2 && condition.fails))
    context.facts.influence('branch', condition, 'which branch of a CASE is computed')
  return isTainted(condition) ? derived([condition, result]) : marked(result, condition)
}

function coalesceFlow(body: Tree, place: Place, context: Context): Flow {
  const flows = values(list(body, 'args'), place, context)
  const later = flows.slice(1)
  if (later.some(({ fails, acts }) => fails || acts)) {
    context.facts.influence('branch', derived(flows), 'which argument of COALESCE is computed')
  }
  const flow = either(flows)
  return flows.every(isNullVisible) ? flow : inexact(flow)
}

function jsonAggregate(body: Tree, place: Place, context: Context): Flow {
  const constructor = at(body, 'constructor') ?? {}
  const args = at(body, 'arg')
  const arg =
    args === undefined
      ? clean
      : context.expression(
          'raw_expr' in args
            ? { JsonValueExpr: args }
            : unwrap(args)
              ? args
              : { JsonKeyValue: args },
          place,
        )
  return derived([
    arg,
    ...values(list(constructor, 'agg_order'), place, context),
    context.expression(at(constructor, 'agg_filter'), place),
    windowFlow(at(constructor, 'over'), place, context),
  ])
}

function queryFlow(query: Tree | undefined, place: Place, context: Context): Flow {
  if (query === undefined) return clean
  const { columns, open } = context.query(query, place)
  return derived([...columns.map(({ flow }) => flow), ...(open === undefined ? [] : [open])])
}
