import type { Ask } from './catalog-rows.ts'

/** Tables of the catalog that say what names mean and what code runs, and which of their rows are of relations that last. */
const parts: readonly (readonly [table: string, where: string])[] = [
  ['pg_namespace', "nspname !~ '^pg_(toast_)?temp_'"],
  ['pg_class', 'oid in (select oid from r)'],
  ['pg_attribute', 'attrelid in (select oid from r)'],
  ['pg_attrdef', 'adrelid in (select oid from r)'],
  ['pg_rewrite', 'ev_class in (select oid from r)'],
  ['pg_trigger', 'tgrelid in (select oid from r)'],
  ['pg_inherits', 'inhrelid in (select oid from r)'],
  ['pg_constraint', 'conrelid in (select oid from r) or contypid <> 0'],
  ['pg_index', 'indrelid in (select oid from r)'],
  ['pg_type', "oid >= 16384 and typtype <> 'c'"],
  ['pg_proc', 'oid >= 16384'],
  ['pg_operator', 'oid >= 16384'],
  ['pg_cast', 'oid >= 16384'],
  ['pg_aggregate', 'aggfnoid::pg_catalog.oid >= 16384'],
]

/** Each row's `xmin` is the transaction that wrote it: a change adds one that is newer, and a removal takes one away. */
const fingerprintSql = `with r as materialized (select oid from pg_catalog.pg_class
    where oid >= 16384 and relpersistence <> 't' and relkind in ('r', 'p', 'v', 'm', 'f'))
  ${parts
    .map(
      ([table, where]) =>
        `select count(*), sum(xmin::pg_catalog.text::pg_catalog.int8) from pg_catalog.${table} where ${where}`,
    )
    .join('\n  union all ')}`

/** A text that is another one after each change of what names mean, by whomever. Temporary relations of others are left out. */
export async function readFingerprint(ask: Ask): Promise<string> {
  const rows = await ask(fingerprintSql)
  return rows.map((row) => row.join(' ')).join(',')
}
