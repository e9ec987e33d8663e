import type { ObjectName, PgTypeInfo } from '@sallyport/core'
import type { ConnectionConfig } from '../../../boundary/snapshot.ts'
import { withTarget } from './ask-target.ts'
import { readStoredCode } from './catalog-code.ts'
import { readFingerprint } from './catalog-fingerprint.ts'
import { FormerNames } from './former-names.ts'
import { readFunctions } from './catalog-functions.ts'
import { push } from './catalog-rows.ts'
import { readTypes, type CatalogTypes } from './catalog-types.ts'
import type { CatalogView } from './classify/classified.ts'
import type { CatalogFunction, StoredCode } from './classify/stored-code.ts'
import { readLineageRows, type LineageRows } from './lineage/lineage-rows.ts'
import { LineageDatabase } from './lineage/session-catalog.ts'

/** One relation of the target. */
export interface Relation {
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly kind: string
  readonly columns: Map<
    number,
    {
      readonly name: string
      readonly typeOid: number
      readonly typmod: number
      /** True where no NULL can stand in it. */
      readonly isNotNull?: boolean
    }
  >
}

/** The masked relations of a guard are left out: callers use the names of those that they stand for. */
const relationsSql = `select c.oid, n.nspname, c.relname, c.relkind, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
  left join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid
    and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped
  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and n.nspname operator(pg_catalog.!~) '^sallyport_'`
const parentsSql = 'select inhrelid, inhparent from pg_catalog.pg_inherits'
const viewsSql = `select distinct r.ev_class, d.refobjid from pg_catalog.pg_rewrite r
  join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid
    and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> r.ev_class`
const pathSql = "select pg_catalog.array_to_string(pg_catalog.current_schemas(true), '\u0001')"
/** Definitions then name every object with its schema, whatever path the login has. */
const bareNamesSql = 'set search_path to pg_catalog'
const versionSql = 'show server_version_num'

/** What the target's objects are: read over a connection of the gateway's own, never in a caller's session. Immutable. */
export class Catalog {
  readonly generation: number
  /** What `readFingerprint` said before it was read. */
  readonly fingerprint: string
  /** What lineage asks of it. */
  readonly lineage: LineageDatabase
  readonly relations: ReadonlyMap<number, Relation>
  /** Names of before, where the catalog had been read then. */
  readonly former: FormerNames
  readonly #below: ReadonlyMap<number, readonly number[]>
  readonly #byName = new Map<string, Relation[]>()
  readonly #functions = new Map<string, CatalogFunction[]>()
  readonly #functionNames: ReadonlyMap<number, CatalogFunction>
  readonly #code: StoredCode
  readonly #types: CatalogTypes | undefined
  readonly #searchPath: readonly string[]

