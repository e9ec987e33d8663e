import { at, flag, list, rangeVarName, text, unwrap, words, type Tree } from '../classify/tree.ts'
import { callOutput } from './call-rules.ts'
import type { Context, Output, Place } from './context.ts'
import { confined } from './confined.ts'
import type { Facts } from './facts.ts'
import { clean, derived, either, isTainted } from './flow.ts'
import { joinVisible } from './join-rules.ts'
import { flowsOf, renamed } from './outputs.ts'
import { beside, nothingVisible, visibleItem, type ScopeItem, type Visible } from './scope.ts'
import { tableFunctionFlow } from './table-function-rules.ts'

/** What a FROM clause makes visible. An item sees those before it where it is LATERAL. */
export function fromClause(
  items: readonly Tree[],
  before: Visible,
  place: Place,
  context: Context,
): Visible {
  let seen = before
  let found = nothingVisible
  for (const item of items) {
    const next = fromItem(item, seen, place, context)
    seen = beside(seen, next)
    found = beside(found, next)
  }
  return found
}

/** One item of a FROM clause. `left` is what a LATERAL item sees. */
export function fromItem(node: Tree, left: Visible, place: Place, context: Context): Visible {
  const { tag, body } = unwrap(node) ?? { tag: '', body: {} }
  const lateral: Place = { ...place, scope: { ...left, outer: place.scope } }
  switch (tag) {
    case 'RangeVar':
      return visibleItem(namedItem(body, place, context))
    case 'RangeSubselect': {
      const where = flag(body, 'lateral') ? lateral : place
      const inner = context.apart()
      const output = inner.query(at(body, 'subquery') ?? {}, where)
      return aliased(withDecided(output, inner.facts, context), body, '')
    }
    case 'RangeFunction':
      return functionItem(body, lateral, context)
    case 'RangeTableFunc':
    case 'JsonTable': {
      const flow = tableFunctionFlow(tag, body, lateral, context)
      return aliased(
        { columns: [], open: flow },
        body,
        tag === 'JsonTable' ? 'json_table' : 'xmltable',
      )
    }
    case 'RangeTableSample': {
      const inner = fromItem(at(body, 'relation') ?? {}, left, place, context)
      const sampled = [...list(body, 'args'), at(body, 'repeatable') ?? {}]
      const flow = derived(sampled.map((arg) => context.expression(arg, place)))
      context.facts.note({ fails: true, acts: false })
      context.facts.influence('rows', flow, 'a sample of a table')
      return inner
    }
    case 'JoinExpr':
      return joinVisible(body, left, { place, context, item: fromItem })
    default:
      context.facts.unresolved.add(tag === '' ? 'an unnamed node' : tag)
      return visibleItem({ alias: '', columns: [], open: context.masks.anything, isTable: true })
  }
}

/** Of a query that always gives one row nothing is seen but its values. */
function withDecided(output: Output, facts: Facts, context: Context): Output {
  if (output.rows !== 'one') {
    context.facts.include(facts)
    return output
  }
  const decided = confined(facts, context)
  if (!isTainted(decided)) return output
  const columns = output.columns.map((column) => ({
    ...column,
    flow: derived([column.flow, decided]),
  }))
  return { columns, open: output.open === undefined ? undefined : derived([output.open, decided]) }
}

/** A relation or CTE by name. */
export function namedItem(body: Tree, place: Place, context: Context): ScopeItem {
  const name = rangeVarName(body)
  const bare = name.at(-1) ?? ''
  const cte = name.length === 1 ? place.ctes.get(bare) : undefined
  if (cte !== undefined) {
    const output = withDecided(cte.output(), cte.facts, context)
    for (const flow of flowsOf(output)) context.facts.plan(flow)
    return itemOf(output, body, bare, undefined, false)
  }
  return relationItem(body, place, context)
}

/** A relation by name, as it stands in FROM or is written to. */
export function relationItem(body: Tree, place: Place, context: Context): ScopeItem {
  const written = rangeVarName(body)
  const bare = written.at(-1) ?? ''
  // What the server has printed is qualified but for its own relations.
  const name = place.isPrinted && written.length === 1 ? ['pg_catalog', bare] : written
  const [schema] = name.length > 1 ? name.slice(-2) : [undefined]
  const relations = context.catalog.named(name)
  const [first] = relations
  if (first === undefined) {
    context.facts.unresolved.add(`relation ${written.join('.')}`)
    return itemOf({ columns: [], open: context.masks.anything }, body, bare, schema, true)
  }
  const outputs = relations.map((relation) => context.relation(relation))
  const output = outputs.length === 1 ? (outputs[0] ?? none) : anyOf(outputs)
  return itemOf(output, body, bare, schema ?? first.schema, true)
}

