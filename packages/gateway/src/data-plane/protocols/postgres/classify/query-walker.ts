import type { EffectClass, ObjectName } from '@sallyport/core'
import type { ColumnUse, DraftStatement } from './draft.ts'
import { asksNothingOf, keepsEveryRow, keepsEveryRowWithout } from './row-condition.ts'
import { settingEffect } from './settings.ts'
import type { RowEvent } from './stored-code.ts'
import {
  at,
  constantText,
  flag,
  isTree,
  list,
  rangeVarName,
  tagged,
  text,
  unwrap,
  words,
  type Tree,
} from './tree.ts'

/** Names that one query level can see. */
interface Scope {
  readonly outer: Scope | undefined
  /** Alias or relation name to relation; undefined for subqueries, functions and CTEs. */
  readonly aliases: Map<string, ObjectName | undefined>
  readonly ctes: Set<string>
}

/** Whether a value reaches the answer, or only decides about it. */
type Use = 'result' | 'predicate'

/** Expression nodes whose only effect is that of their children. Any node outside this list and the cases below is unknown. */
const transparent = new Set(
  `A_Const Alias ParamRef A_Star A_Indices A_Indirection A_ArrayExpr ResTarget MultiAssignRef WindowDef BoolExpr
   TypeCast TypeName CollateClause NamedArgExpr CaseExpr CaseWhen ArrayExpr RowExpr CoalesceExpr MinMaxExpr
   SQLValueFunction XmlExpr XmlSerialize JsonFormat JsonReturning JsonValueExpr JsonIsPredicate JsonBehavior JsonOutput
   JsonArgument JsonFuncExpr JsonTablePathSpec JsonTable JsonTableColumn JsonKeyValue JsonParseExpr JsonScalarExpr
   JsonSerializeExpr JsonObjectConstructor JsonArrayConstructor JsonArrayQueryConstructor JsonAggConstructor
   JsonObjectAgg JsonArrayAgg NullTest BooleanTest MergeSupportFunc GroupingFunc GroupingSet SetToDefault
   CurrentOfExpr RangeSubselect RangeFunction RangeTableFunc RangeTableFuncCol RangeTableSample JoinExpr
   SortBy IndexElem InferClause String Integer Float Boolean BitString List ColumnDef Constraint DefElem SubLink
   PartitionSpec PartitionElem PartitionBoundSpec PartitionRangeDatum TableLikeClause ReturningOption`.split(
    /\s+/,
  ),
)

const comparisons = ['=', '<>', '<', '<=', '>', '>=']

/** Walks queries and expressions of one statement and adds what they do to its draft. */
export class QueryWalker {
  readonly draft: DraftStatement

  constructor(draft: DraftStatement) {
    this.draft = draft
  }

  touch(
    effect: EffectClass,
    object?: ObjectName,
    kind: 'relation' | 'created' | 'named' = 'relation',
  ): void {
    this.draft.touches.push(object === undefined ? { effect, kind } : { effect, object, kind })
  }

  unknown(reason: string): void {
    this.draft.opaque.add(reason)
    this.touch('unknown', undefined, 'named')
  }

  relation(effect: EffectClass, rangeVar: Tree | undefined, event?: RowEvent): void {
    if (rangeVar === undefined) return
    const name = rangeVarName(rangeVar)
    this.draft.relations.push(name)
    this.event(effect, name, event ?? (effect === 'read' ? 'select' : undefined))
  }

  /** An effect on the rows of a relation, with what the target's own code may wait for. */
  event(effect: EffectClass, object: ObjectName, event: RowEvent | undefined): void {
    this.draft.touches.push({
      effect,
      object,
      kind: 'relation',
      ...(event === undefined ? {} : { event }),
    })
  }

