import { at, flag, list, text, unwrap, words, type Tree } from '../classify/tree.ts'
import { callOutput } from './call-rules.ts'
import { nowhere, type Context, type Output } from './context.ts'
import { definitionRules } from './definition-rules.ts'
import { derived, either, isTainted, type Flow } from './flow.ts'
import { relationItem } from './from-rules.ts'
import { isQuery } from './query-rules.ts'
import { columnOf } from './scope.ts'
import { codeBehindWrites } from './trigger-rules.ts'
import { constraintsOn } from './write-rules.ts'
import { flowsOf } from './outputs.ts'

/** What a statement of one kind returns. What it does with masked columns beside is added to the facts. */
export type StatementRule = (body: Tree, context: Context) => Output

const noRows: Output = { columns: [], open: undefined }

const statementRules: Readonly<Record<string, StatementRule>> = {
  CopyStmt: copyOutput,
  ExplainStmt: explainOutput,
  DeclareCursorStmt: declareOutput,
  // What is prepared does nothing until it is executed.
  PrepareStmt: () => noRows,
  CallStmt: callStatement,
  ExecuteStmt: (body, context) => {
    const flows = list(body, 'params').map((node) => context.expression(node, nowhere))
    context.facts.launder(derived(flows), 'a parameter of a prepared statement')
    return noRows
  },
  // The setting's value is the caller's own, or the server's; moving a masked one there is refused.
  VariableShowStmt: () => noRows,
  ...definitionRules,
}

/** Statements that neither read nor move what relations hold, so that masks have nothing to do with them. */
const indifferent = new Set(
  `TransactionStmt VariableSetStmt DiscardStmt ListenStmt UnlistenStmt NotifyStmt DeallocateStmt ClosePortalStmt LockStmt
   TruncateStmt VacuumStmt ReindexStmt ClusterStmt CheckPointStmt CommentStmt SecLabelStmt GrantStmt GrantRoleStmt DropStmt
   DropOwnedStmt ReassignOwnedStmt DropRoleStmt DropdbStmt DropTableSpaceStmt DropUserMappingStmt DropSubscriptionStmt
   CreateSchemaStmt CreateSeqStmt AlterSeqStmt CreateRoleStmt AlterRoleStmt AlterRoleSetStmt CreatedbStmt AlterDatabaseStmt
   AlterDatabaseSetStmt AlterDatabaseRefreshCollStmt CreateTableSpaceStmt AlterTableSpaceOptionsStmt    CompositeTypeStmt CreateEnumStmt AlterEnumStmt CreateRangeStmt AlterTypeStmt DefineStmt CreateCastStmt
   CreateConversionStmt CreateTransformStmt CreateOpClassStmt CreateOpFamilyStmt AlterOpFamilyStmt AlterOperatorStmt
   AlterFunctionStmt AlterOwnerStmt AlterObjectDependsStmt AlterDefaultPrivilegesStmt AlterPolicyStmt
   AlterExtensionStmt AlterExtensionContentsStmt CreateExtensionStmt CreatePLangStmt CreateAmStmt CreateStatsStmt
   AlterStatsStmt AlterCollationStmt AlterTSDictionaryStmt AlterTSConfigurationStmt ConstraintsSetStmt RefreshMatViewStmt
   FetchStmt AlterEventTrigStmt`.split(/\s+/),
)

/** What a whole statement returns. One that is not known may return and move anything. */
export function statementOutput(node: Tree, context: Context): Output {
  const { tag, body } = unwrap(node) ?? { tag: '', body: {} }
  if (isQuery(tag)) {
    const output = context.query(node, nowhere)
    const into = tag === 'SelectStmt' ? at(body, 'intoClause') : undefined
    if (into === undefined) return output
    moveInto(output, 'a new table', context)
    return noRows
  }
  const rule = statementRules[tag]
  if (rule !== undefined) return rule(body, context)
  if (indifferent.has(tag)) return noRows
  context.facts.unresolved.add(tag)
  context.facts.launder(context.masks.anything, `what ${tag} does`)
  return { columns: [], open: context.masks.anything }
}

/** The values of a query go to where no mask names them. */
export function moveInto(output: Output, where: string, context: Context): void {
  context.facts.launder(derived(flowsOf(output)), where)
}

/** COPY reads a table or a query, or writes a table from what the caller sends. */
function copyOutput(body: Tree, context: Context): Output {
  const isFrom = flag(body, 'is_from')
  const isOutside = body['filename'] !== undefined
  const output = copiedOutput(body, context)
  if (isFrom) {
    if (isOutside) context.facts.sideDoors.add('COPY from a file or program')
    const relation = at(body, 'relation') ?? {}
    const name = [text(relation, 'schemaname'), text(relation, 'relname')].filter(
      (part) => part !== '',
    )
    const columns = words(list(body, 'attlist'))
    const assigned = columns.length === 0 ? 'all' : new Set(columns)
    constraintsOn(context.catalog.named(name), assigned, false, context)
    codeBehindWrites(context.catalog.named(name), ['insert'], 'all', context)
    return noRows
  }
  if (isOutside) {
    moveInto(output, 'a file or program at the target', context)
    return noRows
  }
  return output
}

function copiedOutput(body: Tree, context: Context): Output {
  const query = at(body, 'query')
  if (query !== undefined) return context.query(query, nowhere)
  const item = relationItem(at(body, 'relation') ?? {}, nowhere, context)
  const names = words(list(body, 'attlist'))
  if (names.length === 0) return { columns: item.columns, open: item.open }
  const columns = names.map(
    (name) => columnOf(item, name) ?? { name, flow: context.masks.anything },
  )
  return { columns, open: undefined }
}

/** The plan quotes the statement, estimates from what columns hold, and values that the planner has computed. */
function explainOutput(body: Tree, context: Context): Output {
  const inner = at(body, 'query') ?? {}
  const output = statementOutput(inner, context)
  const { facts } = context
  if (!context.isOn('explain')) return noRows
  const decided = facts.influences.map(({ flow }) => flow)
  const read = derived([...flowsOf(output), ...decided, facts.planned])
  facts.influence('rows', read, "a plan's estimates")
  const quoted = facts.unresolved.size > 0 ? context.masks.anything : either([])
  return { columns: [{ name: 'QUERY PLAN', flow: quoted }], open: undefined }
}

/** A cursor's query is judged when it is declared; FETCH returns its columns. */
function declareOutput(body: Tree, context: Context): Output {
  context.query(at(body, 'query') ?? {}, nowhere)
  return noRows
}

function callStatement(body: Tree, context: Context): Output {
  const call = at(body, 'funccall') ?? {}
  const output = callOutput(call, nowhere, context)
  const flow: Flow = derived(flowsOf(output))
  if (isTainted(flow))
    context.facts.launder(flow, `the procedure ${words(list(call, 'funcname')).join('.')}`)
  return { columns: [], open: flow }
}
