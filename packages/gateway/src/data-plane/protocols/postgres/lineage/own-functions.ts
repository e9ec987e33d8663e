import { at, list, tagged, text, unwrap, words, type Tree } from '../classify/tree.ts'
import { assignedFlow } from './cast-rules.ts'
import { nowhere, type Context, type Output, type Place } from './context.ts'
import { clean, derived, either, failing, isTainted, marked, type Flow } from './flow.ts'
import { readsAnything } from './builtin-totals.ts'
import { codeReach } from './code-words.ts'
import type { LineageFunction } from './lineage-catalog.ts'
import { codeBehindWrites } from './trigger-rules.ts'
import type { ScopeColumn } from './scope.ts'

/** Languages whose functions see what they are given, unless they are declared to do more. */
const compiled = new Set(['c', 'internal'])

/** Calls inside of calls beyond this are not followed. */
const depthMax = 16

/** Calls of functions outside `pg_catalog`: bodies in SQL are followed, others are trusted by name or may return anything. */
export class OwnFunctions {
  readonly #running = new Set<number>()

  get isRunning(): boolean {
    return this.#running.size > 0
  }

  /** What a call gives that may mean any of these functions; no column where there is none. */
  call(functions: readonly LineageFunction[], args: readonly Flow[], context: Context): Output {
    if (functions.length === 0) return { columns: [], open: undefined }
    const outputs = functions.map((fn) => this.#one(fn, args, context))
    const [first] = outputs
    if (outputs.length === 1 && first !== undefined) return first
    const flows = outputs.flatMap(({ columns, open }) => [
      ...columns.map(({ flow }) => flow),
      ...(open === undefined ? [] : [open]),
    ])
    return one(derived(flows))
  }

  /** Calls that a body may make: of itself, it gives nothing that the rest of it does not. */
  callByName(functions: readonly LineageFunction[], given: Flow, context: Context): Output {
    return this.call(
      functions.filter(({ oid }) => !this.#running.has(oid)),
      [given],
      context,
    )
  }

  #one(fn: LineageFunction, args: readonly Flow[], context: Context): Output {
    const given = derived(args)
    if (isTainted(given)) context.facts.partial(given, `the function ${fn.schema}.${fn.name}`)
    if (!context.isOn('body')) return one(given)
    const followed = this.#followed(fn, args, context)
    if (followed !== undefined) return followed
    if (fn.isTrusted) return one(failing(given))
    if (fn.behind !== undefined) {
      // An aggregate is what its functions are.
      const { columns, open } = this.call(fn.behind, args, context)
      const flows = columns.map(({ flow }) => flow)
      return one(failing(derived([given, ...flows, ...(open === undefined ? [] : [open])])))
    }
    if (compiled.has(fn.language) && !readsAnything(fn.name)) {
      // Made by a superuser: it takes its arguments, and what it reads beside is known by its name.
      if (fn.volatility === 'v')
        context.facts.launder(given, `the function ${fn.schema}.${fn.name}`)
      return one(failing(given))
    }
    context.facts.unresolved.add(`function ${fn.schema}.${fn.name}`)
    // What it does with what it reads can't be followed either.
    if (context.isOn('write'))
      context.facts.launder(context.masks.anything, `the function ${fn.schema}.${fn.name}`)
    return one(derived([context.masks.anything, given]))
  }

  /** What a body can give; undefined where it can't be told. */
  #followed(fn: LineageFunction, args: readonly Flow[], context: Context): Output | undefined {
    if (fn.definition !== undefined) return this.#body(fn, fn.definition, args, context)
    if (fn.source === undefined) return undefined
    const { source } = fn
    return this.#inside(fn, () => {
      const reach = codeReach(source, context)
      if (reach === undefined) return undefined
      const flow = failing(derived([reach.flow, ...args]))
      context.facts.partial(flow, `the function ${fn.schema}.${fn.name}`)
      context.facts.influence('branch', flow, `the body of ${fn.schema}.${fn.name}`)
      if (reach.acts && context.isOn('write')) {
        context.facts.launder(flow, `the function ${fn.schema}.${fn.name}`)
        codeBehindWrites(reach.relations, ['insert', 'update', 'delete'], 'all', context)
      }
      return { columns: [], open: flow }
    })
  }

  /** Follows a body, unless it is one that is being followed already. */
  #inside(fn: LineageFunction, follow: () => Output | undefined): Output | undefined {
    if (this.#running.has(fn.oid) || this.#running.size >= depthMax) return undefined
    this.#running.add(fn.oid)
    try {
      return follow()
    } finally {
      this.#running.delete(fn.oid)
    }
  }

  /** What the body of a CREATE FUNCTION in SQL gives. */
  made(create: Tree, context: Context): Output | undefined {
    const statements = bodyOf(create, context)
    const name = words(list(create, 'funcname')).at(-1) ?? ''
    // What stands in the statement is read with the session's names.
    return statements && follow(create, name, { ...statements, isPrinted: false }, [], context)
  }

  #body(
    fn: LineageFunction,
    definition: string,
    args: readonly Flow[],
    context: Context,
  ): Output | undefined {
    const create = tagged(at(context.parse(definition)?.[0] ?? {}, 'stmt'), 'CreateFunctionStmt')
    if (create === undefined) return undefined
    const statements = bodyOf(create, context)
    if (statements === undefined) return undefined
    return this.#inside(fn, () => {
      const inner = context.apart()
      const output = follow(create, fn.name, statements, args, inner)
      context.facts.include(inner.facts)
      return (
        output && {
          columns: output.columns.map((column) => ({
            ...column,
            flow: marked(column.flow, inner.facts),
          })),
          open: output.open && marked(output.open, inner.facts),
        }
      )
    })
  }
}

