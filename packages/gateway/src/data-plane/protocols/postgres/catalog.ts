import { SallyportError, type MaskRule, type ObjectName } from '@sallyport/core'
import {
  BackendType,
  decodeDataRow,
  decodeErrorResponse,
  encodeQuery,
  frameBody,
  frameType,
} from '@sallyport/wire'
import type { ConnectionConfig } from '../../../boundary/snapshot.ts'
import { matchesColumn, type ColumnPattern } from '../../masking/column-pattern.ts'
import type { CatalogColumn, MaskCatalog } from '../../masking/column-plan.ts'
import type { CatalogFunction, CatalogView } from './classify/classified.ts'
import { FrameSource } from './frame-source.ts'
import { dialTarget, type Target } from './target-login.ts'

/** One relation of the target. */
export interface Relation {
  readonly oid: number
  readonly schema: string
  readonly name: string
  readonly kind: string
  readonly columns: Map<
    number,
    { readonly name: string; readonly typeOid: number; readonly typmod: number }
  >
}

/** Columns that every table has; they hold numbers of the server's own, and pg_dump reads them. */
const systemColumns: ReadonlyMap<number, string> = new Map([
  [-1, 'ctid'],
  [-2, 'xmin'],
  [-3, 'cmin'],
  [-4, 'xmax'],
  [-5, 'cmax'],
  [-6, 'tableoid'],
])

/** A description row is far below this. */
const catalogMessageBytesMax = 16 * 1024 * 1024

/** A catalog with many thousand relations takes seconds; longer means that the target hangs. */
const catalogWaitMsMax = 30_000

const relationsSql = `select c.oid, n.nspname, c.relname, c.relkind, a.attnum, a.attname, a.atttypid, a.atttypmod
  from pg_catalog.pg_class c
  join pg_catalog.pg_namespace n on n.oid operator(pg_catalog.=) c.relnamespace
  left join pg_catalog.pg_attribute a on a.attrelid operator(pg_catalog.=) c.oid
    and a.attnum operator(pg_catalog.>) 0 and not a.attisdropped
  where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')`
const parentsSql = 'select inhrelid, inhparent from pg_catalog.pg_inherits'
const viewsSql = `select distinct r.ev_class, d.refobjid from pg_catalog.pg_rewrite r
  join pg_catalog.pg_depend d on d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass and d.objid = r.oid
    and d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass and d.refobjid <> r.ev_class`
const functionsSql = `select p.oid, n.nspname, p.proname, p.provolatile, l.lanname, p.prosecdef
  from pg_catalog.pg_proc p
  join pg_catalog.pg_namespace n on n.oid = p.pronamespace
  join pg_catalog.pg_language l on l.oid = p.prolang`
const pathSql = "select pg_catalog.array_to_string(pg_catalog.current_schemas(true), '\u0001')"

/** What the target's objects are: read over a connection of the gateway's own, never in a caller's session. Immutable. */
export class Catalog implements MaskCatalog {
  readonly generation: number
  readonly #relations: ReadonlyMap<number, Relation>
  readonly #parents: ReadonlyMap<number, readonly number[]>
  readonly #below: ReadonlyMap<number, readonly number[]>
  readonly #byName = new Map<string, Relation[]>()
  readonly #functions = new Map<string, CatalogFunction[]>()
  readonly #functionNames: ReadonlyMap<number, readonly [string, string]>
  readonly #searchPath: readonly string[]

