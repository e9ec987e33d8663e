import { at, list, rangeVarName, tagged, text, unwrap, words, type Tree } from '../classify/tree.ts'
import { assignedFlow } from './cast-rules.ts'
import { nowhere, type Context, type Output } from './context.ts'
import { columnFlow, derived, isTainted, type Flow } from './flow.ts'
import { relationItem } from './from-rules.ts'
import { codeReach } from './code-words.ts'
import { isNullVisible } from './guards.ts'
import { flowsOf } from './outputs.ts'

type Rule = (body: Tree, context: Context) => Output

const noRows: Output = { columns: [], open: undefined }

/**
 * Statements that define something. A mask goes with the names of columns: whoever may not see a value must not take it to
 * another name, nor leave code behind that does.
 */
export const definitionRules: Readonly<Record<string, Rule>> = {
  CreateTableAsStmt: (body, context) => {
    const query = at(body, 'query') ?? {}
    if (unwrap(query)?.tag === 'ExecuteStmt') {
      context.facts.launder(context.masks.anything, 'a new table')
      context.facts.unresolved.add('CREATE TABLE AS EXECUTE')
      return noRows
    }
    return moved(context.query(query, nowhere), 'a new table', context)
  },
  ViewStmt: (body, context) =>
    moved(context.query(at(body, 'query') ?? {}, nowhere), 'a new view', context),
  RuleStmt: (body, context) => leavesCode(at(body, 'relation'), 'a rule', context),
  CreateTrigStmt: (body, context) => {
    const name = words(list(body, 'funcname'))
    const bare = name.at(-1) ?? ''
    const own = context.catalog.functionsNamed(bare)
    if (own.length === 0 && bare === 'suppress_redundant_updates_trigger') return noRows
    if (own.length > 0 && own.every((fn) => fn.isTrusted)) return noRows
    return leavesCode(at(body, 'relation'), 'a trigger', context)
  },
  CreateEventTrigStmt: (_body, context) => leavesCode(undefined, 'an event trigger', context),
  DoStmt: (_body, context) => leavesCode(undefined, 'a DO block', context),
  CreateFunctionStmt: functionBody,
  CreateStmt: (body, context) => {
    for (const node of list(body, 'tableElts')) {
      const column = tagged(node, 'ColumnDef')
      if (column !== undefined) addedColumn(undefined, column, context)
    }
    return noRows
  },
  CreateDomainStmt: (body, context) => {
    addedColumn(undefined, body, context)
    return noRows
  },
  AlterDomainStmt: (body, context) => {
    if (text(body, 'subtype') === 'T')
      defaultMoves(at(body, 'def'), 'the default of a domain', context)
    return noRows
  },
  CreatePolicyStmt: (body, context) => {
    const table = at(body, 'table')
    for (const field of ['qual', 'with_check']) {
      const flow = over(table, at(body, field), context)
      context.facts.influence('filter', flow, 'a row policy')
    }
    return noRows
  },
  IndexStmt: (body, context) => {
    const relation = at(body, 'relation')
    const keys = list(body, 'indexParams').map((node) => tagged(node, 'IndexElem') ?? {})
    const flows = keys.map((key) => over(relation, at(key, 'expr') ?? columnRef(key), context))
    flows.push(over(relation, at(body, 'whereClause'), context))
    // To build one on plain columns tells nothing but where it must be unique.
    const isTelling = body['unique'] === true || keys.some((key) => at(key, 'expr') !== undefined)
    if (isTelling || body['whereClause'] !== undefined)
      context.facts.influence('constraint', derived(flows), 'an index')
    return noRows
  },
  AlterTableStmt: alterTable,
  RenameStmt: (body, context) => {
    if (text(body, 'renameType') !== 'OBJECT_SCHEMA')
      return renames(at(body, 'relation'), 'a rename', context)
    const inside = context.masks.all.filter(({ name }) => name[0] === text(body, 'subname'))
    context.facts.launder(derived(inside.map(columnFlow)), 'a schema of another name')
    return noRows
  },
  AlterObjectSchemaStmt: (body, context) =>
    renames(at(body, 'relation'), 'a move to another schema', context),
  CreateForeignTableStmt: (_body, context) => door('a foreign table', context),
  CreateForeignServerStmt: (_body, context) => door('a foreign server', context),
  AlterForeignServerStmt: (_body, context) => door('a foreign server', context),
  CreateFdwStmt: (_body, context) => door('a foreign data wrapper', context),
  AlterFdwStmt: (_body, context) => door('a foreign data wrapper', context),
  ImportForeignSchemaStmt: (_body, context) => door('a foreign schema', context),
  CreateUserMappingStmt: (_body, context) => door('a user mapping', context),
  AlterUserMappingStmt: (_body, context) => door('a user mapping', context),
  CreatePublicationStmt: (_body, context) => door('a publication', context),
  AlterPublicationStmt: (_body, context) => door('a publication', context),
  CreateSubscriptionStmt: (_body, context) => door('a subscription', context),
  AlterSubscriptionStmt: (_body, context) => door('a subscription', context),
  AlterSystemStmt: (_body, context) => door('a setting of the server', context),
  LoadStmt: (_body, context) => door('a library', context),
}

