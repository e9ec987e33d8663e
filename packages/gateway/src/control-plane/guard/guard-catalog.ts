import { qualified } from '@sallyport/core'
import type { GuardColumn } from './guard-column.ts'

/** Runs one statement and returns its rows, each value as text; null where the target says NULL. */
export type Ask = (sql: string) => Promise<readonly (readonly (string | null)[])[]>

export interface GuardRelation {
  readonly oid: number
  readonly schema: string
  readonly name: string
  /** As pg_class says it: r, p, f, m or v. */
  readonly kind: string
  readonly columns: readonly CatalogColumn[]
  /** Relations that the rows come from, for views and materialized views. */
  readonly readsFrom: ReadonlySet<number>
  /** A view that calls functions of the database's own may read anything. */
  readonly callsFunctions: boolean
  readonly hasRules: boolean
  readonly hasTriggers: boolean
  readonly hasDefinerTrigger: boolean
  /** Row security with a restricting policy for roles by name, which would not hold for a guard role. */
  readonly hasNamedRestriction: boolean
  /** What the connection's own login may do: `aw` for INSERT and the like, as `pg_class.relacl` abbreviates. */
  readonly rights: string
  readonly sequences: readonly string[]
}

export interface CatalogColumn extends GuardColumn {
  /** Columns of the same row that a generated column is made of; undefined for plain columns, empty where it can't be told. */
  readonly madeOf: readonly number[] | undefined
  readonly isReadable: boolean
  readonly isWritable: boolean
}

/** What the plan of a guard has to know of a database. */
export interface GuardCatalog {
  readonly relations: ReadonlyMap<number, GuardRelation>
  /** Inheritance and partitions: child to parents. */
  readonly parents: ReadonlyMap<number, readonly number[]>
  /** Sequences that belong to no table and that the connection's own login may use, as SQL writes them. */
  readonly freeSequences: readonly string[]
}

/** The schemas that no guard touches. A guard's own begin with `sallyport_`. */
export const foreignSchemas = `n.nspname <> 'information_schema' and n.nspname !~ '^(pg_|sallyport_)'`

const notOfExtension = `not exists (select from pg_depend e where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')`

function relationsSql(login: string): string {
  return `select c.oid, n.nspname, c.relname, c.relkind,
    exists (select from pg_rewrite r where r.ev_class = c.oid and r.rulename <> '_RETURN'),
    exists (select from pg_trigger g where g.tgrelid = c.oid and not g.tgisinternal),
    exists (select from pg_trigger g join pg_proc p on p.oid = g.tgfoid where g.tgrelid = c.oid and p.prosecdef),
    c.relrowsecurity and exists (select from pg_policy y where y.polrelid = c.oid and not y.polpermissive and not 0 = any(y.polroles)),
    concat(case when has_any_column_privilege(${login}, c.oid, 'insert') then 'a' end,
      case when has_any_column_privilege(${login}, c.oid, 'update') then 'w' end,
      case when has_table_privilege(${login}, c.oid, 'delete') then 'd' end)
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'f', 'v', 'm') and c.relpersistence <> 't' and ${foreignSchemas} and ${notOfExtension}
  order by n.nspname, c.relname`
}

function columnsSql(login: string): string {
  return `select a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, l.collname, ln.nspname, a.attgenerated <> '',
    has_schema_privilege(${login}, n.oid, 'usage') and has_column_privilege(${login}, c.oid, a.attnum, 'select'),
    has_column_privilege(${login}, c.oid, a.attnum, 'insert, update')
  from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
  left join pg_collation l on l.oid = a.attcollation left join pg_namespace ln on ln.oid = l.collnamespace
  where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'f', 'v', 'm') and ${foreignSchemas}
  order by a.attrelid, a.attnum`
}

const typesSql = `select t.oid, t.typtype, t.typbasetype, t.typtypmod,
    exists (select from pg_cast x where x.castsource = t.oid and x.casttarget = 'text'::regtype and x.castmethod = 'b')
    and exists (select from pg_cast x where x.casttarget = t.oid and x.castsource = 'text'::regtype and x.castmethod = 'b')
  from pg_type t`
const parentsSql = 'select inhrelid, inhparent from pg_inherits'
const readsSql = `select distinct r.ev_class, d.refobjid from pg_rewrite r join pg_depend d
  on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid and d.refclassid = 'pg_class'::regclass and d.refobjid <> r.ev_class`
const callsSql = `select distinct r.ev_class from pg_rewrite r join pg_depend d on d.classid = 'pg_rewrite'::regclass and d.objid = r.oid
  join pg_class c on c.oid = r.ev_class
  where d.refclassid in ('pg_proc'::regclass, 'pg_operator'::regclass) and d.refobjid >= 16384`
/** Both ways in which versions of the server keep what a generated column is made of; a function of the database's own counts as column 0. */
const generatedSql = `select a.attrelid, a.attnum, d.refobjsubid from pg_attribute a join pg_depend d
    on d.classid = 'pg_class'::regclass and d.objid = a.attrelid and d.objsubid = a.attnum
    and d.refclassid = 'pg_class'::regclass and d.refobjid = a.attrelid and d.refobjsubid > 0
  where a.attgenerated <> ''
  union select ad.adrelid, ad.adnum, case when d.refclassid = 'pg_class'::regclass then d.refobjsubid else 0 end
  from pg_attrdef ad join pg_attribute a on a.attrelid = ad.adrelid and a.attnum = ad.adnum and a.attgenerated <> ''
  join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = ad.oid
  where d.refclassid = 'pg_class'::regclass and d.refobjid = ad.adrelid and d.refobjsubid not in (0, ad.adnum)
    or d.refclassid = 'pg_proc'::regclass and d.refobjid >= 16384`
