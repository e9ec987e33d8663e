import { COARSE_CLASSES, EFFECT_CLASSES, type Effects, type SqlEffects } from '@sallyport/core'
import type { Classified } from './classified.ts'

/** The effects of several statements in one message: all of them, and the verb of the most consequential. */
export function mergeEffects(all: readonly Effects[]): Effects {
  const only = all[0]
  if (only !== undefined && all.length === 1) return only
  const top = COARSE_CLASSES.find((one) => all.some((effects) => effects.class === one)) ?? 'read'
  const head = headOf(all.filter((effects) => effects.class === top))
  const sqls = all.flatMap((effects) => effects.sql ?? [])
  return {
    class: top,
    classes:
      all.length === 0
        ? ['read']
        : EFFECT_CLASSES.filter((one) => all.some((effects) => effects.classes.includes(one))),
    verb: head?.verb ?? '',
    objects: unique(all.flatMap((effects) => effects.objects)),
    accesses: unique(all.flatMap((effects) => effects.accesses)),
    unbounded: all.some((effects) => effects.unbounded),
    opaque: unique(all.flatMap((effects) => effects.opaque)),
    persists: all.some((effects) => effects.persists),
    sql: mergeSql(sqls, head?.sql),
  }
}

/** Among statements of one class these say most of what will be missed afterwards. */
const verbRank = ['drop', 'truncate', 'delete', 'revoke', 'grant', 'reassign', 'alter', 'update']
const kindRank = ['database', 'schema', 'owned', 'role', 'tablespace', 'extension', 'table']

/** The statement that speaks for all: order in the text must not decide, or a harmless one in front would hide it. */
function headOf(all: readonly Effects[]): Effects | undefined {
  const rank = (list: readonly string[], word: string): number => {
    const at = list.indexOf(word)
    return at < 0 ? list.length : at
  }
  const rankOf = ({ verb, sql }: Effects): number =>
    rank(verbRank, verb) * (kindRank.length + 1) + rank(kindRank, sql?.objectKind ?? '')
  let head = all[0]
  for (const one of all) if (head !== undefined && rankOf(one) < rankOf(head)) head = one
  return head
}

function mergeSql(sqls: readonly SqlEffects[], head: SqlEffects | undefined): SqlEffects {
  const writing = sqls.filter((sql) => sql.writes.length > 0)
  return {
    dialect: 'postgres',
    objectKind: [head, ...sqls].find((sql) => (sql?.objectKind ?? '') !== '')?.objectKind ?? '',
    actions: unique(sqls.flatMap((sql) => sql.actions)),
    reads: unique(sqls.flatMap((sql) => sql.reads)),
    writes: unique(sqls.flatMap((sql) => sql.writes)),
    columns: unique(sqls.flatMap((sql) => sql.columns)),
    predicateColumns: unique(sqls.flatMap((sql) => sql.predicateColumns)),
    functions: unique(sqls.flatMap((sql) => sql.functions)),
    statements: sqls.reduce((sum, sql) => sum + sql.statements, 0),
    // A limit of one statement says nothing about another.
    limit: sqls.length === 1 ? (sqls[0]?.limit ?? 0) : 0,
    hasWhere: sqls.some((sql) => sql.hasWhere),
    tempOnly: writing.length > 0 && writing.every((sql) => sql.tempOnly),
    fileAccess: sqls.some((sql) => sql.fileAccess),
  }
}

function unique<T>(values: readonly T[]): readonly T[] {
  return [...new Map(values.map((value) => [JSON.stringify(value), value])).values()]
}

/** Puts the session's prepared statements in the place of EXECUTE. A name that `lookup` does not know stays unknown. */
export function withPrepared(
  classified: Classified,
  lookup: (name: string) => Classified | undefined,
): Classified {
  if (!classified.statements.some((statement) => statement.kind === 'execute')) return classified
  const statements = classified.statements.map((statement) => {
    const prepared = statement.kind === 'execute' ? lookup(statement.name ?? '') : undefined
    if (prepared === undefined || statement.argumentEffects === undefined) return statement
    const merged = mergeEffects([statement.argumentEffects, prepared.effects])
    // EXECUTE and what it executes are one statement, and the inner verb is what happens.
    const sql = merged.sql && {
      ...merged.sql,
      statements: 1,
      limit: prepared.effects.sql?.limit ?? 0,
    }
    const effects: Effects = { ...merged, verb: prepared.effects.verb, ...(sql && { sql }) }
    return { ...statement, effects, prepared }
  })
  return { ...classified, statements, effects: mergeEffects(statements.map((one) => one.effects)) }
}