function door(what: string, context: Context): Output {
  if (context.isOn('door')) context.facts.sideDoors.add(what)
  return noRows
}

function moved(output: Output, where: string, context: Context): Output {
  if (context.isOn('write')) context.facts.launder(derived(flowsOf(output)), where)
  return noRows
}

/** Code that runs later, and as somebody else, may move any value anywhere. */
function leavesCode(relation: Tree | undefined, what: string, context: Context): Output {
  const on = relation === undefined ? '' : ` on ${rangeVarName(relation).join('.')}`
  if (context.isOn('write')) context.facts.launder(context.masks.anything, `${what}${on}`)
  return noRows
}

function renames(relation: Tree | undefined, what: string, context: Context): Output {
  if (relation === undefined || !context.isOn('write')) return noRows
  context.facts.launder(rowOf(relation, context), `${what} of ${rangeVarName(relation).join('.')}`)
  return noRows
}

function rowOf(relation: Tree, context: Context): Flow {
  const { columns, open } = relationItem(relation, nowhere, context)
  return derived(flowsOf({ columns, open }))
}

/** An expression over the columns of one relation. */
function over(relation: Tree | undefined, node: Tree | undefined, context: Context): Flow {
  if (node === undefined) return derived([])
  if (relation === undefined) return context.expression(node, nowhere)
  const item = relationItem(relation, nowhere, context)
  const scope = { items: [item], columns: item.columns, open: item.open, outer: undefined }
  return context.expression(node, { ...nowhere, scope })
}

function columnRef(key: Tree): Tree {
  return { ColumnRef: { fields: [{ String: { sval: text(key, 'name') } }] } }
}

/** Changes of a table that leave its columns' names, and so their masks, where they are. */
const harmlessChanges = new Set(
  `AT_DropNotNull AT_SetStatistics AT_SetOptions AT_ResetOptions AT_SetStorage
   AT_SetCompression AT_DropColumn AT_DropConstraint AT_ChangeOwner AT_ClusterOn AT_DropCluster AT_SetLogged AT_SetUnLogged
   AT_SetAccessMethod AT_SetTableSpace AT_SetRelOptions AT_ResetRelOptions AT_ReplicaIdentity AT_EnableRowSecurity
   AT_DisableRowSecurity AT_ForceRowSecurity AT_NoForceRowSecurity AT_AddIdentity AT_SetIdentity AT_DropIdentity
   AT_DropExpression AT_AlterConstraint AT_ValidateConstraint AT_DropOf AT_AddIndex`.split(/\s+/),
)

