import type {
  BuiltinFacts,
  LineageConstraint,
  LineageFunction,
  LineageReferrer,
  LineageTrigger,
  RowEvent,
} from './lineage-catalog.ts'

/** What of the target's catalog only lineage asks for. Names and definitions come as the server prints them for an empty search path. */
export interface LineageRows {
  /** Queries of views and materialised views, by relation. */
  readonly definitions: ReadonlyMap<number, string>
  /** Expressions of generated columns, by relation and attribute. */
  readonly generated: ReadonlyMap<number, ReadonlyMap<number, string>>
  /** Events that rules other than a view's own wait for, by relation. */
  readonly rules: ReadonlyMap<number, readonly RowEvent[]>
  readonly constraints: ReadonlyMap<number, readonly LineageConstraint[]>
  readonly triggers: ReadonlyMap<number, readonly LineageTrigger[]>
  /** Foreign keys, by the relation that they refer to. */
  readonly referrers: ReadonlyMap<number, readonly LineageReferrer[]>
  /** Partitions and children, by the relation above. */
  readonly children: ReadonlyMap<number, readonly number[]>
  readonly parents: ReadonlyMap<number, readonly number[]>
  readonly functions: readonly OwnFunction[]
  readonly builtins: ReadonlyMap<string, BuiltinFacts>
  /** Functions behind operators that are not the server's own, by the operator's name. */
  readonly operators: ReadonlyMap<string, readonly number[]>
  /** Functions behind casts, by the name of the type; those that need not be written stand under ``, and of these those that run where a value is assigned alone under `=`. */
  readonly casts: ReadonlyMap<string, readonly LineageCast[]>
  /** Functions behind aggregates that are not the server's own. */
  readonly aggregates: ReadonlyMap<number, readonly number[]>
  readonly ownTypes: ReadonlySet<string>
}

/** A cast that calls a function. */
interface LineageCast {
  /** The type that it is from. */
  readonly source: number
  readonly function: number
}

export type OwnFunction = Omit<LineageFunction, 'isTrusted' | 'behind'>

const quietPath = "select pg_catalog.set_config('search_path', '', false)"

const definitionsSql = `select c.oid, pg_catalog.pg_get_viewdef(c.oid) from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('v', 'm') and n.nspname not in ('pg_catalog', 'information_schema')`
const generatedSql = `select a.attrelid, a.attnum, pg_catalog.pg_get_expr(d.adbin, d.adrelid) from pg_catalog.pg_attrdef d
  join pg_catalog.pg_attribute a on a.attrelid = d.adrelid and a.attnum = d.adnum where a.attgenerated <> ''`
const rulesSql = `select ev_class, ev_type from pg_catalog.pg_rewrite where rulename <> '_RETURN' and ev_enabled <> 'D'`
const uniqueSql = `select i.indrelid, c.relname, i.indkey::text, i.indexprs is not null or i.indpred is not null
  from pg_catalog.pg_index i join pg_catalog.pg_class c on c.oid = i.indexrelid where i.indisunique and i.indrelid >= 16384`
const constraintsSql = `select conrelid, conname, contype, pg_catalog.array_to_string(conkey, ' '), confrelid,
  pg_catalog.array_to_string(confkey, ' '), confdeltype, confupdtype from pg_catalog.pg_constraint where conrelid >= 16384 and contype in ('c', 'f', 'x')`
const triggersSql = `select t.tgrelid, t.tgname, t.tgtype, n.nspname || '.' || p.proname, l.lanname, p.prosrc
  from pg_catalog.pg_trigger t join pg_catalog.pg_proc p on p.oid = t.tgfoid
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace join pg_catalog.pg_language l on l.oid = p.prolang
  where (not t.tgisinternal or t.tgfoid >= 16384) and t.tgenabled <> 'D'`
const inheritsSql = 'select inhrelid, inhparent from pg_catalog.pg_inherits'
const functionsSql = `select p.oid, n.nspname, p.proname, p.provolatile, l.lanname, p.proretset,
    case when l.lanname = 'sql' and p.prokind in ('f', 'p') then pg_catalog.pg_get_functiondef(p.oid) end,
    case when l.lanname = 'plpgsql' then p.prosrc end
  from pg_catalog.pg_proc p join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  join pg_catalog.pg_language l on l.oid = p.prolang where p.oid >= 16384 or n.nspname <> 'pg_catalog'`
