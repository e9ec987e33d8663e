import type { ObjectName } from '@sallyport/core'
import { builtinEffect } from './classify/builtin-effects.ts'
import type {
  CatalogCast,
  CatalogFunction,
  RelationCode,
  RowEvent,
  StoredCode,
} from './classify/stored-code.ts'
import { firstUserOid, push, type Ask } from './catalog-rows.ts'
import type { Functions } from './catalog-functions.ts'
import type { CatalogTypes } from './catalog-types.ts'

/** An operator may be exchanged for its commutator or negator when the statement is planned. */
const operatorsSql = `select o.oprname, o.oprcode::oid, c.oprcode::oid, n.oprcode::oid from pg_operator o
  left join pg_operator c on c.oid = o.oprcom
  left join pg_operator n on n.oid = o.oprnegate
  where greatest(o.oid, o.oprcom, o.oprnegate) >= ${firstUserOid}`
const castsSql = `select t.typname, c.castcontext, c.castfunc, c.castsource from pg_cast c join pg_type t on t.oid = c.casttarget
  where c.oid >= ${firstUserOid} and c.castfunc <> 0`
const impliedSql = `select amproc::oid from pg_amproc where oid >= ${firstUserOid}
  union select rngcanonical::oid from pg_range where rngtypid >= ${firstUserOid}
  union select rngsubdiff::oid from pg_range where rngtypid >= ${firstUserOid}`
/** A trigger that is copied to partitions may be marked as internal; the server's own triggers call the server's own functions. */
const triggersSql = `select tgrelid, tgtype, tgfoid, case when tgqual is null then '' else pg_get_triggerdef(oid) end
  from pg_trigger where tgenabled <> 'D' and (not tgisinternal or tgfoid >= ${firstUserOid})`
const rulesSql = `select ev_class, ev_type, pg_get_ruledef(oid) from pg_rewrite
  where ev_enabled <> 'D' and ev_class >= ${firstUserOid}`
const cascadesSql = `select confrelid, conrelid, confdeltype, confupdtype from pg_constraint
  where contype = 'f' and (confdeltype in ('c', 'n', 'd') or confupdtype in ('c', 'n', 'd'))`
const expressionsSql = `select adrelid, 'w', pg_get_expr(adbin, adrelid) from pg_attrdef
  union all select conrelid, 'w', pg_get_expr(conbin, conrelid) from pg_constraint where contype = 'c' and conrelid <> 0
  union all select indrelid, 'm', pg_get_expr(indexprs, indrelid) from pg_index where indexprs is not null
  union all select indrelid, 'm', pg_get_expr(indpred, indrelid) from pg_index where indpred is not null
  union all select partrelid, 'w', pg_get_expr(partexprs, partrelid) from pg_partitioned_table where partexprs is not null
  union all select polrelid, 'p' || polcmd::text, pg_get_expr(polqual, polrelid) from pg_policy where polqual is not null
  union all select polrelid, 'p' || polcmd::text, pg_get_expr(polwithcheck, polrelid) from pg_policy where polwithcheck is not null`
const eventTriggersSql = "select evtfoid from pg_event_trigger where evtenabled <> 'D'"

/** Bits of `pg_trigger.tgtype` (catalog/pg_trigger.h). */
const triggerEvents: readonly (readonly [bit: number, event: RowEvent])[] = [
  [4, 'insert'],
  [8, 'delete'],
  [16, 'update'],
  [32, 'truncate'],
]
const ruleEvents: Readonly<Record<string, RowEvent>> = {
  1: 'select',
  2: 'update',
  3: 'insert',
  4: 'delete',
}
/** Defaults, checks and partition keys run on writes, index expressions in maintenance too, a policy where its command says. */
const expressionEvents: Readonly<Record<string, readonly RowEvent[]>> = {
  w: ['insert', 'update'],
  m: ['insert', 'update', 'maintain'],
  pr: ['select'],
  pa: ['insert'],
  pw: ['update'],
  pd: ['delete'],
  'p*': ['select', 'insert', 'update', 'delete'],
}

/** What the target runs without being told to, and the names by which a relation's code is found. */
export interface CodeSource {
  readonly ask: Ask
  readonly functions: Functions
  readonly types: CatalogTypes
  nameOf(relation: number): ObjectName | undefined
  /** All relations. */
  readonly relations: readonly number[]
}

