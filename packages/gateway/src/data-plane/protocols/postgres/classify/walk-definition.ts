import type { EffectClass, ObjectName } from '@sallyport/core'
import { takeTypes, type DraftStatement } from './draft.ts'
import type { QueryWalker } from './query-walker.ts'
import { objectKind, objectName } from './statement-objects.ts'
import {
  at,
  constantText,
  flag,
  list,
  rangeVarName,
  tagged,
  text,
  words,
  type Tree,
} from './tree.ts'

type DraftOf = (node: Tree) => DraftStatement

/** Object kinds whose removal takes rows along. */
const holdsRows = new Set(['table', 'materialized_view', 'schema', 'foreign_table', 'sequence'])
/** Object kinds that belong to whoever administers the server. */
const adminKinds = new Set([
  'extension',
  'fdw',
  'foreign_server',
  'language',
  'access_method',
  'publication',
  'subscription',
  'tablespace',
])
/** Object kinds that run on their own, or inside other statements, once they exist. */
const persistKinds = new Set([
  'trigger',
  'event_trigger',
  'rule',
  'function',
  'procedure',
  'aggregate',
  'operator',
  'cast',
  'type',
])
/** Functions in any other language can do what the server's account can do; the server asks a superuser for them. */
const trustedLanguages = new Set(['sql', 'plpgsql', 'plperl', 'pltcl', 'plv8'])

function languageOf(body: Tree): string {
  const options = list(body, 'options').map((node) => tagged(node, 'DefElem') ?? {})
  const option = options.find((each) => text(each, 'defname') === 'language')
  // A body of SQL needs no language.
  if (option === undefined) return 'sql'
  return (constantText(at(option, 'arg') ?? {}) ?? '').toLowerCase()
}

/** Names that stand for relations, and so are looked up on the search path. */
const relationKinds = new Set([
  'table',
  'view',
  'materialized_view',
  'index',
  'sequence',
  'foreign_table',
])

/** Statements that define, alter, drop or guard objects, and code. Returns false for all others. */
export function walkDefinition(
  walker: QueryWalker,
  tag: string,
  body: Tree,
  draftOf: DraftOf,
): boolean {
  walker.draft.kind = 'other'
  return (
    walkCreate(walker, tag, body, draftOf) ||
    walkAlter(walker, tag, body) ||
    walkMaintenance(walker, tag, body)
  )
}

function define(walker: QueryWalker, verb: string, kind: string, ...extra: EffectClass[]): void {
  const { draft } = walker
  draft.verb = verb
  draft.objectKind = kind
  draft.ddl = true
  for (const effect of extra) walker.touch(effect, undefined, 'named')
}

/** Adds the effect of making a relation; a temporary one may hide another of its name from then on. */
function created(walker: QueryWalker, rangeVar: Tree | undefined): void {
  const relation = rangeVar ?? {}
  walker.touch('ddl', rangeVarName(relation), 'created')
  if (text(relation, 'relpersistence') === 't') walker.draft.shadowsNames = true
}

