import { at, list, text, unwrap, words, type Tree } from '../classify/tree.ts'
import { typeName } from './cast-rules.ts'
import type { Context, Place } from './context.ts'
import { reference } from './reference-rules.ts'
import type { ScopeColumn } from './scope.ts'

/**
 * What sort of values an expression has, as far as it can be told: categories of `pg_type.typcategory`, and J for JSON of
 * either form. A `literal` takes the type of what stands beside it.
 */
export type Kind = 'S' | 'N' | 'B' | 'D' | 'A' | 'J' | 'U' | 'literal'

const oids: Readonly<Record<Kind, readonly number[]>> = {
  S: [25, 1043, 1042, 19],
  N: [20, 21, 23, 26, 700, 701, 1700],
  B: [16],
  D: [1082, 1083, 1114, 1184, 1266],
  // Arrays of these, of uuid and of bytea.
  A: [
    1009, 1015, 1014, 1003, 1016, 1005, 1007, 1028, 1021, 1022, 1231, 1000, 1182, 1115, 1185, 2951,
    1001,
  ],
  J: [114, 3802],
  U: [17, 2950, 142],
  literal: [],
}
const kindByOid = new Map(
  Object.entries(oids).flatMap(([kind, list]) => list.map((oid) => [oid, kind as Kind] as const)),
)

const names: Readonly<Record<string, Kind>> = {
  ...of('S', 'text varchar bpchar name'),
  ...of('N', 'int2 int4 int8 oid float4 float8 numeric'),
  ...of('B', 'bool'),
  ...of('D', 'date time timetz timestamp timestamptz'),
  ...of('J', 'json jsonb'),
  ...of('U', 'bytea uuid xml'),
}

function of(kind: Kind, list: string): Record<string, Kind> {
  return Object.fromEntries(list.split(' ').map((name) => [name, kind]))
}

type Rule = (body: Tree, place: Place, context: Context) => Kind | undefined

const always =
  (kind: Kind): Rule =>
  () =>
    kind

const rules: Readonly<Record<string, Rule>> = {
  A_Const: always('literal'),
  BoolExpr: always('B'),
  NullTest: always('B'),
  BooleanTest: always('B'),
  A_ArrayExpr: always('A'),
  ColumnRef: (body, place, context) => {
    const { column } = reference(words(list(body, 'fields')), place, context.apart())
    return kindOfColumn(column)
  },
  TypeCast: (body, _place, context) => {
    const type = at(body, 'typeName') ?? {}
    const name = typeName(type)
    if (list(type, 'arrayBounds').length > 0) return 'A'
    const isOwn = context.catalog.isOwnType(name) && words(list(type, 'names'))[0] !== 'pg_catalog'
    return isOwn ? undefined : names[name]
  },
  CollateClause: (body, place, context) => kindOf(at(body, 'arg'), place, context),
  A_Expr: operatorKind,
  FuncCall: callKind,
  CoalesceExpr: (body, place, context) => common(list(body, 'args'), place, context),
  MinMaxExpr: (body, place, context) => common(list(body, 'args'), place, context),
  CaseExpr: (body, place, context) => {
    const results = list(body, 'args').map((node) => at(at(node, 'CaseWhen') ?? {}, 'result') ?? {})
    const last = at(body, 'defresult')
    return common(last === undefined ? results : [...results, last], place, context)
  },
  SubLink: (body, _place, context) => {
    const kind = text(body, 'subLinkType')
    if (kind === 'ARRAY_SUBLINK') return 'A'
    // Of a sub-query it is noted when that is followed.
    return kind === 'EXPR_SUBLINK' ? context.kinds.get(at(body, 'subselect') ?? {}) : 'B'
  },
}

/** The kind of an expression; undefined where it can't be told. */
export function kindOf(node: Tree | undefined, place: Place, context: Context): Kind | undefined {
  if (node === undefined) return undefined
  if (context.kinds.has(node)) return context.kinds.get(node)
  const { tag, body } = unwrap(node) ?? { tag: '', body: {} }
  const kind = rules[tag]?.(body, place, context)
  context.kinds.set(node, kind)
  return kind
}

/** The kind of a column, as far as it is known. */
export function kindOfColumn(column: ScopeColumn | undefined): Kind | undefined {
  if (column?.kind !== undefined || column?.typeOid === undefined) return column?.kind
  return kindByOid.get(column.typeOid)
}

/** True where a value is surely neither an array nor a document nor a row, nor of a type of the database's own. */
export function isScalar(node: Tree | undefined, place: Place, context: Context): boolean {
  const kind = kindOf(node, place, context)
  return kind !== undefined && kind !== 'A' && kind !== 'J'
}

function common(nodes: readonly Tree[], place: Place, context: Context): Kind | undefined {
  const kinds = new Set(nodes.map((node) => kindOf(node, place, context)))
  if (kinds.size > 1) kinds.delete('literal')
  return kinds.size === 1 ? [...kinds][0] : undefined
}

const comparing = /^(?:=|<>|!=|<|>|<=|>=|~~\*?|!~~\*?|~\*?|!~\*?|&&|@>|<@|\?[|&]?|@@|\^@)$/

function operatorKind(body: Tree, place: Place, context: Context): Kind | undefined {
  const kind = text(body, 'kind')
  const left = at(body, 'lexpr')
  if (kind === 'AEXPR_NULLIF') return kindOf(left, place, context)
  if (kind !== 'AEXPR_OP') return 'B'
  const operator = words(list(body, 'name')).at(-1) ?? ''
  if (context.catalog.operatorsNamed(operator).length > 0) return undefined
  if (comparing.test(operator)) return 'B'
  if (operator === '->>' || operator === '#>>') return 'S'
  const sides = [left, at(body, 'rexpr')].map((side) => kindOf(side, place, context))
  if (operator === '||') {
    // Anything beside a text becomes one, but an array takes it in.
    const isPlain = sides.every((side) => side !== undefined && side !== 'A' && side !== 'J')
    if (sides.every((side) => side === 'U')) return 'U'
    return isPlain ? 'S' : sides[0] === sides[1] ? sides[0] : undefined
  }
  return /^[-+*/%]$/.test(operator) && sides.every((side) => side === 'N' || side === 'literal')
    ? 'N'
    : undefined
}

function callKind(body: Tree, place: Place, context: Context): Kind | undefined {
  const name = words(list(body, 'funcname'))
  const bare = name.at(-1) ?? ''
  if (context.catalog.functionsNamed(bare).length > 0) return undefined
  const categories = context.catalog.builtin(bare)?.returns ?? ''
  const [first] = list(body, 'args')
  if (categories.length === 1) return isKind(categories) ? categories : undefined
  // Of those with several forms, the one for texts gives a text; what takes anything gives what it takes.
  const given = kindOf(first, place, context)
  if (given === 'S') return categories.includes('S') ? 'S' : undefined
  return /^(?:min|max|lag|lead|first_value|last_value|nth_value)$/.test(bare) ? given : undefined
}

function isKind(category: string): category is Kind {
  return category in oids
}