const builtinsSql = `select p.proname, bool_or(p.provolatile = 'v'), bool_or(p.proretset),
    bool_or(p.prokind = 'a'), pg_catalog.string_agg(distinct
      case when t.typname in ('json', 'jsonb') then 'J' else t.typcategory::pg_catalog.text end, '')
  from pg_catalog.pg_proc p join pg_catalog.pg_type t on t.oid = p.prorettype
  where p.oid < 16384 and p.pronamespace = 'pg_catalog'::regnamespace group by p.proname`
const operatorsSql = 'select oprname, oprcode::oid from pg_catalog.pg_operator where oid >= 16384'
const castsSql = `select t.typname, c.castfunc, c.castcontext, c.castsource from pg_catalog.pg_cast c
  join pg_catalog.pg_type t on t.oid = c.casttarget where c.oid >= 16384 and c.castfunc <> 0`
const aggregatesSql = `select aggfnoid::oid, pg_catalog.concat_ws(' ', aggtransfn::oid, aggfinalfn::oid, aggcombinefn::oid,
  aggserialfn::oid, aggdeserialfn::oid, aggmtransfn::oid, aggminvtransfn::oid, aggmfinalfn::oid)
  from pg_catalog.pg_aggregate where aggfnoid >= 16384`
const typesSql = `select t.typname from pg_catalog.pg_type t where t.oid >= 16384 and t.typelem = 0
  and (t.typtype <> 'c' or exists (select from pg_catalog.pg_class c where c.oid = t.typrelid and c.relkind = 'c'))`

/** A database without code of its own. */
export const noLineageRows: LineageRows = {
  definitions: new Map(),
  generated: new Map(),
  rules: new Map(),
  constraints: new Map(),
  triggers: new Map(),
  referrers: new Map(),
  children: new Map(),
  parents: new Map(),
  functions: [],
  builtins: new Map(),
  operators: new Map(),
  casts: new Map(),
  aggregates: new Map(),
  ownTypes: new Set(),
}

/** Reads them. It changes the search path of the connection, so it comes last. */
export async function readLineageRows(
  ask: (sql: string) => Promise<string[][]>,
): Promise<LineageRows> {
  await ask(quietPath)
  const definitions = await ask(definitionsSql)
  const rules = new Map<number, RowEvent[]>()
  for (const [oid, type] of await ask(rulesSql)) {
    const event = ruleEvents[type ?? '']
    if (event !== undefined) push(rules, Number(oid), event)
  }
  const parents = new Map<number, number[]>()
  const children = new Map<number, number[]>()
  for (const [child, parent] of await ask(inheritsSql)) {
    push(parents, Number(child), Number(parent))
    push(children, Number(parent), Number(child))
  }
  const operators = new Map<string, number[]>()
  for (const [name, code] of await ask(operatorsSql)) push(operators, name ?? '', Number(code))
  const casts = new Map<string, LineageCast[]>()
  for (const [type, code, kind, source] of await ask(castsSql)) {
    const cast = { source: Number(source), function: Number(code) }
    push(casts, type ?? '', cast)
    if (kind === 'i') push(casts, '', cast)
    if (kind === 'a') push(casts, '=', cast)
  }
  return {
    definitions: new Map(definitions.map(([oid, text]) => [Number(oid), text ?? ''])),
    generated: await readGenerated(ask),
    rules,
    ...(await readConstraints(ask)),
    triggers: await readTriggers(ask),
    parents,
    children,
    functions: (await ask(functionsSql)).map(functionOf),
    builtins: new Map(
      (await ask(builtinsSql)).map(([name, isVolatile, returnsSet, isAggregate, returns]) => [
        name ?? '',
        {
          isVolatile: isVolatile === 't',
          returnsSet: returnsSet === 't',
          isAggregate: isAggregate === 't',
          returns: returns ?? '',
        },
      ]),
    ),
    operators,
    casts,
    aggregates: new Map(
      (await ask(aggregatesSql)).map(([oid, behind]) => [Number(oid), numbers(behind)]),
    ),
    ownTypes: new Set((await ask(typesSql)).map(([name]) => name ?? '')),
  }
}