function walkCreate(walker: QueryWalker, tag: string, body: Tree, draftOf: DraftOf): boolean {
  switch (tag) {
    case 'CreateForeignTableStmt':
      define(walker, 'create', 'foreign_table', 'admin')
      created(walker, at(at(body, 'base') ?? {}, 'relation'))
      walker.expression(at(body, 'base')?.['tableElts'])
      return true
    case 'CreateStmt':
      define(walker, 'create', 'table')
      created(walker, at(body, 'relation'))
      for (const parent of list(body, 'inhRelations'))
        walker.relation('ddl', tagged(parent, 'RangeVar'))
      walkConstraints(walker, list(body, 'tableElts'))
      walker.expression([body['partspec'], body['partbound']])
      return true
    case 'CreateTableAsStmt': {
      define(walker, 'create', objectKind(text(body, 'objtype')))
      walker.into(at(body, 'into') ?? {})
      const execute = tagged(at(body, 'query'), 'ExecuteStmt')
      if (execute !== undefined) walker.unknown('prepared-statement')
      else walker.query(at(body, 'query'))
      return true
    }
    case 'CreateSchemaStmt':
      define(walker, 'create', 'schema')
      walker.touch(
        'ddl',
        [text(body, 'schemaname') || text(at(body, 'authrole') ?? {}, 'rolename')],
        'named',
      )
      walker.draft.shadowsNames = true
      for (const element of list(body, 'schemaElts')) absorbElement(walker, draftOf(element))
      return true
    case 'ViewStmt':
      define(walker, 'create', 'view')
      created(walker, at(body, 'view'))
      walker.query(at(body, 'query'))
      return true
    case 'IndexStmt':
      define(walker, 'create', 'index')
      walker.relation('ddl', at(body, 'relation'))
      walker.expressionOver(at(body, 'relation'), [body['indexParams'], body['whereClause']])
      return true
    case 'CreateStatsStmt':
      define(walker, 'create', 'statistics')
      for (const relation of list(body, 'relations'))
        walker.relation('ddl', tagged(relation, 'RangeVar'))
      return true
    case 'CreateSeqStmt':
      define(walker, 'create', 'sequence')
      created(walker, at(body, 'sequence'))
      return true
    case 'CreateTrigStmt':
      define(walker, 'create', 'trigger', 'persist')
      walker.relation('ddl', at(body, 'relation'))
      // In its own transaction the trigger runs before any catalog shows it.
      walker.draft.triggerFunctions.push(words(list(body, 'funcname')))
      walker.expressionOver(undefined, body['whenClause'])
      return true
    case 'RuleStmt':
      define(walker, 'create', 'rule', 'persist')
      walker.relation('ddl', at(body, 'relation'))
      for (const action of list(body, 'actions')) absorbElement(walker, draftOf(action))
      return true
    case 'CreateFunctionStmt':
      define(walker, 'create', flag(body, 'is_procedure') ? 'procedure' : 'function', 'persist')
      walker.touch('ddl', words(list(body, 'funcname')), 'named')
      if (!trustedLanguages.has(languageOf(body)))
        for (const effect of ['exec', 'admin'] as const) walker.touch(effect, undefined, 'named')
      // Its definition is added by whoever has the text.
      walker.draft.makesFunctions.push({ name: words(list(body, 'funcname')).at(-1) ?? '' })
      return true
    case 'DefineStmt': {
      const kind = objectKind(text(body, 'kind'))
      define(walker, 'create', kind, ...(kind === 'collation' ? [] : (['persist'] as const)))
      walker.touch('ddl', words(list(body, 'defnames')), 'named')
      if (kind === 'aggregate')
        walker.draft.makesFunctions.push({ name: words(list(body, 'defnames')).at(-1) ?? '' })
      return true
    }
    case 'CreateDomainStmt':
      define(walker, 'create', 'domain', 'persist')
      walker.touch('ddl', words(list(body, 'domainname')), 'named')
      walkConstraints(walker, list(body, 'constraints'))
      return true
    default:
      return false
  }
}

/** A statement inside CREATE SCHEMA or CREATE RULE counts as if it stood alone. */
function absorbElement(walker: QueryWalker, element: DraftStatement): void {
  const { draft } = walker
  draft.touches.push(...element.touches)
  draft.relations.push(...element.relations)
  draft.functions.push(...element.functions)
  takeTypes(draft, element)
  draft.columns.push(...element.columns)
  draft.predicateColumns.push(...element.predicateColumns)
  draft.unbounded ||= element.unbounded
  draft.boundedByNulls.push(...element.boundedByNulls)
  draft.parts.push(...element.parts)
  draft.fileAccess ||= element.fileAccess
  for (const reason of element.opaque) draft.opaque.add(reason)
}