  /** Any query: SELECT, VALUES, or a changing statement, as they stand in CTEs, COPY and elsewhere. */
  query(node: Tree | undefined, use: Use = 'result', outer?: Scope): void {
    const inner = node && unwrap(node)
    if (inner === undefined) return
    const { tag, body } = inner
    if (tag === 'SelectStmt') this.select(body, use, outer)
    else if (tag === 'InsertStmt') this.#insert(body, outer)
    else if (tag === 'UpdateStmt' || tag === 'DeleteStmt') this.#change(tag, body, outer)
    else if (tag === 'MergeStmt') this.#merge(body, outer)
    else this.unknown('unparsed-node')
  }

  select(body: Tree, use: Use, outer?: Scope): void {
    // DISTINCT, GROUP BY, USING, CASE and set operations compare without writing the sign.
    for (const sign of comparisons) this.draft.operators.add(sign)
    const scope = this.#scope(body, outer)
    // UNION chains lean to the left and may be long.
    for (const side of ['larg', 'rarg']) {
      const part = at(body, side)
      if (part !== undefined) this.select(part, use, scope)
    }
    const into = at(body, 'intoClause')
    if (into !== undefined) this.into(into)
    this.#from(list(body, 'fromClause'), scope)
    this.#all(list(body, 'targetList'), use, scope)
    this.#all(body['valuesLists'], use, scope)
    for (const field of [
      'whereClause',
      'groupClause',
      'havingClause',
      'windowClause',
      'sortClause',
      'distinctClause',
    ]) {
      this.#all(body[field], 'predicate', scope)
    }
    this.#all([body['limitCount'], body['limitOffset']], 'predicate', scope)
    if (body['whereClause'] !== undefined) this.draft.hasWhere = true
    if (list(body, 'lockingClause').length > 0) this.#lock(list(body, 'lockingClause'), scope)
  }

  /** SELECT INTO and CREATE TABLE AS make a table and fill it. */
  into(into: Tree): void {
    const name = rangeVarName(at(into, 'rel') ?? {})
    this.touch('ddl', name, 'created')
    this.touch('write', name, 'created')
    this.draft.ddl = true
    this.draft.objectKind ||= 'table'
    if (text(at(into, 'rel') ?? {}, 'relpersistence') === 't') this.draft.shadowsNames = true
  }

  /** An expression outside of any query: a default, a parameter, an option. */
  expression(value: unknown): void {
    this.#all(value, 'predicate', makeScope(undefined))
  }

  /** An expression over the columns of one relation: an index, a policy, a trigger's condition. */
  expressionOver(relation: Tree | undefined, value: unknown): void {
    const scope = makeScope(undefined)
    if (relation !== undefined) addRelation(scope, relation)
    this.#all(value, 'predicate', scope)
  }

