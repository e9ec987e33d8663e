import { at, flag, list, words, type Tree } from '../classify/tree.ts'
import { isRiskyArray } from './array-shapes.ts'
import { failingArguments, isActing, isSideDoor, readsAnything } from './builtin-totals.ts'
import type { Context, Output, Place } from './context.ts'
import { acting, clean, derived, failing, isTainted, type Flow } from './flow.ts'
import { guarded, isNullVisible, values, windowFlow } from './guards.ts'
import { isSafeArgument, isSafeFormat, mayBeNull } from './literal-arguments.ts'
import { rowOf } from './reference-rules.ts'
import { columnOf } from './scope.ts'

/** A function's value in an expression. */
export function callFlow(body: Tree, place: Place, context: Context): Flow {
  const { columns, open } = callOutput(body, place, context)
  const flows = columns.map(({ flow }) => flow)
  if (open !== undefined) flows.push(open)
  return columns.length === 1 && open === undefined ? (flows[0] ?? clean) : derived(flows)
}

/** What a function gives, column by column where its body tells: as FROM sees it. */
export function callOutput(body: Tree, place: Place, context: Context): Output {
  const name = words(list(body, 'funcname'))
  const bare = name.at(-1) ?? ''
  const nodes = list(body, 'args')
  const args = values(nodes, place, context)
  const own = ownFunctions(name, context)
  const builtin =
    name.length === 1 || name[0] === 'pg_catalog' ? context.catalog.builtin(bare) : undefined
  const attribute = attributeOf(body, bare, place)
  if (attribute !== undefined && own.length === 0 && builtin === undefined)
    return single(derived([attribute, ...args]))
  if (
    (builtin?.returnsSet === true || own.some(({ returnsSet }) => returnsSet)) &&
    context.isOn('clause.rows')
  )
    context.facts.influence('rows', derived(args), `how many rows ${bare} gives`)
  const more = moreOf(body, args, place, context)
  if (own.length > 0 && builtin === undefined) {
    const output = context.ownCall(own, args, place)
    return isTainted(more)
      ? {
          columns: output.columns.map((column) => ({
            ...column,
            flow: derived([column.flow, more]),
          })),
          open: output.open,
        }
      : output
  }
  const fromOwn =
    own.length === 0 ? [] : context.ownCall(own, args, place).columns.map(({ flow }) => flow)
  if (builtin === undefined) context.facts.unresolved.add(`function ${name.join('.')}`)
  const isCount = bare === 'count' && !flag(body, 'agg_distinct') && args.every(isNullVisible)
  const given = isCount ? args.map((arg) => ({ ...clean, fails: arg.fails, acts: arg.acts })) : args
  const reads = builtin === undefined || readsAnything(bare) ? [context.masks.anything] : []
  if (isSideDoor(bare)) context.facts.sideDoors.add(`the function ${bare}`)
  const flow = derived([...given, ...fromOwn, ...reads, more])
  return single(
    withEffects(
      flow,
      { bare, args, nodes, isVolatile: builtin?.isVolatile ?? true },
      place,
      context,
    ),
  )
}

function single(flow: Flow): Output {
  return { columns: [{ name: '', flow, isNameless: true }], open: undefined }
}

/** Functions outside `pg_catalog` that the call can mean. */
function ownFunctions(name: readonly string[], context: Context) {
  if (name.length > 1 && name[0] === 'pg_catalog') return []
  const found = context.catalog.functionsNamed(name.at(-1) ?? '')
  const schema = name.length > 1 ? name.at(-2) : undefined
  return schema === undefined ? found : found.filter((one) => one.schema === schema)
}

/** `f(t)` is the column f of a row t where no function bears that name. */
function attributeOf(body: Tree, name: string, place: Place): Flow | undefined {
  const args = list(body, 'args')
  if (args.length !== 1) return undefined
  const row = rowOf(args[0], place)
  return row === undefined ? undefined : columnOf(row, name)?.flow
}

/** What an aggregate or window function depends on beside its arguments. */
function moreOf(body: Tree, args: readonly Flow[], place: Place, context: Context): Flow {
  const filter = context.isOn('clause.aggregateFilter')
    ? context.expression(at(body, 'agg_filter'), place)
    : clean
  const order = context.isOn('clause.aggregateOrder')
    ? values(list(body, 'agg_order'), place, context)
    : []
  if (isTainted(filter)) guarded([filter, ...args], context)
  return derived([filter, ...order, windowFlow(at(body, 'over'), place, context)])
}

interface Called {
  readonly bare: string
  readonly args: readonly Flow[]
  readonly nodes: readonly Tree[]
  readonly isVolatile: boolean
}

/** Whether a built-in may fail on a masked value, or tell it to somebody else. */
function withEffects(flow: Flow, called: Called, place: Place, context: Context): Flow {
  const { bare, args, isVolatile } = called
  const risky = riskyArguments(called, place, context)
  context.facts.partial(derived(risky), `the function ${bare}`)
  let result = risky.length > 0 || failingArguments(bare) === undefined ? failing(flow) : flow
  if (isActing(bare, isVolatile)) {
    context.facts.launder(derived(args), `the function ${bare}`)
    result = acting(result)
  }
  // Those that nobody else notices give something else when they are called once more.
  if (isVolatile) context.facts.note({ fails: false, acts: true })
  return result
}

/** The arguments that may make the call fail. */
function riskyArguments(
  { bare, args, nodes }: Called,
  place: Place,
  context: Context,
): readonly Flow[] {
  const positions = failingArguments(bare)
  if (positions === undefined || nodes.some((node) => 'NamedArgExpr' in node)) return args
  const isRisky = (position: number): boolean =>
    positions.has(position) && bare !== 'format' && !isSafeArgument(bare, position, nodes[position])
  // How often a text is repeated and how long it is: together they may be too much.
  if (bare === 'repeat' && isRisky(1)) return args
  // `%I` fails for NULL, and a form with more places than values always.
  if (bare === 'format' && !isSafeFormat(nodes)) return args
  return args.filter((_, position) => {
    const node = nodes[position]
    if (isRisky(position) || isRiskyArray(bare, position, node, place, context)) return true
    return isKey(bare, position) && mayBeNull(node)
  })
}

/** A key of a JSON object, which can't be NULL. */
function isKey(name: string, position: number): boolean {
  if (/^jsonb?_object_agg/.test(name)) return position === 0
  return /^jsonb?_build_object$/.test(name) && position % 2 === 0
}
