import type { EffectClass } from '@sallyport/core'

interface BuiltinEffect {
  readonly classes: readonly EffectClass[]
  readonly opaque?: string
  readonly file?: boolean
}

/** `prefix*` matches by prefix; the first row that matches wins. */
const rows: readonly (readonly [names: string, effect: BuiltinEffect])[] = [
  // Large objects that leave through, or come from, the server's own files.
  ['lo_import lo_export', { classes: ['transfer', 'admin'], file: true }],
  [
    'pg_read_file pg_read_file_old pg_read_binary_file pg_ls_* pg_stat_file pg_file_* pg_logdir_ls pg_current_logfile',
    { classes: ['transfer', 'admin'], file: true },
  ],
  // Functions that run a text, or walk a whole schema.
  [
    'query_to_xml* table_to_xml* schema_to_xml* database_to_xml* cursor_to_xml* ts_stat ts_rewrite crosstab* connectby xpath_table',
    { classes: ['unknown'], opaque: 'dynamic-sql' },
  ],
  ['dblink*', { classes: ['unknown', 'transfer'], opaque: 'dynamic-sql' }],
  [
    'lo_put lowrite lo_creat lo_create lo_unlink lo_from_bytea lo_truncate lo_truncate64 nextval setval pg_notify',
    { classes: ['write'] },
  ],
  ['pg_logical_* pg_replication_* pg_*_replication_slot binary_upgrade_*', { classes: ['admin'] }],
  [
    `pg_cancel_backend pg_terminate_backend pg_reload_conf pg_rotate_logfile* pg_promote pg_switch_wal pg_switch_xlog
     pg_wal_replay_* pg_xlog_replay_* pg_backup_* pg_start_backup pg_stop_backup pg_create_* pg_drop_* pg_copy_*
     pg_sync_replication_slots pg_log_* pg_stat_reset* pg_stat_force_next_flush pg_import_system_collations
     pg_extension_config_dump pg_hba_file_rules pg_ident_file_mappings pg_show_all_file_settings pg_nextoid
     pg_stop_making_pinned_objects pg_restore_* pg_clear_* brin_summarize_* brin_desummarize_range
     gin_clean_pending_list pg_get_backend_memory_contexts pg_get_shmem_allocations*`,
    { classes: ['admin'] },
  ],
]

const exact = new Map<string, BuiltinEffect>()
const prefixes: [start: string, end: string, effect: BuiltinEffect][] = []
for (const [names, effect] of rows) {
  for (const name of names.trim().split(/\s+/)) {
    const star = name.indexOf('*')
    if (star < 0) exact.set(name, effect)
    else prefixes.push([name.slice(0, star), name.slice(star + 1), effect])
  }
}

/** What a built-in, or a function of a well-known extension, does beyond reading; undefined when it stands in no list. */
export function builtinEffect(name: string): BuiltinEffect | undefined {
  const known = exact.get(name)
  if (known !== undefined) return known
  return prefixes.find(([start, end]) => name.startsWith(start) && name.endsWith(end))?.[2]
}

/** Relations of `pg_catalog` that show credentials or what guards the server. */
const sensitiveRelations = new Map<string, EffectClass>([
  ['pg_authid', 'grant'],
  ['pg_shadow', 'grant'],
  ['pg_user_mapping', 'grant'],
  ['pg_user_mappings', 'grant'],
  ['pg_subscription', 'grant'],
  ['pg_hba_file_rules', 'admin'],
  ['pg_ident_file_mappings', 'admin'],
  ['pg_file_settings', 'admin'],
])

/** The class of reading a system relation, where it is more than `read`. */
export function sensitiveRelation(name: string): EffectClass | undefined {
  return sensitiveRelations.get(name)
}
