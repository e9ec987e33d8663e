import { ident, idents, literal, qualified } from '@sallyport/core'
import { type Ask, foreignSchemas } from './guard-catalog.ts'
import type { GuardNames } from './guard-names.ts'
import type { PlannedSet, Statement } from './plan-types.ts'

/** A right of PUBLIC, which nobody can be taken out of, that leads past the masks. */
export interface Opening {
  readonly kind: 'table' | 'columns' | 'function'
  /** As SQL writes it. */
  readonly object: string
  /** Who else could use it: they keep it when PUBLIC loses it. */
  readonly roles: readonly string[]
}

const relationsSql = `select n.nspname, c.relname, c.relkind,
    exists (select from aclexplode(c.relacl) x where x.grantee = 0 and x.privilege_type = 'SELECT')
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'f', 'v', 'm') and ${foreignSchemas}
    and not exists (select from pg_depend e where e.classid = 'pg_class'::regclass and e.objid = c.oid and e.deptype = 'e')
    and (exists (select from aclexplode(c.relacl) x where x.grantee = 0 and x.privilege_type = 'SELECT')
      or exists (select from pg_attribute a, aclexplode(a.attacl) x where a.attrelid = c.oid and x.grantee = 0 and x.privilege_type = 'SELECT'))
  order by 1, 2`
const functionsSql = `select n.nspname, p.proname, p.oid::regprocedure
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace
  where p.prosecdef and ${foreignSchemas}
    and exists (select from aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) x where x.grantee = 0)
  order by 3`
const rolesSql = `select rolname from pg_roles where not rolsuper and rolname !~ '^(pg_|sallyport_)' order by 1`

/** Finds what PUBLIC may read or call that a guarded role must not: every role is part of PUBLIC. */
export async function openings(
  ask: Ask,
  sets: readonly PlannedSet[],
  trustedFunctions: readonly string[],
): Promise<Opening[]> {
  const roles = (await ask(rolesSql)).flatMap(([role]) => role ?? [])
  const found: Opening[] = []
  for (const [schema, name, kind, isWhole] of await ask(relationsSql)) {
    const object = qualified(schema ?? '', name ?? '')
    const isAllowed = sets.every((set) => isReadAsItIs(set, object, kind ?? ''))
    if (isAllowed) continue
    found.push({ kind: isWhole === 't' ? 'table' : 'columns', object, roles })
  }
  for (const [schema, name, object] of await ask(functionsSql)) {
    if (trustedFunctions.includes(`${schema}.${name}`)) continue
    found.push({ kind: 'function', object: object ?? '', roles })
  }
  return found
}

function isReadAsItIs(set: PlannedSet, object: string, kind: string): boolean {
  if (kind === 'v') return false
  return kind === 'm' ? set.matviews.includes(object) : !set.maskedTables.includes(object)
}

/** Takes each right from PUBLIC, gives it to the roles that are there, and notes it down for `--drop`. */
export function closePublic(found: readonly Opening[], names: GuardNames): Statement[] {
  const step = 'rights of PUBLIC'
  const table = qualified(names.privateSchema, 'closed')
  return found.flatMap(({ kind, object, roles }) => {
    if (kind === 'columns') return []
    const right = rightOf(kind, object)
    const list = `array[${roles.map(literal).join(', ')}]::text[]`
    return [
      { step, sql: `revoke ${right} from public` },
      ...(roles.length === 0 ? [] : [{ step, sql: `grant ${right} to ${idents(roles)}` }]),
      {
        step,
        sql: `insert into ${table} values (${literal(kind)}, ${literal(object)}, ${list}) on conflict do nothing`,
      },
    ]
  })
}

/** Gives PUBLIC back what `closePublic` took. The roles keep what they were given: they had it before. */
export async function reopenPublic(ask: Ask, names: GuardNames): Promise<Statement[]> {
  const step = 'rights of PUBLIC'
  const schema = ident(names.privateSchema)
  const [there] = await ask(`select to_regclass(${literal(`${schema}.closed`)})`)
  if (there?.[0] === null) return []
  const rows = await ask(`select kind, object from ${schema}.closed
    where case kind when 'table' then to_regclass(object) is not null else to_regprocedure(object) is not null end order by 2`)
  return rows.map(([kind, object]) => ({
    step,
    sql: `grant ${rightOf(kind === 'table' ? 'table' : 'function', object ?? '')} to public`,
  }))
}

function rightOf(kind: 'table' | 'function', object: string): string {
  return kind === 'table' ? `select on table ${object}` : `execute on routine ${object}`
}