  constructor(generation: number, rows: CatalogRows) {
    this.generation = generation
    this.fingerprint = rows.fingerprint
    this.relations = rows.relations
    this.former = rows.former
    this.#below = rows.below
    this.#functionNames = rows.functions
    this.#code = rows.code
    this.#types = rows.types
    this.#searchPath = rows.searchPath
    this.lineage = new LineageDatabase(rows)
    for (const relation of rows.relations.values()) push(this.#byName, relation.name, relation)
    for (const fn of rows.functions.values())
      if (fn.isBuiltin !== true) push(this.#functions, fn.name, fn)
  }

  /** Schemas in which the connection's own login looks for names. */
  get searchPath(): readonly string[] {
    return this.#searchPath
  }

  /** Every relation that a name, qualified or not, can mean. */
  named(name: ObjectName): readonly Relation[] {
    const [schema, table] = name.length > 1 ? name.slice(-2) : [undefined, name[0]]
    const found = this.#byName.get(table ?? '') ?? []
    return schema === undefined ? found : found.filter((relation) => relation.schema === schema)
  }

  /** What a type that the database made itself is, for the masks of its values. */
  typeInfo(typeOid: number): PgTypeInfo | undefined {
    return this.#types?.info(typeOid)
  }

  functionName(oid: number): readonly [schema: string, name: string] | undefined {
    const fn = this.#functionNames.get(oid)
    return fn === undefined ? undefined : [fn.schema, fn.name]
  }

  /** The catalog as a session sees it. Without a known search path an unqualified name stands for all that bear it. */
  view(isPathKnown: boolean, trustedFunctions: ReadonlySet<string>): CatalogView {
    return {
      generation: this.generation * 2 + (isPathKnown ? 1 : 0),
      trustedFunctions,
      code: this.#code,
      resolve: (name, path = isPathKnown ? this.#searchPath : 'any') => this.#resolve(name, path),
      baseRelations: (name) =>
        this.named(name)
          .flatMap((relation) =>
            [...this.#allBelow(relation.oid)].filter((oid) => oid !== relation.oid),
          )
          .flatMap((oid) => nameOf(this.relations.get(oid))),
      isNotNull: (name, column) =>
        this.named(name).some((relation) =>
          [...relation.columns.values()].some(
            (one) => one.name === column && one.isNotNull === true,
          ),
        ),
      functionsNamed: (name) => this.#functions.get(name) ?? [],
    }
  }

  #resolve(name: ObjectName, path: readonly string[] | 'any'): readonly ObjectName[] {
    const found = this.named(name)
    if (name.length > 1 || path === 'any') return found.flatMap(nameOf)
    for (const schema of path) {
      const relation = found.find((candidate) => candidate.schema === schema)
      if (relation !== undefined) return nameOf(relation)
    }
    return []
  }

  #allBelow(oid: number): Set<number> {
    return reach(oid, this.#below)
  }
}

interface CatalogRows {
  readonly fingerprint: string
  readonly relations: ReadonlyMap<number, Relation>
  readonly former: FormerNames
  /** A view's relations, and a table's children. */
  readonly below: ReadonlyMap<number, readonly number[]>
  readonly functions: ReadonlyMap<number, CatalogFunction>
  readonly code: StoredCode
  readonly types?: CatalogTypes
  readonly searchPath: readonly string[]
  readonly lineage: LineageRows
}

/** Reads the catalog of one database with the connection's own login. */
export async function readCatalog(
  config: ConnectionConfig,
  database: string,
  generation: number,
  before?: Catalog,
): Promise<Catalog> {
  const parameters = { database, application_name: 'sallyport catalog' }
  return await withTarget(config, parameters, async (ask) => {
    const path = await ask(pathSql)
    // First: a change while the rest is read shows as another one.
    const fingerprint = await readFingerprint(ask)
    await ask(bareNamesSql)
    const [version] = await ask(versionSql)
    const relations = relationsOf(await ask(relationsSql))
    const below = new Map<number, number[]>()
    for (const [child, parent] of await ask(parentsSql)) {
      push(below, Number(parent), Number(child))
    }
    for (const [view, relation] of await ask(viewsSql)) push(below, Number(view), Number(relation))
    const types = await readTypes(ask, Number(version?.[0]))
    const functions = await readFunctions(ask, types)
    const code = await readStoredCode({
      ask,
      functions,
      types,
      relations: [...relations.keys()],
      nameOf: (oid) => nameOf(relations.get(oid))[0],
    })
    return new Catalog(generation, {
      fingerprint,
      relations,
      former: before === undefined ? FormerNames.none : FormerNames.since(before, relations),
      below,
      functions,
      code,
      types,
      searchPath: (path[0]?.[0] ?? '').split('\u0001'),
      lineage: await readLineageRows(ask),
    })
  })
}

function relationsOf(rows: readonly string[][]): Map<number, Relation> {
  const relations = new Map<number, Relation>()
  for (const [oidText, schema, name, kind, attribute, column, typeOid, typmod, notNull] of rows) {
    const oid = Number(oidText)
    let relation = relations.get(oid)
    if (relation === undefined) {
      relation = {
        oid,
        schema: schema ?? '',
        name: name ?? '',
        kind: kind ?? '',
        columns: new Map(),
      }
      relations.set(oid, relation)
    }
    if (attribute === undefined || attribute === '') continue
    relation.columns.set(Number(attribute), {
      name: column ?? '',
      typeOid: Number(typeOid),
      typmod: Number(typmod),
      isNotNull: notNull === 't',
    })
  }
  return relations
}

function nameOf(relation: Relation | undefined): ObjectName[] {
  return relation === undefined ? [] : [[relation.schema, relation.name]]
}

/** All that can be reached from `oid`, itself included. */
function reach(oid: number, edges: ReadonlyMap<number, readonly number[]>): Set<number> {
  const found = new Set([oid])
  for (const current of found) for (const next of edges.get(current) ?? []) found.add(next)
  return found
}
