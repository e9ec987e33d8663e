/**
 * Built-in functions that give a value for every value of their arguments, so that whether they fail tells nothing. A number
 * behind a name lists the arguments, from 0, that may make it fail: `substr:1,2`; `literal-arguments.ts` knows constants that do
 * not. Everything else counts as one that may fail.
 */
const functions = `
length char_length character_length octet_length bit_length lower upper initcap btrim ltrim rtrim reverse md5 sha224 sha256
sha384 sha512 concat concat_ws left right split_part:2 substr:1,2 substring:1,2 strpos position starts_with ascii replace
translate lpad:1 rpad:1 repeat:1 overlay:2,3 quote_ident quote_literal quote_nullable to_hex encode:1 to_json to_jsonb
row_to_json array_to_json json_build_object jsonb_build_object json_build_array jsonb_build_array json_typeof jsonb_typeof
json_strip_nulls jsonb_strip_nulls jsonb_pretty json_extract_path json_extract_path_text jsonb_extract_path
jsonb_extract_path_text array_length cardinality array_ndims array_upper array_lower array_dims array_to_string array_append
array_prepend array_position array_positions array_remove array_replace string_to_array string_to_table unnest date_part:0
extract:0 date_trunc:0 age to_char:1 isfinite justify_days justify_hours justify_interval sign ceil ceiling floor round trunc
pg_typeof pg_column_size host masklen netmask family abbrev text num_nulls num_nonnulls hashtext format:0
regexp_replace:1,2,3 regexp_match:1,2 regexp_matches:1,2 regexp_like:1,2 regexp_count:1,2,3 regexp_instr:1,2,3,4,5,6
regexp_substr:1,2,3,4,5 regexp_split_to_array:1,2 regexp_split_to_table:1,2 like_escape:1 similar_to_escape ilike
overlaps timezone:0 lower_inc upper_inc isempty coalesce normalize is_normalized xmlcomment:0 bit_count area
json_array_elements:0 obj_description col_description
count sum avg min max array_agg string_agg json_agg jsonb_agg json_object_agg jsonb_object_agg bool_and bool_or every bit_and
bit_or bit_xor stddev stddev_pop stddev_samp variance var_pop var_samp corr covar_pop covar_samp regr_count regr_avgx regr_avgy
regr_slope regr_intercept regr_r2 regr_sxx regr_sxy regr_syy percentile_cont:0 percentile_disc:0 mode xmlagg any_value range_agg
row_number rank dense_rank percent_rank cume_dist ntile:0 lag:1 lead:1 first_value last_value nth_value:1
generate_series:2 current_setting:0 set_config:0,1 now clock_timestamp statement_timestamp transaction_timestamp timeofday random
gen_random_uuid version current_database current_schema current_schemas current_user session_user pg_backend_pid
pg_get_userbyid pg_table_is_visible pg_type_is_visible pg_function_is_visible format_type pg_get_expr pg_get_indexdef
pg_get_constraintdef pg_encoding_to_char pg_sleep pg_sleep_for pg_notify pg_advisory_lock pg_advisory_xact_lock
pg_try_advisory_lock pg_try_advisory_xact_lock setval:0,1 nextval:0 lastval setseed:0
`

const totals = new Map(
  functions
    .trim()
    .split(/\s+/)
    .map((word) => {
      const [name = '', positions] = word.split(':')
      return [name, new Set(positions?.split(',').map(Number))] as const
    }),
)

/** The arguments that can make a built-in function fail; undefined where all of them may. */
export function failingArguments(name: string): ReadonlySet<number> | undefined {
  return totals.get(name)
}

/** Operators that give a value for all values of both sides. */
const totalOperators = new Set(
  '= <> != < > <= >= || ~~ ~~* !~~ !~~* ~ ~* !~ !~* && @> <@ ? ?| ?& -> ->> #> #>> @@ ^@'.split(
    ' ',
  ),
)

/** Operators whose right side is a pattern, which may be none. */
const patternOperators = new Set('~~ ~~* !~~ !~~* ~ ~* !~ !~*'.split(' '))

export function isTotalOperator(name: string): boolean {
  return totalOperators.has(name)
}

export function isPatternOperator(name: string): boolean {
  return patternOperators.has(name)
}

/** Functions that take time or do something outside of the statement, though the catalog may not call them volatile. */
const actingFunctions = new Set(
  'pg_sleep pg_sleep_for pg_sleep_until pg_notify set_config setval nextval setseed lo_put lowrite lo_from_bytea lo_create lo_creat'.split(
    ' ',
  ),
)

/** Volatile functions that nobody but the statement notices. */
const quietFunctions = new Set(
  'random clock_timestamp timeofday gen_random_uuid uuidv4 uuidv7 lastval currval random_normal'.split(
    ' ',
  ),
)

export function isActing(name: string, isVolatile: boolean): boolean {
  return actingFunctions.has(name) || (isVolatile && !quietFunctions.has(name))
}

/** Built-in functions that read what their arguments do not hold. */
const readers = `
pg_read_file pg_read_binary_file pg_ls_dir pg_stat_file lo_export query_to_xml query_to_xmlschema
query_to_xml_and_xmlschema table_to_xml table_to_xml_and_xmlschema schema_to_xml schema_to_xml_and_xmlschema database_to_xml
database_to_xml_and_xmlschema cursor_to_xml cursor_to_xmlschema ts_stat ts_rewrite pg_logical_slot_get_changes
pg_logical_slot_peek_changes pg_logical_slot_get_binary_changes pg_logical_slot_peek_binary_changes pg_stat_get_activity
pg_stat_get_backend_activity pg_stat_statements pg_get_wal_record_info pg_get_wal_records_info pg_get_wal_block_info
get_raw_page heap_page_items heap_page_item_attrs tuple_data_split bt_page_items brin_page_items gist_page_items
gin_leafpage_items hash_page_items xpath_table crosstab crosstab2 crosstab3 crosstab4 crosstabn connectby dblink dblink_fetch
dblink_get_result dblink_exec dblink_open dblink_send_query dblink_get_notify pg_mcv_list_items pgstattuple
`

const readingFunctions = new Set(readers.trim().split(/\s+/))

/** True for functions that may return any stored value, whatever their arguments are. */
export function readsAnything(name: string): boolean {
  return readingFunctions.has(name)
}

/** Files, other servers, pages and logs: not for callers whose data is masked. */
const doors =
  /^(?:pg_read_file|pg_read_binary_file|pg_read_file_old|pg_ls_.*|pg_stat_file|pg_file_.*|pg_current_logfile|lo_import|lo_export|dblink.*|pg_logical_.*|pg_create_logical_replication_slot|pg_copy_logical_replication_slot|get_raw_page|heap_page_.*|tuple_data_split|bt_page_.*|brin_page_.*|gist_page_.*|gin_.*page.*|hash_page_.*|pg_get_wal_(?:record|block).*|pg_log_backend_memory_contexts|pg_execute_server_program)$/

/** True for functions that lead around every mask. */
export function isSideDoor(name: string): boolean {
  return doors.test(name)
}
