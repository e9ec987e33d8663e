/**
 * Relations of the server's own, and of extensions, that show values of other relations, texts of other sessions, or
 * secrets. `*` stands for all columns; a minus sign for all but these.
 */
const relations: Readonly<Record<string, string>> = {
  'pg_catalog.pg_statistic': '- starelid staattnum stainherit',
  'pg_catalog.pg_statistic_ext_data': '- stxoid stxdinherit',
  'pg_catalog.pg_stats': '- schemaname tablename attname inherited',
  'pg_catalog.pg_stats_ext':
    '- schemaname tablename statistics_schemaname statistics_name attnames exprs kinds',
  'pg_catalog.pg_stats_ext_exprs':
    '- schemaname tablename statistics_schemaname statistics_name expr',
  'pg_catalog.pg_stat_activity': 'query',
  'pg_catalog.pg_largeobject': 'data',
  'pg_catalog.pg_authid': 'rolpassword',
  'pg_catalog.pg_shadow': 'passwd',
  'pg_catalog.pg_user_mapping': 'umoptions',
  'pg_catalog.pg_user_mappings': 'umoptions',
  'information_schema.user_mapping_options': 'option_value',
  'pg_catalog.pg_subscription': 'subconninfo',
  'pg_catalog.pg_foreign_server': 'srvoptions',
}

/** `pg_stat_statements` stands in whatever schema its extension was made in. */
const anywhere: Readonly<Record<string, string>> = {
  pg_stat_statements: 'query',
}

const parsed = new Map(
  [...Object.entries(relations), ...Object.entries(anywhere)].map(([name, words]) => {
    const [first, ...rest] = words.split(' ')
    const isAllBut = first === '-'
    const columns = new Set(isAllBut ? rest : [first, ...rest])
    return [name, (column: string) => columns.has(column) !== isAllBut] as const
  }),
)

/** Tells which columns of a relation show values that belong elsewhere; undefined for relations without such columns. */
export function sensitiveColumns(
  schema: string,
  name: string,
): ((column: string) => boolean) | undefined {
  return parsed.get(`${schema}.${name}`) ?? parsed.get(name)
}
