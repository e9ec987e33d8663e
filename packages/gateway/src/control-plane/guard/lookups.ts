import { ident, literal, type MaskSet, matchesColumn, qualified } from '@sallyport/core'
import type { GuardRelation } from './guard-catalog.ts'
import type { GuardNames } from './guard-names.ts'
import type { Lookup, LookupOptions, SetContext, Statement } from './plan-types.ts'
import { asRole, maskedOutputs, nameOf, twinOf } from './set-parts.ts'

/** PostgreSQL cuts longer names, so two functions could become one. */
const nameBytesMax = 63

/** Types with a larger number were made in the database: what their comparison does, only it knows. */
const firstOwnType = 16_384

/** One counter for each mask set. A sequence is not undone by ROLLBACK, so neither is a look-up. */
export function planLookupBudget(
  names: GuardNames,
  sets: readonly MaskSet[],
  lookup: LookupOptions | undefined,
): Statement[] {
  if (lookup === undefined) return []
  const step = 'look-ups'
  return sets.flatMap(({ id }) => {
    const sequence = qualified(names.privateSchema, `lookups_${id}`)
    return [
      { step, sql: `create sequence if not exists ${sequence} as bigint minvalue 0` },
      { step, sql: `alter sequence ${sequence} owner to ${ident(names.owner)}` },
    ]
  })
}

/** A function for each column: it takes one value, and returns the rows that have it, masked. */
export function planLookups(context: SetContext): {
  statements: Statement[]
  functions: Lookup[]
} {
  const { input, sorted } = context
  const { lookup } = input.options
  const functions: Lookup[] = []
  const statements: Statement[] = []
  if (lookup === undefined) return { statements, functions }
  for (const table of sorted.maskedTables) {
    for (const column of table.columns) {
      const isMasked = sorted.masked.get(table.oid)?.has(column.attribute) === true
      const path = [table.schema, table.name, column.name] as const
      const isNamed = lookup.columns.some((pattern) => matchesColumn(pattern, path))
      if (!isMasked || !isNamed) continue
      const made = lookupFunction(context, table, column)
      if (made === undefined) continue
      statements.push(...made.statements)
      functions.push(made.lookup)
    }
  }
  return { statements, functions }
}

function lookupFunction(
  context: SetContext,
  table: GuardRelation,
  column: GuardRelation['columns'][number],
): { statements: Statement[]; lookup: Lookup } | undefined {
  const { input, set, schemas, notes } = context
  const { names, options } = input
  const { count, windowSeconds } = options.lookup ?? { count: 0, windowSeconds: 1 }
  const name = `lookup_${table.name}_${column.name}`
  const isOwnType = column.typeOid >= firstOwnType && !column.isTextAlias
  if (isOwnType || Buffer.byteLength(name) > nameBytesMax) {
    const why = isOwnType ? "its type is the database's own" : 'its name would be too long'
    notes.push(`${nameOf(table)}.${ident(column.name)} has no look-up: ${why}`)
    return undefined
  }
  const schema = schemas[table.schema] ?? ''
  const twin = twinOf(context, table)
  const sequence = literal(qualified(names.privateSchema, `lookups_${set.id}`))
  const type = column.type.replace(/\(.*\)/u, '')
  const fn = qualified(schema, name)
  const outputs = maskedOutputs(context, table).map(({ column: each, value }) =>
    each.isReadable ? value : `null::${each.type}`,
  )
  const login = ident(names.login(set.id))
  const body = `declare used bigint; free_from bigint;
begin
  if wanted is null then return; end if;
  perform pg_advisory_lock(hashtextextended(${sequence}, 0));
  used := nextval(${sequence}::regclass);
  free_from := floor(extract(epoch from clock_timestamp()) / ${windowSeconds})::bigint * ${count};
  if used <= free_from then used := free_from + 1; perform setval(${sequence}::regclass, used); end if;
  perform pg_advisory_unlock(hashtextextended(${sequence}, 0));
  if used > free_from + ${count} then
    raise exception 'the look-ups of this time are used up' using errcode = '53400',
      detail = '${count} look-ups in ${windowSeconds} seconds are allowed.', hint = 'Retry later. (SP_BUDGET_SPENT)';
  end if;
  return query select ${outputs.join(', ')} from ${nameOf(table)} as t where t.${ident(column.name)} = wanted;
end`
  const about = nameOf(table)
  const step = 'look-ups'
  return {
    lookup: { name: `${schema}.${name}`, table: [table.schema, table.name] },
    statements: asRole(names.owner, [
      {
        step,
        about,
        sql: `create function ${fn} (wanted ${type}) returns setof ${twin} language plpgsql volatile security definer set search_path = pg_catalog as ${literal(body)}`,
      },
      { step, about, sql: `revoke all on function ${fn} (${type}) from public` },
      { step, about, sql: `grant execute on function ${fn} (${type}) to ${login}` },
    ]),
  }
}