const sequencesSql = `select d.refobjid, n.nspname, c.relname from pg_depend d join pg_class c on c.oid = d.objid and c.relkind = 'S'
  join pg_namespace n on n.oid = c.relnamespace
  where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i')`

function freeSequencesSql(login: string): string {
  return `select n.nspname, c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind = 'S' and ${foreignSchemas} and case c.relkind when 'S' then has_sequence_privilege(${login}, c.oid, 'usage') end
    and not exists (select from pg_depend d where d.classid = 'pg_class'::regclass and d.objid = c.oid
      and d.refclassid = 'pg_class'::regclass and d.deptype in ('a', 'i'))
  order by 1, 2`
}

/** Reads what a guard is planned from. Any login may: the catalog is open. `login` is an SQL text constant. */
export async function readGuardCatalog(ask: Ask, login: string): Promise<GuardCatalog> {
  const columns = await readColumns(ask, login)
  const reads = pairs(await ask(readsSql))
  const calls = new Set((await ask(callsSql)).map(([view]) => Number(view)))
  const sequences = new Map<number, string[]>()
  for (const [relation, schema, name] of await ask(sequencesSql)) {
    push(sequences, Number(relation), qualified(schema ?? '', name ?? ''))
  }
  const relations = new Map<number, GuardRelation>()
  for (const row of await ask(relationsSql(login))) {
    const oid = Number(row[0])
    const isTrue = (at: number): boolean => row[at] === 't'
    relations.set(oid, {
      oid,
      schema: row[1] ?? '',
      name: row[2] ?? '',
      kind: row[3] ?? '',
      columns: columns.get(oid) ?? [],
      readsFrom: new Set(reads.get(oid)),
      callsFunctions: calls.has(oid),
      hasRules: isTrue(4),
      hasTriggers: isTrue(5),
      hasDefinerTrigger: isTrue(6),
      hasNamedRestriction: isTrue(7),
      rights: row[8] ?? '',
      sequences: sequences.get(oid) ?? [],
    })
  }
  const free = await ask(freeSequencesSql(login))
  return {
    relations,
    parents: pairs(await ask(parentsSql)),
    freeSequences: free.map(([schema, name]) => qualified(schema ?? '', name ?? '')),
  }
}

async function readColumns(ask: Ask, login: string): Promise<Map<number, CatalogColumn[]>> {
  const types = new Map((await ask(typesSql)).map((row) => [Number(row[0]), row]))
  const madeOf = new Map<string, number[]>()
  for (const [relation, column, source] of await ask(generatedSql)) {
    push(madeOf, `${relation} ${column}`, Number(source))
  }
  const rows = await ask(columnsSql(login))
  const bases = rows.map((row) => baseType(types, Number(row[3]), Number(row[4])))
  const names = await typeNames(ask, bases)
  const columns = new Map<number, CatalogColumn[]>()
  for (const [index, row] of rows.entries()) {
    const base = bases[index] ?? { typeOid: 0, typmod: -1 }
    const isGenerated = row[7] === 't'
    push(columns, Number(row[0]), {
      attribute: Number(row[1]),
      name: row[2] ?? '',
      ...base,
      type: names.get(`${base.typeOid} ${base.typmod}`) ?? '',
      collation: row[5] === null ? undefined : qualified(row[6] ?? '', row[5] ?? ''),
      isTextAlias: base.typeOid >= 16_384 && types.get(base.typeOid)?.[4] === 't',
      madeOf: isGenerated ? (madeOf.get(`${row[0]} ${row[1]}`) ?? []) : undefined,
      isReadable: row[8] === 't',
      isWritable: row[9] === 't',
    })
  }
  return columns
}

type Types = ReadonlyMap<number, readonly (string | null)[]>

/** A domain's own modifier counts, since its columns have none. */
function baseType(
  types: Types,
  typeOid: number,
  typmod: number,
): { typeOid: number; typmod: number } {
  const type = types.get(typeOid)
  if (type?.[1] !== 'd') return { typeOid, typmod }
  return baseType(types, Number(type[2]), Number(type[3]))
}

/** The server writes types itself; its path is `pg_catalog` alone, so that names of others are qualified. */
async function typeNames(
  ask: Ask,
  bases: readonly { typeOid: number; typmod: number }[],
): Promise<Map<string, string>> {
  const keys = [...new Set(bases.map(({ typeOid, typmod }) => `(${typeOid}, ${typmod})`))]
  if (keys.length === 0) return new Map()
  const rows = await ask(
    `select t, m, format_type(t::oid, m) from (values ${keys.join(', ')}) as v (t, m)`,
  )
  return new Map(rows.map(([oid, typmod, name]) => [`${oid} ${typmod}`, name ?? '']))
}

function pairs(rows: readonly (readonly (string | null)[])[]): Map<number, number[]> {
  const map = new Map<number, number[]>()
  for (const [key, value] of rows) push(map, Number(key), Number(value))
  return map
}

function push<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}
