import { matchesColumn } from '../mask/column-pattern.ts'
import type { MaskSet } from './mask-set.ts'
import { literal, qualified } from './sql-text.ts'

/** A provisioned mask set, as far as it can be held against the target. */
export interface GuardedSet extends MaskSet {
  readonly login: string
  /** Schemas of the target, each with the one that stands before it. */
  readonly schemas: Readonly<Record<string, string>>
  /** Materialized views that may be read as they are, as SQL writes them. */
  readonly matviews: readonly string[]
  /** Of the views and functions that hold the masks; empty where none was taken yet. */
  readonly digest: string
}

const foreign = `n.nspname <> 'information_schema' and n.nspname !~ '^(pg_|sallyport_)'`

/**
 * Asks the target what a guarded role can reach. Any login may ask; the search path has to be `pg_catalog` alone. Each
 * row is a kind and three texts. A parent shows its children's rows, so a column goes by the names that it has in both.
 */
export function violationsSql(set: Pick<GuardedSet, 'login' | 'schemas'>): string {
  const name = literal(set.login)
  // By number: none is NULL, where an unknown name would be an error.
  const login = `(select oid from pg_roles where rolname = ${name})`
  const schemas = Object.values(set.schemas).map(literal).join(', ') || 'null'
  return `with recursive kin (oid, other) as (
    select c.oid, c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p', 'f') and ${foreign} and has_any_column_privilege(${login}, c.oid, 'select')
    union select k.oid, i.inhparent from kin k join pg_inherits i on i.inhrelid = k.other
  ), below (oid, other) as (
    select oid, oid from kin
    union select b.oid, i.inhrelid from below b join pg_inherits i on i.inhparent = b.other
  ), both_ways as (select oid, other from kin union select oid, other from below)
  select 'column', n.nspname, o.relname, a.attname from both_ways b join pg_class o on o.oid = b.other
    join pg_namespace n on n.oid = o.relnamespace join pg_attribute a on a.attrelid = b.oid
    where a.attnum > 0 and not a.attisdropped and has_column_privilege(${login}, b.oid, a.attnum, 'select')
  union all select case c.relkind when 'm' then 'matview' else 'view' end, n.nspname, c.relname, ''
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('v', 'm') and ${foreign} and has_any_column_privilege(${login}, c.oid, 'select')
      and not exists (select from pg_depend e where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
  union all select 'function', n.nspname, p.proname, p.oid::regprocedure::text from pg_proc p join pg_namespace n on n.oid = p.pronamespace
    where p.prosecdef and ${foreign} and has_function_privilege(${login}, p.oid, 'execute')
      and has_schema_privilege(${login}, n.oid, 'usage')
  union all select 'role', concat_ws(' ', case when rolsuper then 'superuser' end, case when rolcreaterole then 'createrole' end,
      case when rolreplication then 'replication' end, case when rolbypassrls then 'bypassrls' end), '', ''
    from pg_roles where rolname = ${name} and (rolsuper or rolcreaterole or rolreplication or rolbypassrls)
  union all select 'member', r.rolname, '', '' from pg_auth_members m join pg_roles r on r.oid = m.roleid
    join pg_roles g on g.oid = m.member where g.rolname = ${name}
  union all select 'setting', '', '', '' from pg_db_role_setting s join pg_roles g on g.oid = s.setrole where g.rolname = ${name}
  union all select 'login', '', '', '' where not exists (select from pg_roles where rolname = ${name} and rolcanlogin)
  union all select 'digest', md5(string_agg(part, chr(10) order by part)), '', '' from (
    select n.nspname || c.relname || c.relowner || coalesce(c.reloptions::text, '') || r.ev_action::text from pg_rewrite r
      join pg_class c on c.oid = r.ev_class join pg_namespace n on n.oid = c.relnamespace where n.nspname in (${schemas})
    union all select n.nspname || p.proname || p.proowner || p.prosecdef || p.prosrc from pg_proc p
      join pg_namespace n on n.oid = p.pronamespace where n.nspname in (${schemas})) as parts (part)`
}

/** What is wrong, one sentence each; empty where the role can read no masked column by any right that it has. */
export function violationsIn(
  rows: readonly (readonly string[])[],
  set: GuardedSet,
  trustedFunctions: readonly string[],
): string[] {
  const found = new Set<string>()
  for (const [kind = '', first = '', second = '', third = ''] of rows) {
    const problem = violationOf(kind, [first, second, third], set, trustedFunctions)
    if (problem !== undefined) found.add(problem)
  }
  return [...found].toSorted()
}

function violationOf(
  kind: string,
  [first, second, third]: readonly [string, string, string],
  set: GuardedSet,
  trustedFunctions: readonly string[],
): string | undefined {
  switch (kind) {
    case 'column':
      return set.lines.some((line) => matchesColumn(line.column, [first, second, third]))
        ? `the masked column ${first}.${second}.${third} can be read in clear`
        : undefined
    case 'view':
      return `the view ${first}.${second} can be read, with the rights of its owner`
    case 'matview':
      return set.matviews.includes(qualified(first, second))
        ? undefined
        : `the materialized view ${first}.${second} can be read`
    case 'function':
      return trustedFunctions.includes(`${first}.${second}`)
        ? undefined
        : `the function ${third} can be called, and runs with the rights of its owner`
    case 'role':
      return `the role is ${first}`
    case 'member':
      return `the role is a member of ${first}`
    case 'setting':
      return 'the role has settings of its own'
    case 'login':
      return 'the role is not there, or cannot log in'
    case 'digest':
      return set.digest === '' || set.digest === first
        ? undefined
        : 'the views that hold the masks are not those that were applied'
    default:
      return `the target answered with a row of kind "${kind}"`
  }
}

/** The digest among the rows, to be kept when a guard is applied. */
export function digestIn(rows: readonly (readonly string[])[]): string {
  return rows.find(([kind]) => kind === 'digest')?.[1] ?? ''
}