function alterTable(body: Tree, context: Context): Output {
  const relation = at(body, 'relation') ?? {}
  for (const node of list(body, 'cmds')) {
    const command = tagged(node, 'AlterTableCmd') ?? {}
    const kind = text(command, 'subtype')
    const definition = at(command, 'def')
    if (kind === 'AT_AddColumn')
      addedColumn(relation, tagged(definition, 'ColumnDef') ?? {}, context)
    else if (kind === 'AT_AddConstraint') {
      const flow = constraintFlow(relation, tagged(definition, 'Constraint') ?? {}, context)
      context.facts.influence('constraint', flow, 'a constraint that is added')
    } else if (kind === 'AT_ColumnDefault') {
      defaultMoves(definition, `the default of ${text(command, 'name')}`, context)
    } else if (kind === 'AT_SetNotNull') {
      const flow = over(relation, columnRef(command), context)
      if (!isNullVisible(flow))
        context.facts.influence('constraint', flow, 'whether a column has no NULL')
    } else if (kind === 'AT_AttachPartition') {
      // Its rows can be read through a table that has other masks.
      const part = at(tagged(definition, 'PartitionCmd') ?? {}, 'name')
      renames(part, 'a partition', context)
    } else if (!harmlessChanges.has(kind)) {
      const using = over(
        relation,
        at(tagged(definition, 'ColumnDef') ?? {}, 'raw_default'),
        context,
      )
      const filled = assignedFlow(using, undefined, context)
      if (context.isOn('write')) context.facts.launder(filled, 'what a column is filled with')
      const row = rowOf(relation, context)
      if (isTainted(row) && context.isOn('write'))
        context.facts.launder(row, `${kind} of ${rangeVarName(relation).join('.')}`)
    }
  }
  return noRows
}

/** A generated column shows what it is made of under a name of its own. */
function addedColumn(relation: Tree | undefined, column: Tree, context: Context): void {
  for (const node of list(column, 'constraints')) {
    const constraint = tagged(node, 'Constraint') ?? {}
    const flow = over(relation, at(constraint, 'raw_expr'), context)
    const kind = text(constraint, 'contype')
    if (kind === 'CONSTR_GENERATED' || kind === 'CONSTR_DEFAULT') {
      if (context.isOn('write'))
        context.facts.launder(flow, `what fills the column ${text(column, 'colname')}`)
    } else context.facts.influence('constraint', flow, 'a check that is added')
  }
}

/** What a column is filled with where a statement gives nothing. */
function defaultMoves(node: Tree | undefined, what: string, context: Context): void {
  const flow = context.expression(node, nowhere)
  if (context.isOn('write')) context.facts.launder(flow, what)
}

/** The body of a function that is made: it runs later, for whoever calls it. */
function functionBody(body: Tree, context: Context): Output {
  const options = list(body, 'options').map((node) => tagged(node, 'DefElem') ?? {})
  const argument = (name: string): Tree =>
    at(options.find((option) => text(option, 'defname') === name) ?? {}, 'arg') ?? {}
  const language = text(at(argument('language'), 'String') ?? {}, 'sval').toLowerCase()
  const name = words(list(body, 'funcname')).join('.')
  const isSql = language === 'sql' || body['sql_body'] !== undefined
  const [source = ''] = words(list(at(argument('as'), 'List') ?? {}, 'items'))
  if (isSql) {
    const output = context.madeFunction(body)
    if (output === undefined) return leavesCode(undefined, `the function ${name}`, context)
    return moved(output, `the function ${name}`, context)
  }
  const reach = language === 'plpgsql' ? codeReach(source, context) : undefined
  if (reach === undefined) return leavesCode(undefined, `the function ${name}`, context)
  if (context.isOn('write')) context.facts.launder(reach.flow, `the function ${name}`)
  return noRows
}

function constraintFlow(relation: Tree, constraint: Tree, context: Context): Flow {
  const names = [...words(list(constraint, 'keys')), ...words(list(constraint, 'fk_attrs'))]
  const columns = names.map((name) => over(relation, columnRef({ name }), context))
  const pktable = at(constraint, 'pktable')
  const referenced = words(list(constraint, 'pk_attrs')).map((name) =>
    over(pktable, columnRef({ name }), context),
  )
  const excluded = list(constraint, 'exclusions').flatMap((node) => {
    const [key] = list(tagged(node, 'List') ?? {}, 'items')
    const element = tagged(key, 'IndexElem') ?? {}
    return [over(relation, at(element, 'expr') ?? columnRef(element), context)]
  })
  const expression = over(relation, at(constraint, 'raw_expr'), context)
  return derived([...columns, ...referenced, ...excluded, expression])
}
