import type { ObjectName } from '@sallyport/core'
import type { HoldAsked, TargetQuestions } from '../../../boundary/approvals.ts'
import { told, unknown, type TableEffect, type Told } from './preview.ts'
import type { TargetQuestioner } from './target-questioner.ts'

/** A statement that names more is not followed table by table. */
const tablesMax = 20
const cascadeDepthMax = 8
const linesMax = 100

/** Table, rows by statistics, and kind of relation. */
const tablesText = `
  select pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), c.reltuples::pg_catalog.text,
         c.relkind::pg_catalog.text, c.oid::pg_catalog.text
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = $1 and c.relname = $2`

/** Triggers of people's own that this event sets off; the bits are those of pg_trigger.tgtype. */
const triggersText = `
  select pg_catalog.quote_ident(t.tgname) || ' calls ' || p.oid::pg_catalog.regprocedure::pg_catalog.text
  from pg_catalog.pg_trigger t join pg_catalog.pg_proc p on p.oid = t.tgfoid
  where t.tgrelid = $1::pg_catalog.oid and not t.tgisinternal and t.tgenabled <> 'D'
    and (t.tgtype & $2::pg_catalog.int4) <> 0
  order by t.tgname limit ${linesMax}`

/** Foreign keys that take rows of other tables along, from table to table. */
const cascadesText = `
  with recursive way as (
    select k.conrelid as rel, case when $2 = 'delete' then k.confdeltype else k.confupdtype end as does, 1 as depth,
           array[k.conrelid] as seen
    from pg_catalog.pg_constraint k
    where k.confrelid = $1::pg_catalog.oid and k.contype = 'f'
      and case when $2 = 'delete' then k.confdeltype else k.confupdtype end in ('c', 'n', 'd')
    union all
    select k.conrelid, case when $2 = 'delete' then k.confdeltype else k.confupdtype end, way.depth + 1,
           way.seen || k.conrelid
    from way join pg_catalog.pg_constraint k on k.confrelid = way.rel and k.contype = 'f'
    where way.does = 'c' and way.depth < ${cascadeDepthMax} and not k.conrelid = any (way.seen)
      and case when $2 = 'delete' then k.confdeltype else k.confupdtype end in ('c', 'n', 'd'))
  select distinct rel::pg_catalog.regclass::pg_catalog.text, does::pg_catalog.text, depth::pg_catalog.text
  from way order by 3, 1 limit ${linesMax}`

/** What TRUNCATE … CASCADE would empty as well. */
const truncatedText = `
  with recursive way as (
    select k.conrelid as rel from pg_catalog.pg_constraint k
    where k.confrelid = $1::pg_catalog.oid and k.contype = 'f'
    union
    select k.conrelid from way join pg_catalog.pg_constraint k on k.confrelid = way.rel and k.contype = 'f')
  select rel::pg_catalog.regclass::pg_catalog.text from way order by 1 limit ${linesMax}`

const insertBit = 4
const deleteBit = 8
const updateBit = 16
const truncateBit = 32
const eventBits: Readonly<Record<string, number>> = {
  insert: insertBit | updateBit,
  update: updateBit,
  delete: deleteBit,
  truncate: truncateBit,
  merge: insertBit | deleteBit | updateBit,
}
const does: Readonly<Record<string, string>> = {
  c: 'CASCADE',
  n: 'SET NULL',
  d: 'SET DEFAULT',
}

/** What the catalog knows of the tables that a statement changes. */
export async function tableEffects(
  target: TargetQuestioner,
  { verb }: HoldAsked,
  changes: TargetQuestions['changes'],
): Promise<Told<readonly TableEffect[]>> {
  if ('why' in changes) return unknown(changes.why)
  const { names } = changes
  if (names.length > tablesMax) return unknown(`it names ${names.length} tables`)
  const found: TableEffect[] = []
  for (const name of names) {
    const effect = await oneTable(target, name, verb)
    if (effect === undefined) return unknown(`${name.join('.')} is not in the catalog`)
    found.push(effect)
  }
  return told(found, "the target's catalog")
}

/** Whether a plan of these objects would be made by another server as well, which the planner asks. */
export async function namesForeign(
  target: TargetQuestioner,
  objects: readonly ObjectName[],
): Promise<boolean> {
  const { rows } = await target.ask({
    text: `
      select 1 from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.relkind = 'f' and (n.nspname::pg_catalog.text, c.relname::pg_catalog.text) in (
        select o ->> 0, o ->> 1 from pg_catalog.jsonb_array_elements($1::pg_catalog.jsonb) o)`,
    values: [JSON.stringify(objects)],
    types: [],
    settings: [],
  })
  return rows.length > 0
}

async function oneTable(
  target: TargetQuestioner,
  [schema = '', table = '']: ObjectName,
  verb: string,
): Promise<TableEffect | undefined> {
  const ask = async (text: string, ...values: string[]): Promise<readonly (string | null)[][]> =>
    (await target.ask({ text, values, types: [], settings: [] })).rows.map((row) => [...row])
  const [first] = await ask(tablesText, schema, table)
  if (first === undefined) return undefined
  const [name, tuples, kind, oid] = first.map(String)
  const event = verb === 'merge' ? 'delete' : verb
  const cascades =
    verb === 'truncate'
      ? (await ask(truncatedText, oid ?? '')).map(([rel]) => `${rel} (only with CASCADE)`)
      : event === 'delete' || event === 'update'
        ? (await ask(cascadesText, oid ?? '', event)).map(
            ([rel, how]) => `${rel} (ON ${event.toUpperCase()} ${does[how ?? ''] ?? ''})`,
          )
        : []
  const triggers = await ask(triggersText, oid ?? '', String(eventBits[verb] ?? 0))
  return {
    name: name ?? '',
    rows: rowsOf(Number(tuples), kind ?? ''),
    cascades,
    triggers: triggers.map(([text]) => text ?? ''),
  }
}

/** pg_class.reltuples is -1 until somebody has counted. */
function rowsOf(tuples: number, kind: string): Told<number> {
  if (kind !== 'r' && kind !== 'p' && kind !== 'm') return unknown('it is no table')
  if (!Number.isFinite(tuples) || tuples < 0) return unknown('the table was never analyzed')
  return told(tuples, 'statistics')
}