  /** Row locks hold up writers, so a grant to read does not cover them. */
  #lock(clauses: readonly Tree[], scope: Scope): void {
    const named = clauses.flatMap((clause) =>
      list(tagged(clause, 'LockingClause') ?? {}, 'lockedRels'),
    )
    const names = named.flatMap((node) => {
      const name = text(tagged(node, 'RangeVar') ?? {}, 'relname')
      const relation = scope.aliases.get(name)
      return relation === undefined ? [] : [relation]
    })
    const locked = named.length > 0 ? names : [...scope.aliases.values()]
    if (!locked.some((relation) => relation !== undefined)) this.touch('write', undefined, 'named')
    for (const relation of locked) if (relation !== undefined) this.touch('write', relation)
  }

  #insert(body: Tree, outer: Scope | undefined): void {
    const scope = this.#scope(body, outer)
    this.relation('write', at(body, 'relation'), 'insert')
    this.query(at(body, 'selectStmt'), 'result', scope)
    addRelation(scope, at(body, 'relation') ?? {})
    this.#all(body['cols'], 'predicate', scope)
    const conflict = at(body, 'onConflictClause')
    if (conflict !== undefined) {
      scope.aliases.set('excluded', undefined)
      this.event('write', rangeVarName(at(body, 'relation') ?? {}), 'update')
      for (const field of ['infer', 'targetList', 'whereClause'])
        this.#all(conflict[field], 'predicate', scope)
    }
    this.#returning(body, scope)
  }

  #change(tag: string, body: Tree, outer: Scope | undefined): void {
    const scope = this.#scope(body, outer)
    const where = at(body, 'whereClause')
    const isDelete = tag === 'DeleteStmt'
    this.relation(
      isDelete ? 'delete' : 'write',
      at(body, 'relation'),
      isDelete ? 'delete' : 'update',
    )
    addRelation(scope, at(body, 'relation') ?? {})
    this.#from([...list(body, 'fromClause'), ...list(body, 'usingClause')], scope)
    this.#all(body['targetList'], 'predicate', scope)
    this.#all(where, 'predicate', scope)
    if (where !== undefined) this.draft.hasWhere = true
    if (keepsEveryRow(where) || asksNothingOf(at(body, 'relation'), where))
      this.draft.unbounded = true
    else this.#boundedByNulls(at(body, 'relation') ?? {}, where)
    this.#returning(body, scope)
  }

  #boundedByNulls(target: Tree, where: Tree | undefined): void {
    const relation = rangeVarName(target)
    const alias = text(at(target, 'alias') ?? {}, 'aliasname') || (relation.at(-1) ?? '')
    const asked = keepsEveryRowWithout(where)
    // A column of another relation says nothing of the rows that change.
    const isOwn = asked?.every((name) => name.length === 1 || name.at(-2) === alias)
    if (asked === undefined || isOwn !== true) return
    const columns = asked.map((name) => name.at(-1) ?? '')
    this.draft.boundedByNulls.push({ relation, columns })
  }

  #merge(body: Tree, outer: Scope | undefined): void {
    const scope = this.#scope(body, outer)
    const target = at(body, 'relation')
    this.relation('write', target)
    addRelation(scope, target ?? {})
    const source = at(body, 'sourceRelation')
    this.#from(source === undefined ? [] : [source], scope)
    this.#all(body['joinCondition'], 'predicate', scope)
    for (const node of list(body, 'mergeWhenClauses')) {
      const clause = tagged(node, 'MergeWhenClause') ?? {}
      const command = text(clause, 'commandType')
      const name = rangeVarName(target ?? {})
      if (command === 'CMD_DELETE') this.event('delete', name, 'delete')
      if (command === 'CMD_UPDATE') this.event('write', name, 'update')
      if (command === 'CMD_INSERT') this.event('write', name, 'insert')
      const everyRow =
        keepsEveryRow(at(body, 'joinCondition')) ||
        asksNothingOf(target, at(body, 'joinCondition')) ||
        text(clause, 'matchKind').endsWith('BY_SOURCE')
      if (
        command !== 'CMD_INSERT' &&
        command !== 'CMD_NOTHING' &&
        everyRow &&
        keepsEveryRow(at(clause, 'condition'))
      ) {
        this.draft.unbounded = true
      }
      for (const field of ['condition', 'targetList', 'values'])
        this.#all(clause[field], 'predicate', scope)
    }
    this.#returning(body, scope)
  }

  #returning(body: Tree, scope: Scope): void {
    const exprs = list(at(body, 'returningClause') ?? {}, 'exprs')
    if (exprs.length === 0) return
    this.event('read', rangeVarName(at(body, 'relation') ?? {}), 'select')
    for (const name of ['old', 'new'])
      scope.aliases.set(name, rangeVarName(at(body, 'relation') ?? {}))
    this.#all(exprs, 'result', scope)
  }

  #scope(body: Tree, outer: Scope | undefined): Scope {
    const scope = makeScope(outer)
    const clause = at(body, 'withClause')
    if (clause === undefined) return scope
    const ctes = list(clause, 'ctes').map((node) => tagged(node, 'CommonTableExpr') ?? {})
    if (flag(clause, 'recursive')) for (const cte of ctes) scope.ctes.add(text(cte, 'ctename'))
    for (const cte of ctes) {
      this.query(at(cte, 'ctequery'), 'result', scope)
      scope.ctes.add(text(cte, 'ctename'))
    }
    return scope
  }

  #from(items: readonly Tree[], scope: Scope): void {
    // Relations first, so that columns in join conditions find all of them.
    for (const item of items) this.#alias(item, scope)
    this.#all(items, 'predicate', scope)
  }

  #alias(item: Tree, scope: Scope): void {
    const inner = unwrap(item)
    if (inner === undefined) return
    const { tag, body } = inner
    if (tag === 'RangeVar') addRelation(scope, body)
    else if (tag === 'JoinExpr')
      for (const side of ['larg', 'rarg']) this.#alias(at(body, side) ?? {}, scope)
    else if (tag === 'RangeTableSample') this.#alias(at(body, 'relation') ?? {}, scope)
    const alias = text(at(body, 'alias') ?? {}, 'aliasname')
    if (alias !== '' && tag !== 'RangeVar') scope.aliases.set(alias, undefined)
  }

  /** Walks a field of any shape: nodes, lists of them, and structs without a tag. */
  #all(value: unknown, use: Use, scope: Scope): void {
    if (Array.isArray(value)) for (const one of value) this.#all(one, use, scope)
    else if (isTree(value)) this.#struct(value, use, scope)
  }

  #struct(value: Tree, use: Use, scope: Scope): void {
    const inner = unwrap(value)
    if (inner !== undefined) this.#node(inner.tag, inner.body, use, scope)
    // The only struct without a tag that names a relation is a RangeVar: `LIKE t` in a table definition.
    else if (typeof value['relname'] === 'string') this.relation('read', value)
    else for (const field of Object.values(value)) this.#all(field, use, scope)
  }

  #node(tag: string, body: Tree, use: Use, scope: Scope): void {
    switch (tag) {
      case 'SelectStmt':
        return this.select(body, use, scope)
      case 'RangeVar': {
        if (isCte(body, scope)) return
        this.relation('read', body)
        if (list(at(body, 'alias') ?? {}, 'colnames').length > 0)
          this.#everyColumn([rangeVarName(body)])
        return
      }
      case 'RangeSubselect':
        return this.query(at(body, 'subquery'), 'result', scope)
      case 'ColumnRef':
        return this.#column(list(body, 'fields'), use, scope)
      case 'FuncCall':
        return this.#call(body, use, scope)
      case 'JoinExpr':
        for (const column of list(body, 'usingClause')) this.#column([column], 'predicate', scope)
        if (flag(body, 'isNatural')) this.#everyColumn(relationsFor([], scope))
        return this.#all([body['larg'], body['rarg'], body['quals']], use, scope)
      case 'A_Indirection':
        // `(row).f` may call f(row), as `t.f` may.
        for (const name of words(list(body, 'indirection'))) this.draft.functions.push(['', name])
        return this.#all([body['arg'], body['indirection']], use, scope)
      case 'A_Expr':
        this.#operator(words(list(body, 'name')))
        return this.#all([body['lexpr'], body['rexpr']], use, scope)
      case 'SubLink':
      case 'SortBy':
        for (const field of ['operName', 'useOp']) this.#operator(words(list(body, field)))
        return this.#fields(body, use, scope)
      case 'TypeCast':
        this.draft.types.add(words(list(at(body, 'typeName') ?? {}, 'names')).at(-1) ?? '')
        return this.#fields(body, use, scope)
      case 'RangeTableSample':
        if (!/^(pg_catalog\.)?(bernoulli|system)$/i.test(words(list(body, 'method')).join('.')))
          this.unknown('unknown-function')
        return this.#all([body['relation'], body['args'], body['repeatable']], use, scope)
      default:
        if (!transparent.has(tag)) this.unknown('unparsed-node')
        if (tag === 'ParamRef') this.draft.hasParameters = true
        this.#fields(body, use, scope)
    }
  }

  #fields(body: Tree, use: Use, scope: Scope): void {
    for (const field of Object.values(body)) this.#all(field, use, scope)
  }

  #operator(name: readonly string[]): void {
    const sign = name.at(-1)
    if (sign === undefined || name[0] === 'pg_catalog') return
    this.draft.operators.add(sign)
    if (name.length > 1) this.draft.operators.add(name.join('.'))
  }

  /** Where columns go by names that are not theirs, any of them may be meant. */
  #everyColumn(relations: readonly ObjectName[]): void {
    this.draft.columns.push({ relations, column: '*' })
    this.draft.predicateColumns.push({ relations, column: '*' })
  }

  #column(fields: readonly Tree[], use: Use, scope: Scope): void {
    const names = words(fields)
    const star = fields.some((field) => 'A_Star' in field)
    const column = star ? '*' : (names.at(-1) ?? '')
    const qualifier = star ? names : names.slice(0, -1)
    const relations = relationsFor(qualifier, scope)
    const uses = use === 'result' ? this.draft.columns : this.draft.predicateColumns
    if (relations.length > 0) uses.push({ relations, column } satisfies ColumnUse)
    // An unqualified name that is an alias stands for the whole row.
    if (qualifier.length === 0 && scope.aliases.get(column) !== undefined)
      uses.push({ relations: relationsFor([column], scope), column: '*' })
    // `t.f` calls f(t) where t has no column f; which of the two it is, only the catalog knows.
    if (qualifier.length > 0 && !star) this.draft.functions.push(['', column])
  }

  #call(body: Tree, use: Use, scope: Scope): void {
    const name = words(list(body, 'funcname'))
    this.draft.functions.push(name)
    const args = list(body, 'args')
    if (name.at(-1) === 'set_config') this.#setConfig(args)
    for (const field of ['args', 'agg_order', 'agg_filter', 'over'])
      this.#all(body[field], use, scope)
  }

  #setConfig(args: readonly Tree[]): void {
    const setting = constantText(args[0] ?? {})
    const effect =
      setting === undefined
        ? { effect: 'admin' as const }
        : settingEffect(setting, constantText(args[1] ?? {}))
    if (effect.opaque === undefined) this.touch(effect.effect, undefined, 'named')
    else this.unknown(effect.opaque)
    if (setting === undefined || setting.toLowerCase() === 'search_path')
      this.draft.changesSearchPath = true
  }
}