function one(flow: Flow): Output {
  return { columns: [{ name: '', flow, isNameless: true }], open: undefined }
}

/** The statements of a body, in either of its two forms. */
function bodyOf(
  create: Tree,
  context: Context,
): { nodes: readonly Tree[]; isPrinted: boolean } | undefined {
  const sqlBody = at(create, 'sql_body')
  if (sqlBody !== undefined) {
    const returned = tagged(sqlBody, 'ReturnStmt')
    if (returned !== undefined) {
      const select = { targetList: [{ ResTarget: { val: at(returned, 'returnval') ?? {} } }] }
      return { nodes: [{ SelectStmt: select }], isPrinted: true }
    }
    const block = list(
      tagged(list(tagged(sqlBody, 'List') ?? {}, 'items')[0], 'List') ?? {},
      'items',
    )
    return { nodes: block, isPrinted: true }
  }
  const options = list(create, 'options').map((node) => tagged(node, 'DefElem') ?? {})
  const as = options.find((option) => text(option, 'defname') === 'as')
  const [source] = words(list(tagged(at(as ?? {}, 'arg'), 'List') ?? {}, 'items'))
  const parsed = source === undefined ? undefined : context.parse(source)
  return parsed === undefined
    ? undefined
    : { nodes: parsed.map((raw) => at(raw, 'stmt') ?? {}), isPrinted: false }
}

const inModes = new Set([
  'FUNC_PARAM_IN',
  'FUNC_PARAM_INOUT',
  'FUNC_PARAM_VARIADIC',
  'FUNC_PARAM_DEFAULT',
])
const outModes = new Set(['FUNC_PARAM_OUT', 'FUNC_PARAM_INOUT', 'FUNC_PARAM_TABLE'])
const queries = new Set(['SelectStmt', 'InsertStmt', 'UpdateStmt', 'DeleteStmt', 'MergeStmt'])

function follow(
  create: Tree,
  name: string,
  body: { nodes: readonly Tree[]; isPrinted: boolean },
  args: readonly Flow[],
  context: Context,
): Output | undefined {
  const parameters = list(create, 'parameters').map(
    (node) => tagged(node, 'FunctionParameter') ?? {},
  )
  const inputs = parameters.filter((one) => inModes.has(text(one, 'mode')))
  const defaults = inputs.map((one) => context.expression(at(one, 'defexpr'), nowhere))
  // Which argument goes to which parameter is not followed: names and defaults may mix them.
  const given = derived([...args, ...defaults])
  const columns = inputs.map((one) => ({ name: text(one, 'name'), flow: given }))
  const place: Place = {
    ...nowhere,
    scope: {
      items: [{ alias: name, columns, isTable: false }],
      columns,
      open: undefined,
      outer: undefined,
    },
    parameters: inputs.map(() => given),
    isPrinted: body.isPrinted,
  }
  let last: Output = { columns: [], open: undefined }
  for (const node of body.nodes) {
    const tag = unwrap(node)?.tag ?? ''
    if (!queries.has(tag)) return undefined
    last = context.query(node, place)
  }
  return named(returned(last, context), create, parameters, context)
}

/** What a body ends with becomes what the function returns, by a cast on assignment where it has to. */
function returned({ columns, open }: Output, context: Context): Output {
  const flow = (of: Flow): Flow => assignedFlow(of, undefined, context)
  return {
    columns: columns.map((column) => ({ ...column, flow: flow(column.flow) })),
    open: open === undefined ? undefined : flow(open),
  }
}

/** The columns under the names that the function gives them. */
function named(
  output: Output,
  create: Tree,
  parameters: readonly Tree[],
  context: Context,
): Output {
  const names = parameters
    .filter((one) => outModes.has(text(one, 'mode')))
    .map((one) => text(one, 'name'))
  const flows = output.columns.map(({ flow }) => flow)
  if (output.open !== undefined) flows.push(output.open)
  if (names.length > 1 && names.length === output.columns.length && output.open === undefined)
    return {
      columns: output.columns.map(({ flow }, index) => ({
        name: names[index] ?? '',
        flow: failing(flow),
      })),
      open: undefined,
    }
  const type = words(list(at(create, 'returnType') ?? {}, 'names'))
  const relations = type.length > 0 ? context.catalog.named(type) : []
  const [relation] = relations
  if (relations.length === 1 && relation !== undefined) {
    if (relation.columns.length === output.columns.length && output.open === undefined) {
      const columns: ScopeColumn[] = output.columns.map(({ flow }, index) => ({
        name: relation.columns[index]?.name ?? '',
        flow,
      }))
      return { columns, open: undefined }
    }
    return { columns: [], open: derived(flows) }
  }
  const isRow = names.length > 1 || type.at(-1) === 'record' || output.columns.length !== 1
  if (isRow) return { columns: [], open: derived(flows) }
  const name = names[0] ?? ''
  return {
    columns: [
      { name, flow: either(flows.length === 0 ? [clean] : flows), isNameless: name === '' },
    ],
    open: undefined,
  }
}