  constructor(generation: number, rows: CatalogRows) {
    this.generation = generation
    this.#relations = rows.relations
    this.#parents = rows.parents
    this.#below = rows.below
    this.#functionNames = rows.functionNames
    this.#searchPath = rows.searchPath
    for (const relation of rows.relations.values()) push(this.#byName, relation.name, relation)
    for (const fn of rows.functions) push(this.#functions, fn.name, fn)
  }

  column(tableOid: number, attribute: number): CatalogColumn | undefined {
    const relation = this.#relations.get(tableOid)
    const name = relation?.columns.get(attribute)?.name ?? systemColumns.get(attribute)
    if (relation === undefined || name === undefined) return undefined
    const names: (readonly [string, string, string])[] = []
    for (const oid of this.#withAncestors(tableOid)) {
      const ancestor = this.#relations.get(oid)
      if (ancestor !== undefined) names.push([ancestor.schema, ancestor.name, name])
    }
    const isView = relation.kind === 'v' || relation.kind === 'm'
    return { names, kind: isView ? 'view' : relation.kind === 'f' ? 'other' : 'table' }
  }

  readsMasked(tableOid: number, patterns: readonly ColumnPattern[]): boolean {
    for (const oid of this.#allBelow(tableOid)) {
      const relation = this.#relations.get(oid)
      if (relation === undefined) return true
      for (const attribute of relation.columns.keys()) {
        const names = this.column(oid, attribute)?.names ?? []
        if (patterns.some((pattern) => names.some((name) => matchesColumn(pattern, name))))
          return true
      }
    }
    return false
  }

  /** Whether a statement that reads these relations can meet a column that one of the masks names. */
  touchesMasked(reads: readonly ObjectName[], masks: readonly MaskRule[]): boolean {
    const patterns = masks.flatMap((mask) => mask.columns)
    if (patterns.length === 0) return false
    return reads.some((name) => {
      const found = this.named(name)
      return (
        found.length === 0 || found.some((relation) => this.readsMasked(relation.oid, patterns))
      )
    })
  }

  /** Every relation that a name, qualified or not, can mean. */
  named(name: ObjectName): readonly Relation[] {
    const [schema, table] = name.length > 1 ? name.slice(-2) : [undefined, name[0]]
    const found = this.#byName.get(table ?? '') ?? []
    return schema === undefined ? found : found.filter((relation) => relation.schema === schema)
  }

  functionName(oid: number): readonly [schema: string, name: string] | undefined {
    return this.#functionNames.get(oid)
  }

  /** The catalog as a session sees it. Without a known search path an unqualified name stands for all that bear it. */
  view(isPathKnown: boolean, trustedFunctions: ReadonlySet<string>): CatalogView {
    return {
      generation: this.generation * 2 + (isPathKnown ? 1 : 0),
      trustedFunctions,
      resolve: (name) => this.#resolve(name, isPathKnown),
      baseRelations: (name) =>
        this.named(name)
          .flatMap((relation) =>
            [...this.#allBelow(relation.oid)].filter((oid) => oid !== relation.oid),
          )
          .flatMap((oid) => nameOf(this.#relations.get(oid))),
      functionsNamed: (name) =>
        (this.#functions.get(name) ?? []).filter((fn) => fn.schema !== 'pg_catalog'),
    }
  }

  #resolve(name: ObjectName, isPathKnown: boolean): readonly ObjectName[] {
    const found = this.named(name)
    if (name.length > 1 || !isPathKnown) return found.flatMap(nameOf)
    for (const schema of this.#searchPath) {
      const relation = found.find((candidate) => candidate.schema === schema)
      if (relation !== undefined) return nameOf(relation)
    }
    return []
  }

  #withAncestors(oid: number): Set<number> {
    return reach(oid, this.#parents)
  }

  #allBelow(oid: number): Set<number> {
    return reach(oid, this.#below)
  }
}

interface CatalogRows {
  readonly relations: ReadonlyMap<number, Relation>
  readonly parents: ReadonlyMap<number, readonly number[]>
  /** A view's relations, and a table's children. */
  readonly below: ReadonlyMap<number, readonly number[]>
  readonly functions: readonly CatalogFunction[]
  readonly functionNames: ReadonlyMap<number, readonly [string, string]>
  readonly searchPath: readonly string[]
}

/** Reads the catalog of one database with the connection's own login. */
export async function readCatalog(
  config: ConnectionConfig,
  database: string,
  generation: number,
): Promise<Catalog> {
  const parameters = new Map([
    ['database', database],
    ['client_encoding', 'UTF8'],
    ['application_name', 'sallyport catalog'],
  ])
  const target = await dialTarget(config, parameters)
  try {
    const source = new FrameSource(target.socket, catalogMessageBytesMax, catalogWaitMsMax)
    const ask = async (sql: string): Promise<string[][]> => await rowsOf(target, source, sql)
    const relations = relationsOf(await ask(relationsSql))
    const parents = new Map<number, number[]>()
    const below = new Map<number, number[]>()
    for (const [child, parent] of await ask(parentsSql)) {
      push(parents, Number(child), Number(parent))
      push(below, Number(parent), Number(child))
    }
    for (const [view, relation] of await ask(viewsSql)) push(below, Number(view), Number(relation))
    const functions = await ask(functionsSql)
    const path = await ask(pathSql)
    return new Catalog(generation, {
      relations,
      parents,
      below,
      functions: functions.map(functionOf),
      functionNames: new Map(
        functions.map((row) => [Number(row[0]), [row[1] ?? '', row[2] ?? '']]),
      ),
      searchPath: (path[0]?.[0] ?? '').split('\u0001'),
    })
  } finally {
    target.socket.destroy()
  }
}

async function rowsOf(target: Target, source: FrameSource, sql: string): Promise<string[][]> {
  target.socket.resume()
  target.socket.write(encodeQuery(sql))
  const rows: string[][] = []
  for (;;) {
    const frame = await source.next()
    const type = frameType(frame, 0)
    if (type === BackendType.dataRow) {
      const { values } = decodeDataRow(frameBody(frame, 0))
      rows.push(values.map((value) => value?.toString() ?? ''))
    } else if (type === BackendType.errorResponse) {
      const { fields } = decodeErrorResponse(frameBody(frame, 0))
      throw new SallyportError(
        'SP_TARGET_UNREACHABLE',
        `reading the catalog: ${fields.get('M') ?? ''}`,
      )
    } else if (type === BackendType.readyForQuery) return rows
  }
}

function relationsOf(rows: readonly string[][]): Map<number, Relation> {
  const relations = new Map<number, Relation>()
  for (const [oidText, schema, name, kind, attribute, column, typeOid, typmod] of rows) {
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
    })
  }
  return relations
}

function functionOf(row: readonly string[]): CatalogFunction {
  const volatility = row[3] === 'i' || row[3] === 's' ? row[3] : 'v'
  return {
    schema: row[1] ?? '',
    name: row[2] ?? '',
    volatility,
    language: row[4] ?? '',
    securityDefiner: row[5] === 't',
  }
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

function push<Key, Value>(map: Map<Key, Value[]>, key: Key, value: Value): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else list.push(value)
}