/** Defaults and checks run functions; a foreign key names another table. */
function walkConstraints(walker: QueryWalker, elements: readonly Tree[]): void {
  for (const element of elements) {
    const constraint = tagged(element, 'Constraint')
    const column = tagged(element, 'ColumnDef')
    if (constraint !== undefined) {
      walker.expression([
        constraint['raw_expr'],
        constraint['where_clause'],
        constraint['exclusions'],
      ])
      const other = at(constraint, 'pktable')
      if (other !== undefined) walker.relation('ddl', other)
    } else if (column !== undefined) {
      walker.expression(column['raw_default'])
      walkConstraints(walker, list(column, 'constraints'))
    } else walker.expression(element)
  }
}

function walkAlter(walker: QueryWalker, tag: string, body: Tree): boolean {
  const { draft } = walker
  switch (tag) {
    case 'AlterTableStmt':
      define(walker, 'alter', objectKind(text(body, 'objtype')))
      walker.relation('ddl', at(body, 'relation'))
      for (const node of list(body, 'cmds')) {
        walkAlterCommand(
          walker,
          rangeVarName(at(body, 'relation') ?? {}),
          tagged(node, 'AlterTableCmd') ?? {},
        )
      }
      return true
    case 'AlterSeqStmt':
      define(walker, 'alter', 'sequence')
      walker.relation('ddl', at(body, 'sequence'))
      return true
    case 'AlterDomainStmt':
      define(walker, 'alter', 'domain', 'persist')
      walker.touch('ddl', words(list(body, 'typeName')), 'named')
      walkConstraints(walker, list({ def: [body['def']] }, 'def'))
      return true
    case 'RenameStmt':
    case 'AlterObjectSchemaStmt':
    case 'AlterOwnerStmt':
      alterObject(walker, tag, body)
      return true
    case 'CommentStmt':
      define(walker, 'comment', objectKind(text(body, 'objtype')))
      walker.touch('ddl', objectName(at(body, 'object')), 'named')
      return true
    case 'DropStmt':
      drop(walker, body)
      return true
    case 'CreatePolicyStmt':
    case 'AlterPolicyStmt':
      define(walker, tag === 'CreatePolicyStmt' ? 'create' : 'alter', 'policy', 'grant')
      walker.relation('ddl', at(body, 'table'))
      walker.expressionOver(at(body, 'table'), [body['qual'], body['with_check']])
      return true
    case 'GrantStmt':
      draft.verb = flag(body, 'is_grant') ? 'grant' : 'revoke'
      draft.objectKind = objectKind(text(body, 'objtype'))
      walker.touch('grant', undefined, 'named')
      for (const object of list(body, 'objects')) {
        const relation = tagged(object, 'RangeVar')
        if (relation !== undefined) walker.relation('grant', relation)
        else walker.touch('grant', objectName(object), 'named')
      }
      return true
    default:
      return false
  }
}

/** Names of ALTER TABLE forms that do more than change a definition. */
const guarding = new Set([
  'AT_ChangeOwner',
  'AT_EnableRowSecurity',
  'AT_DisableRowSecurity',
  'AT_ForceRowSecurity',
  'AT_NoForceRowSecurity',
])

const droppedParts: ReadonlyMap<string, string> = new Map([
  ['AT_DropColumn', 'drop column'],
  ['AT_DropConstraint', 'drop constraint'],
])

function walkAlterCommand(walker: QueryWalker, table: ObjectName, command: Tree): void {
  const subtype = text(command, 'subtype')
  if (guarding.has(subtype)) walker.touch('grant', table)
  if (/Trig|Rule/.test(subtype)) walker.touch('persist', table)
  if (subtype === 'AT_DropColumn') walker.touch('delete', table)
  const part = droppedParts.get(subtype)
  if (part !== undefined) walker.draft.parts.push(part)
  const definition = at(command, 'def')
  if (definition === undefined) return
  const partition = tagged(definition, 'PartitionCmd')
  if (partition !== undefined) walker.relation('ddl', at(partition, 'name'))
  // ADD COLUMN and ALTER … TYPE … USING rewrite the table, and call what stands in them.
  else if ('ColumnDef' in definition || 'Constraint' in definition)
    walkConstraints(walker, [definition])
  else if ('RangeVar' in definition) walker.relation('ddl', tagged(definition, 'RangeVar'))
  else if (subtype === 'AT_ColumnDefault' || subtype === 'AT_CookedColumnDefault')
    walker.expression(definition)
}