const none: Output = { columns: [], open: undefined }

/** One of several relations, and which can't be told. */
function anyOf(outputs: readonly Output[]): Output {
  return { columns: [], open: derived(outputs.flatMap(flowsOf)) }
}

function itemOf(
  output: Output,
  body: Tree,
  name: string,
  schema: string | undefined,
  isTable: boolean,
): ScopeItem {
  const alias = at(body, 'alias')
  const named = renamed(output, words(list(alias ?? {}, 'colnames')))
  const own = text(alias ?? {}, 'aliasname')
  return {
    alias: own === '' ? name : own,
    columns: named.columns,
    isTable,
    ...(named.open === undefined ? {} : { open: named.open }),
    // With an alias the table's own name is hidden.
    ...(own === '' && schema !== undefined ? { schema } : {}),
  }
}

function aliased(output: Output, body: Tree, name: string): Visible {
  return visibleItem(itemOf(output, body, name, undefined, false))
}

/** Functions in FROM: one, or several side by side. */
function functionItem(body: Tree, place: Place, context: Context): Visible {
  const alias = at(body, 'alias')
  const aliasName = text(alias ?? {}, 'aliasname')
  const parts: Output[] = []
  let name = ''
  for (const node of list(body, 'functions')) {
    const [call = {}, definitions] = list(at(node, 'List') ?? {}, 'items')
    const defined = [
      ...list(at(definitions ?? {}, 'List') ?? {}, 'items'),
      ...list(body, 'coldeflist'),
    ]
    const part = functionOutput(call, defined, aliasName, place, context)
    name = part.name
    parts.push(part.output)
  }
  let output = parts.length === 1 ? (parts[0] ?? none) : sideBySide(parts)
  if (flag(body, 'ordinality') && output.open === undefined) {
    output = { columns: [...output.columns, { name: 'ordinality', flow: clean }], open: undefined }
  }
  return aliased(output, body, name)
}

function functionOutput(
  call: Tree,
  definitions: readonly Tree[],
  alias: string,
  place: Place,
  context: Context,
): { readonly name: string; readonly output: Output } {
  const { tag, body } = unwrap(call) ?? { tag: '', body: {} }
  if (tag !== 'FuncCall') {
    const flow = context.expression(call, place)
    return { name: '', output: { columns: [], open: flow } }
  }
  const name = words(list(body, 'funcname')).at(-1) ?? ''
  const output = callOutput(body, place, context)
  for (const flow of flowsOf(output)) context.facts.note(flow)
  if (definitions.length > 0) {
    // A record's columns come in the order of the list; which of the values each is, the list does not say.
    const flow = derived(flowsOf(output))
    const columns = definitions.map((node) => ({
      name: text(at(node, 'ColumnDef') ?? {}, 'colname'),
      flow,
    }))
    return { name, output: { columns, open: undefined } }
  }
  const [only] = output.columns
  if (output.columns.length !== 1 || output.open !== undefined || only === undefined) {
    return { name, output }
  }
  if (!singleColumn.has(name) && only.isNameless === true) {
    return { name, output: { columns: [], open: only.flow } }
  }
  // A function of one plain value names its column by the alias, or by itself.
  const column = { name: only.name || alias || name, flow: only.flow }
  return { name, output: { columns: [column], open: undefined } }
}

/** Built-in functions that give one column, whatever they are given. */
const singleColumn = new Set(
  `generate_series generate_subscripts regexp_split_to_table string_to_table json_array_elements_text
   jsonb_array_elements_text json_array_elements jsonb_array_elements json_object_keys jsonb_object_keys regexp_matches
   now current_database current_schema current_schemas current_user version pg_backend_pid`.split(
    /\s+/,
  ),
)

function sideBySide(parts: readonly Output[]): Output {
  if (parts.some(({ open }) => open !== undefined)) {
    return { columns: [], open: either(parts.flatMap(flowsOf)) }
  }
  return { columns: parts.flatMap(({ columns }) => columns), open: undefined }
}