async function readGenerated(
  ask: (sql: string) => Promise<string[][]>,
): Promise<Map<number, Map<number, string>>> {
  const generated = new Map<number, Map<number, string>>()
  for (const [oid, attribute, expression] of await ask(generatedSql)) {
    const ofRelation = generated.get(Number(oid)) ?? new Map<number, string>()
    ofRelation.set(Number(attribute), expression ?? '')
    generated.set(Number(oid), ofRelation)
  }
  return generated
}

const kinds: Readonly<Record<string, LineageConstraint['kind']>> = {
  c: 'check',
  f: 'foreign',
  x: 'exclusion',
}

/** Values of `pg_constraint.confdeltype` and `confupdtype` that write: cascade, set null, set default. */
const deleteActions: Readonly<Record<string, RowEvent>> = { c: 'delete', n: 'update', d: 'update' }
const updateActions: Readonly<Record<string, RowEvent>> = { c: 'update', n: 'update', d: 'update' }

async function readConstraints(
  ask: (sql: string) => Promise<string[][]>,
): Promise<Pick<LineageRows, 'constraints' | 'referrers'>> {
  const constraints = new Map<number, LineageConstraint[]>()
  const referrers = new Map<number, LineageReferrer[]>()
  for (const [oid, name, attributes, isComputed] of await ask(uniqueSql)) {
    const seen = isComputed === 't' ? [] : numbers(attributes)
    push(constraints, Number(oid), { kind: 'unique', name: name ?? '', attributes: seen })
  }
  for (const row of await ask(constraintsSql)) {
    const [oid, name, kind, attributes, other, theirs, onDelete, onUpdate] = row
    const isForeign = Number(other) !== 0
    const references = isForeign
      ? { references: { oid: Number(other), attributes: numbers(theirs) } }
      : {}
    if (isForeign)
      push(referrers, Number(other), {
        relation: Number(oid),
        attributes: numbers(attributes),
        keys: numbers(theirs),
        actions: {
          delete: deleteActions[onDelete ?? ''],
          update: updateActions[onUpdate ?? ''],
        },
      })
    push(constraints, Number(oid), {
      kind: kinds[kind ?? ''] ?? 'check',
      name: name ?? '',
      attributes: numbers(attributes),
      ...references,
    })
  }
  return { constraints, referrers }
}

/** Values of `pg_rewrite.ev_type`. */
const ruleEvents: Readonly<Record<string, RowEvent>> = { 2: 'update', 3: 'insert', 4: 'delete' }

/** Bits of `pg_trigger.tgtype`. */
const eventBits = [
  ['insert', 4],
  ['delete', 8],
  ['update', 16],
] as const

async function readTriggers(
  ask: (sql: string) => Promise<string[][]>,
): Promise<Map<number, LineageTrigger[]>> {
  const triggers = new Map<number, LineageTrigger[]>()
  for (const [oid, name, type, fn, language, source] of await ask(triggersSql)) {
    push(triggers, Number(oid), {
      name: name ?? '',
      events: eventBits.flatMap(([event, bit]) => ((Number(type) & bit) === 0 ? [] : [event])),
      function: fn ?? '',
      language: language ?? '',
      source: source ?? '',
    })
  }
  return triggers
}

function functionOf(row: readonly string[]): OwnFunction {
  const [oid, schema, name, volatility, language, returnsSet, definition, source] = row
  return {
    oid: Number(oid),
    schema: schema ?? '',
    name: name ?? '',
    volatility: volatility === 'i' || volatility === 's' ? volatility : 'v',
    language: language ?? '',
    returnsSet: returnsSet === 't',
    ...(definition === undefined || definition === '' ? {} : { definition }),
    ...(source === undefined || source === '' ? {} : { source }),
  }
}

function numbers(text: string | undefined): readonly number[] {
  return (text ?? '').split(' ').flatMap((word) => (word === '' ? [] : [Number(word)]))
}

function push<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}
