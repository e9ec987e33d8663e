import { at, list, text, words, type Tree } from '../classify/tree.ts'
import type { Context, Place } from './context.ts'
import type { LineageFunction } from './lineage-catalog.ts'
import { flowsOf } from './outputs.ts'
import { reference } from './reference-rules.ts'
import { derived, failing, isTainted, type Flow } from './flow.ts'

/** Types whose text form every value has, so that a cast to them never fails. */
const textTypes = new Set(['text', 'varchar', 'bpchar', 'name'])

const oids = {
  int8: 20,
  int2: 21,
  int4: 23,
  text: 25,
  float4: 700,
  float8: 701,
  bpchar: 1042,
  varchar: 1043,
  numeric: 1700,
}
const textOids: ReadonlySet<number> = new Set([oids.text, oids.varchar, oids.bpchar])

/** Casts that hold every value of the type they come from. */
const widening: Readonly<Record<string, readonly number[]>> = {
  int4: [oids.int2],
  int8: [oids.int2, oids.int4],
  numeric: [oids.int2, oids.int4, oids.int8],
  float8: [oids.int2, oids.int4, oids.int8, oids.float4],
  float4: [oids.int2],
}

/** `value::type`. A text that stays one is the same value; everything else is computed. */
export function castFlow(body: Tree, place: Place, context: Context): Flow {
  const value = context.expression(at(body, 'arg'), place)
  const type = at(body, 'typeName') ?? {}
  const names = words(list(type, 'names'))
  const name = names.at(-1) ?? ''
  const isOwn = context.catalog.isOwnType(name) && names[0] !== 'pg_catalog'
  const own = context.ownCall(castsOf(at(body, 'arg') ?? {}, name, place, context), [value], place)
  const behind = own.columns.map(({ flow }) => flow)
  const isArray = list(type, 'arrayBounds').length > 0
  const isConstant = 'A_Const' in (at(body, 'arg') ?? {}) || 'ParamRef' in (at(body, 'arg') ?? {})
  if (!isTainted(value) && behind.length === 0) {
    return isConstant || isSafe(name, value, isOwn || isArray) ? value : failing(value)
  }
  const isBare = list(type, 'typmods').length === 0
  if (!isOwn && !isArray && behind.length === 0 && isSafe(name, value, false)) {
    const isSame = isBare && name !== 'name' && isText(value)
    return isSame ? value : derived([value, value])
  }
  context.facts.partial(value, `a cast to ${name}`)
  return failing(derived([value, ...behind, value]))
}

/** Casts of the database's own that may be meant: a constant is read by its type, and a column has one that is known. */
function castsOf(
  arg: Tree,
  type: string,
  place: Place,
  context: Context,
): readonly LineageFunction[] {
  if ('A_Const' in arg || 'ParamRef' in arg) return []
  const names = words(list(at(arg, 'ColumnRef') ?? {}, 'fields'))
  const known = context.catalog.castsTo(type)
  if (known.length === 0 || names.length === 0) return known
  return context.catalog.castsTo(type, reference(names, place, context).column?.typeOid)
}

/** A value where it is stored or returned: a cast on assignment may run, and which one depends on types that are not known here. */
export function assignedFlow(flow: Flow, value: Tree | undefined, context: Context): Flow {
  if (value !== undefined && ('A_Const' in value || 'ParamRef' in value)) return flow
  const behind = flowsOf(context.calledByName(context.catalog.castsTo('='), flow))
  return behind.some(isTainted) ? derived([flow, ...behind]) : flow
}

function isText(value: Flow): boolean {
  return value.isExact && [...value.sources.keys()].every(({ typeOid }) => textOids.has(typeOid))
}

function isSafe(name: string, value: Flow, isOther: boolean): boolean {
  if (isOther) return false
  if (textTypes.has(name)) return true
  const from = widening[name]
  if (from === undefined || !isTainted(value) || !value.isExact) return false
  return [...value.sources.keys()].every(({ typeOid }) => from.includes(typeOid))
}

/** The name of a type as it is written last: `pg_catalog.int4` is `int4`. */
export function typeName(type: Tree): string {
  return text(at(list(type, 'names').at(-1) ?? {}, 'String') ?? {}, 'sval')
}
