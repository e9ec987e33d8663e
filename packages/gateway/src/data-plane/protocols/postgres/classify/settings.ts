import type { EffectClass } from '@sallyport/core'

/** Settings that change the session's own limits and looks only. pg_dump, pg_restore and common drivers need them. */
const harmless = new Set(
  `application_name datestyle intervalstyle timezone extra_float_digits bytea_output client_min_messages search_path
   statement_timeout lock_timeout idle_in_transaction_session_timeout idle_session_timeout transaction_timeout
   transaction_isolation transaction_read_only transaction_deferrable default_transaction_isolation
   default_transaction_read_only default_transaction_deferrable synchronous_commit jit work_mem row_security
   default_tablespace default_table_access_method default_with_oids default_toast_compression xmloption xmlbinary
   check_function_bodies lc_monetary lc_numeric lc_time gin_fuzzy_search_limit cursor_tuple_fraction
   random_page_cost seq_page_cost effective_cache_size geqo plan_cache_mode constraint_exclusion
   enable_seqscan enable_indexscan enable_indexonlyscan enable_bitmapscan enable_hashjoin enable_mergejoin
   enable_nestloop enable_hashagg enable_sort enable_material enable_memoize enable_parallel_append
   max_parallel_workers_per_gather maintenance_work_mem temp_buffers hash_mem_multiplier escape_string_warning
   quote_all_identifiers synchronize_seqscans seed vacuum_cost_delay`.split(/\s+/),
)

/** Settings that decide how the server reads a text. Only the value that this gateway parses with passes. */
const pinned: ReadonlyMap<string, readonly [opaque: string, allowed: readonly string[]]> = new Map([
  ['client_encoding', ['client-encoding', ['utf8', 'utf-8', 'unicode']]],
  ['names', ['client-encoding', ['utf8', 'utf-8', 'unicode']]],
  ['standard_conforming_strings', ['parser-setting', ['on', 'true', 'yes', '1', 't', 'y']]],
  ['backslash_quote', ['parser-setting', ['safe_encoding', 'off', 'false', 'no', '0']]],
])

/** What setting `name` to `value` does; `value` is undefined for DEFAULT, RESET and what is no constant. */
export function settingEffect(
  name: string,
  value: string | undefined,
): { effect: EffectClass; opaque?: string } {
  const key = name.toLowerCase()
  const pin = pinned.get(key)
  if (pin !== undefined) {
    // A reset may bring back any value that the role or the database was given.
    if (value !== undefined && pin[1].includes(value.toLowerCase())) return { effect: 'read' }
    return { effect: 'unknown', opaque: pin[0] }
  }
  return { effect: harmless.has(key) ? 'read' : 'admin' }
}