/** Reads the target's own code. The session's search path must be `pg_catalog` alone, so that every other name comes qualified. */
export async function readStoredCode(source: CodeSource): Promise<StoredCode> {
  const { ask, functions, types } = source
  const calls = (oid: string | undefined): readonly CatalogFunction[] => {
    const fn = functions.get(Number(oid))
    return fn === undefined || isHarmless(fn) ? [] : [fn]
  }
  const operators = new Map<string, CatalogFunction[]>()
  for (const [sign = '', ...codes] of await ask(operatorsSql)) {
    for (const fn of codes.flatMap(calls)) push(operators, sign, fn)
  }
  const casts: CatalogCast[] = []
  for (const [target = '', context, code, source] of await ask(castsSql)) {
    const runs = context === 'e' ? 'where-written' : context === 'a' ? 'on-assignment' : 'anywhere'
    for (const fn of calls(code)) casts.push({ source: Number(source), target, runs, calls: fn })
  }
  const implicit = new Set<CatalogFunction>()
  for (const [code] of await ask(impliedSql)) for (const fn of calls(code)) implicit.add(fn)
  const relations = await readRelationCode(source)
  const relationOids = new Map<string, number>()
  for (const oid of source.relations) {
    const name = source.nameOf(oid)
    if (name !== undefined) relationOids.set(keyOf(name), oid)
  }
  const eventTriggers = (await ask(eventTriggersSql)).flatMap(
    ([code]) => functions.get(Number(code)) ?? [],
  )
  return {
    operatorFunctions: (sign) => operators.get(sign) ?? [],
    checksOf: (name) => types.checksNamed(name),
    casts,
    mayHold: (type, names, typeNames) => {
      const oids = names.flatMap((name) => relationOids.get(keyOf(name)) ?? [])
      return types.mayHold(type, oids, typeNames)
    },
    implicit: [...implicit],
    ofRelation: ([schema, name]) => relations.get(keyOf([schema ?? '', name ?? ''])) ?? [],
    eventTriggers,
  }
}

/** Functions in C behind operators and the like compute, unless a list says more. Extensions have hundreds of them. */
function isHarmless(fn: CatalogFunction): boolean {
  return fn.language === 'c' && builtinEffect(fn.name) === undefined
}

async function readRelationCode(
  source: CodeSource,
): Promise<ReadonlyMap<string, readonly RelationCode[]>> {
  const { ask, functions, types } = source
  const found = new Map<string, RelationCode[]>()
  const add = (relation: string | number | undefined, code: RelationCode): void => {
    const name = source.nameOf(Number(relation))
    if (name !== undefined) push(found, keyOf(name), code)
  }
  for (const [relation, bits, code, definition] of await ask(triggersSql)) {
    const fn = functions.get(Number(code))
    for (const [bit, event] of triggerEvents) {
      if ((Number(bits) & bit) === 0 || fn === undefined) continue
      add(relation, { event, calls: fn, ...(definition === '' ? {} : { definition }) })
    }
  }
  for (const [relation, type = '', definition = ''] of await ask(rulesSql)) {
    add(relation, { event: ruleEvents[type] ?? 'select', definition })
  }
  for (const [relation, kind = '', expression = ''] of await ask(expressionsSql)) {
    for (const event of expressionEvents[kind] ?? []) {
      add(relation, { event, definition: `SELECT ${expression}` })
    }
  }
  for (const relation of source.relations) {
    for (const definition of types.checksOfRelation(relation)) {
      for (const event of ['insert', 'update'] as const) add(relation, { event, definition })
    }
  }
  for (const [parent, child, onDelete = '', onUpdate = ''] of await ask(cascadesSql)) {
    const relation = source.nameOf(Number(child))
    if (relation === undefined) continue
    const deleted = { relation, effect: 'delete', event: 'delete' } as const
    const changed = { relation, effect: 'write', event: 'update' } as const
    if ('cnd'.includes(onDelete))
      add(parent, { event: 'delete', cascade: onDelete === 'c' ? deleted : changed })
    if ('cnd'.includes(onUpdate)) add(parent, { event: 'update', cascade: changed })
  }
  return found
}

function keyOf(name: ObjectName): string {
  return name.join('\0')
}
