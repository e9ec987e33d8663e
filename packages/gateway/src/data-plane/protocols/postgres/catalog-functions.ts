import { firstUserOid, push, type Ask } from './catalog-rows.ts'
import type { CatalogFunction } from './classify/stored-code.ts'
import type { CatalogTypes } from './catalog-types.ts'

/** Longer bodies are not read, and a call of one is unknown. Twice the longest function of a large application. */
const bodyBytesMax = 65_536

const functionsSql = `select p.oid, n.nspname, p.proname, p.provolatile, l.lanname, p.prosecdef, p.proargtypes, p.prorettype,
    case when p.oid >= ${firstUserOid} and l.lanname in ('sql', 'plpgsql') and p.prokind <> 'a'
      and octet_length(p.prosrc) <= ${bodyBytesMax} then pg_get_functiondef(p.oid) end,
    e.extname
  from pg_proc p
  join pg_namespace n on n.oid = p.pronamespace
  join pg_language l on l.oid = p.prolang
  left join pg_depend d on p.oid >= ${firstUserOid} and d.classid = 'pg_proc'::regclass and d.objid = p.oid
    and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
  left join pg_extension e on e.oid = d.refobjid`

const aggregatesSql = `select aggfnoid::oid, aggtransfn::oid, aggfinalfn::oid, aggcombinefn::oid, aggserialfn::oid,
    aggdeserialfn::oid, aggmtransfn::oid, aggminvtransfn::oid, aggmfinalfn::oid
  from pg_aggregate where aggfnoid::oid >= ${firstUserOid}`

/** The functions of one database, by oid. */
export type Functions = ReadonlyMap<number, CatalogFunction>

/** Reads all functions. The session's search path must be `pg_catalog` alone, so that every other name comes qualified. */
export async function readFunctions(ask: Ask, types: CatalogTypes): Promise<Functions> {
  const functions = new Map<number, CatalogFunction>()
  for (const row of await ask(functionsSql)) functions.set(Number(row[0]), functionOf(row, types))
  const behind = new Map<number, CatalogFunction[]>()
  for (const [aggregate, ...parts] of await ask(aggregatesSql)) {
    for (const part of parts) {
      const fn = functions.get(Number(part))
      if (fn !== undefined) push(behind, Number(aggregate), fn)
    }
  }
  for (const [oid, parts] of behind) {
    const fn = functions.get(oid)
    if (fn !== undefined) functions.set(oid, { ...fn, behind: parts })
  }
  return functions
}

function functionOf(row: readonly string[], types: CatalogTypes): CatalogFunction {
  const [oid, schema = '', name = '', volatility, language = '', definer, parameters, result] = row
  const [definition = '', extension = ''] = row.slice(8)
  const isUser = Number(oid) >= firstUserOid
  const typeOids = isUser ? [...(parameters ?? '').split(' '), result].map(Number) : []
  const checks = typeOids.flatMap((type) => types.checksOf(type))
  return {
    schema,
    name,
    volatility: volatility === 'i' || volatility === 's' ? volatility : 'v',
    language,
    securityDefiner: definer === 't',
    ...(definition === '' ? {} : { definition }),
    ...(extension === '' ? {} : { extension }),
    ...(checks.length === 0 ? {} : { checks }),
    ...(schema === 'pg_catalog' && !isUser ? { isBuiltin: true as const } : {}),
  }
}