function makeScope(outer: Scope | undefined): Scope {
  return { outer, aliases: new Map(), ctes: new Set() }
}

function isCte(rangeVar: Tree, scope: Scope): boolean {
  if (text(rangeVar, 'schemaname') !== '') return false
  for (let level: Scope | undefined = scope; level !== undefined; level = level.outer) {
    if (level.ctes.has(text(rangeVar, 'relname'))) return true
  }
  return false
}

function addRelation(scope: Scope, rangeVar: Tree): void {
  const alias = text(at(rangeVar, 'alias') ?? {}, 'aliasname')
  const relation = isCte(rangeVar, scope) ? undefined : rangeVarName(rangeVar)
  scope.aliases.set(alias === '' ? text(rangeVar, 'relname') : alias, relation)
}

/** Relations that a qualified column may belong to; for an unqualified one, all that are in sight. */
function relationsFor(qualifier: readonly string[], scope: Scope): readonly ObjectName[] {
  const found: ObjectName[] = []
  const name = qualifier.at(-1)
  for (let level: Scope | undefined = scope; level !== undefined; level = level.outer) {
    if (name !== undefined && level.aliases.has(name)) {
      const relation = level.aliases.get(name)
      return relation === undefined ? [] : [relation]
    }
    if (name === undefined)
      for (const relation of level.aliases.values())
        if (relation !== undefined) found.push(relation)
  }
  return found
}