const functionKinds: ReadonlySet<string> = new Set([
  'function',
  'procedure',
  'routine',
  'aggregate',
])

function alterObject(walker: QueryWalker, tag: string, body: Tree): void {
  const kind = objectKind(
    text(
      body,
      tag === 'RenameStmt'
        ? 'renameType'
        : text(body, 'objectType') === ''
          ? 'objtype'
          : 'objectType',
    ),
  )
  define(walker, 'alter', kind)
  walker.draft.shadowsNames = true
  if (kind === 'role' || tag === 'AlterOwnerStmt') walker.touch('grant', undefined, 'named')
  if (adminKinds.has(kind)) walker.touch('admin', undefined, 'named')
  if (persistKinds.has(kind)) walker.touch('persist', undefined, 'named')
  if (tag === 'RenameStmt' && functionKinds.has(kind))
    walker.draft.makesFunctions.push({ name: text(body, 'newname') })
  const relation = at(body, 'relation')
  if (relation !== undefined) walker.relation('ddl', relation)
  else {
    const name = objectName(at(body, 'object'))
    walker.touch('ddl', name.length > 0 ? name : [text(body, 'subname')], 'named')
  }
}

function drop(walker: QueryWalker, body: Tree): void {
  const kind = objectKind(text(body, 'removeType'))
  define(walker, 'drop', kind)
  walker.draft.shadowsNames = true
  if (adminKinds.has(kind)) walker.touch('admin', undefined, 'named')
  if (kind === 'policy') walker.touch('grant', undefined, 'named')
  // CASCADE takes objects along that only the target knows.
  if (text(body, 'behavior') === 'DROP_CASCADE') walker.touch('ddl', undefined, 'relation')
  for (const object of list(body, 'objects')) {
    const name = objectName(object)
    const how = relationKinds.has(kind) ? 'relation' : 'named'
    // A trigger, rule or policy is named behind its table.
    const onTable = ['trigger', 'rule', 'policy'].includes(kind)
    if (onTable) walker.touch('ddl', name.slice(0, -1), 'relation')
    else walker.touch('ddl', name, how)
    if (how === 'relation') walker.draft.relations.push(name)
    if (holdsRows.has(kind)) walker.touch('delete', name, how)
  }
}

function walkMaintenance(walker: QueryWalker, tag: string, body: Tree): boolean {
  const { draft } = walker
  switch (tag) {
    case 'VacuumStmt': {
      draft.verb = flag(body, 'is_vacuumcmd') ? 'vacuum' : 'analyze'
      const relations = list(body, 'rels').map((node) =>
        at(tagged(node, 'VacuumRelation') ?? {}, 'relation'),
      )
      for (const relation of relations) walker.relation('write', relation, 'maintain')
      if (relations.length === 0) walker.touch('write', undefined, 'relation')
      return true
    }
    case 'ClusterStmt':
    case 'ReindexStmt':
    case 'RefreshMatViewStmt': {
      const verbs: Record<string, string> = {
        ClusterStmt: 'cluster',
        ReindexStmt: 'reindex',
        RefreshMatViewStmt: 'refresh',
      }
      draft.verb = verbs[tag] ?? ''
      // A refresh runs the query of the view.
      walker.relation(
        'write',
        at(body, 'relation'),
        tag === 'RefreshMatViewStmt' ? 'select' : 'maintain',
      )
      if (at(body, 'relation') === undefined) walker.touch('write', undefined, 'relation')
      return true
    }
    case 'DoStmt':
      draft.verb = 'do'
      // What stands in the block is added by whoever has the parser.
      walker.touch('read', undefined, 'named')
      return true
    case 'CallStmt': {
      draft.verb = 'call'
      draft.returnsRows = true
      const call = at(body, 'funccall')
      walker.expression(call === undefined ? undefined : { FuncCall: call })
      walker.touch('read', undefined, 'named')
      return true
    }
    default:
      return false
  }
}
