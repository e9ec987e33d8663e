import type { ObjectName } from '@sallyport/core'
import type { Relation } from '../catalog.ts'
import type {
  BuiltinFacts,
  LineageCatalog,
  LineageFunction,
  LineageReferrer,
  LineageRelation,
} from './lineage-catalog.ts'
import type { LineageRows } from './lineage-rows.ts'
import type { FormerNames } from '../former-names.ts'
import type { MaskSource } from './mask-set.ts'
import type { Unsettled } from './unsettled-names.ts'

/** What was read of one database. Immutable. */
export interface DatabaseRows {
  readonly relations: ReadonlyMap<number, Relation>
  readonly former: FormerNames
  readonly searchPath: readonly string[]
  readonly lineage: LineageRows
}

/** One database, as lineage sees it: the same for all sessions. */
export class LineageDatabase implements MaskSource {
  readonly searchPath: readonly string[]
  readonly rows: LineageRows
  readonly former: FormerNames
  readonly #relations = new Map<number, LineageRelation>()
  readonly #byName = new Map<string, LineageRelation[]>()
  readonly #functions = new Map<string, LineageRows['functions'][number][]>()
  readonly #functionsByOid = new Map<number, LineageRows['functions'][number]>()

  constructor({ relations, former, searchPath, lineage }: DatabaseRows) {
    this.searchPath = searchPath
    this.former = former
    this.rows = lineage
    for (const relation of relations.values()) this.#add(relation, lineage)
    for (const fn of lineage.functions) {
      const named = this.#functions.get(fn.name)
      if (named === undefined) this.#functions.set(fn.name, [fn])
      else named.push(fn)
      this.#functionsByOid.set(fn.oid, fn)
    }
  }

  relations(): Iterable<LineageRelation> {
    return this.#relations.values()
  }

  relation(oid: number): LineageRelation | undefined {
    return this.#relations.get(oid)
  }

  bearing(name: string): readonly LineageRelation[] {
    return this.#byName.get(name) ?? []
  }

  descendants(oid: number): readonly number[] {
    return [...reach(oid, this.rows.children)].slice(1)
  }

  withAncestors(oid: number): Iterable<number> {
    return reach(oid, this.rows.parents)
  }

  functionsNamed(name: string): readonly LineageRows['functions'][number][] {
    return this.#functions.get(name) ?? []
  }

  functionsOf(oids: readonly number[] | undefined): readonly LineageRows['functions'][number][] {
    return (oids ?? []).flatMap((oid) => this.#functionsByOid.get(oid) ?? [])
  }

  #add(relation: Relation, rows: LineageRows): void {
    const { oid, schema, name, kind } = relation
    const definition = rows.definitions.get(oid)
    const generated = rows.generated.get(oid)
    const added: LineageRelation = {
      oid,
      schema,
      name,
      kind,
      columns: [...relation.columns]
        .toSorted(([a], [b]) => a - b)
        .map(([attribute, column]) => {
          const expression = generated?.get(attribute)
          const { name: columnName, typeOid, typmod } = column
          return {
            attribute,
            name: columnName,
            typeOid,
            typmod,
            ...(expression === undefined ? {} : { generated: expression }),
          }
        }),
      ...(definition === undefined || definition === '' ? {} : { definition }),
      rules: rows.rules.get(oid) ?? [],
      constraints: rows.constraints.get(oid) ?? [],
      triggers: rows.triggers.get(oid) ?? [],
    }
    this.#relations.set(oid, added)
    const named = this.#byName.get(name)
    if (named === undefined) this.#byName.set(name, [added])
    else named.push(added)
  }
}

/** What of the session decides about the meaning of names. */
export interface SessionNames {
  readonly isPathKnown: boolean
  readonly trustedFunctions: ReadonlySet<string>
  readonly unsettled: Unsettled | undefined
}

/** A database as one session sees it. */
export class SessionCatalog implements LineageCatalog {
  readonly #database: LineageDatabase
  readonly #session: SessionNames

  constructor(database: LineageDatabase, session: SessionNames) {
    this.#database = database
    this.#session = session
  }

  named(name: ObjectName): readonly LineageRelation[] {
    const bare = name.at(-1) ?? ''
    const { unsettled } = this.#session
    if (unsettled === undefined) return this.#shown(name, bare)
    if (unsettled.all || unsettled.changed.has(bare)) return []
    const shown = this.#shown(name, bare)
    return unsettled.made.has(bare) ? [madeRelation(bare), ...shown] : shown
  }

  #shown(name: ObjectName, bare: string): readonly LineageRelation[] {
    const found = this.#database.bearing(bare)
    const schema = name.length > 1 ? name.at(-2) : undefined
    if (schema === 'pg_temp') return found.filter(isTemporary)
    if (schema !== undefined) return found.filter((relation) => relation.schema === schema)
    if (!this.#session.isPathKnown) return found
    // A temporary relation of the session's own comes before all others; whose it is, the catalog doesn't tell.
    const temporary = found.filter(isTemporary)
    for (const one of this.#database.searchPath) {
      const relation = found.find((candidate) => candidate.schema === one)
      if (relation !== undefined) return [...temporary, relation]
    }
    return temporary
  }

  bearing(name: string): readonly LineageRelation[] {
    return this.#database.bearing(name)
  }

  relation(oid: number): LineageRelation | undefined {
    return this.#database.relation(oid)
  }

  descendants(oid: number): readonly number[] {
    return this.#database.descendants(oid)
  }

  referrers(oid: number): readonly LineageReferrer[] {
    return this.#database.rows.referrers.get(oid) ?? []
  }

  functionsNamed(name: string): readonly LineageFunction[] {
    const { unsettled } = this.#session
    const found = this.#database.functionsNamed(name).map((fn) => this.#withTrust(fn))
    const isMade = unsettled !== undefined && (unsettled.all || unsettled.functions.has(name))
    return isMade && (found.length > 0 || unsettled.functions.has(name))
      ? [...found, made(name)]
      : found
  }

  builtin(name: string): BuiltinFacts | undefined {
    return this.#database.rows.builtins.get(name)
  }

  get operators(): Iterable<string> {
    return this.#database.rows.operators.keys()
  }

  get #castFunctions(): number[] {
    return [...this.#database.rows.casts.values()].flat().map((cast) => cast.function)
  }

  get casts(): readonly LineageFunction[] {
    return this.#behind(this.#castFunctions)
  }

  operatorsNamed(name: string): readonly LineageFunction[] {
    return this.#behind(this.#database.rows.operators.get(name))
  }

  castsTo(type: string, from?: number): readonly LineageFunction[] {
    const casts = this.#database.rows.casts.get(type) ?? []
    const meant = casts.filter(({ source }) => from === undefined || source === from)
    return this.#behind(meant.map(({ function: oid }) => oid))
  }

  /** The session has relations of its own that the catalog does not show yet. */
  get hasMade(): boolean {
    return (this.#session.unsettled?.made.size ?? 0) > 0
  }

  get hasHiddenCode(): boolean {
    const oids = [...this.#database.rows.operators.values()].flat().concat(this.#castFunctions)
    return this.#behind(oids).some(
      (fn) => !fn.isTrusted && fn.language !== 'c' && fn.language !== 'internal',
    )
  }

  isOwnType(name: string): boolean {
    return this.#database.rows.ownTypes.has(name)
  }

  #behind(oids: readonly number[] | undefined): readonly LineageFunction[] {
    return this.#database.functionsOf(oids).map((fn) => this.#withTrust(fn))
  }

  #withTrust(fn: LineageRows['functions'][number]): LineageFunction {
    const isTrusted = this.#session.trustedFunctions.has(`${fn.schema}.${fn.name}`)
    const behind = this.#database.rows.aggregates.get(fn.oid)
    return behind === undefined
      ? { ...fn, isTrusted }
      : { ...fn, isTrusted, behind: this.#behind(behind) }
  }
}

/** A relation of the session's own, which the catalog does not show yet. */
function madeRelation(name: string): LineageRelation {
  const facts = {
    kind: 'r',
    columns: [],
    rules: [],
    constraints: [],
    triggers: [],
    isMade: true,
  } as const
  return { oid: 0, schema: '', name, ...facts }
}

/** A function of which nothing is known but its name. */
function made(name: string): LineageFunction {
  const facts = { volatility: 'v', language: '', isTrusted: false, returnsSet: true } as const
  return { oid: 0, schema: '', name, ...facts }
}

function isTemporary({ schema }: LineageRelation): boolean {
  return schema.startsWith('pg_temp')
}

function reach(oid: number, edges: ReadonlyMap<number, readonly number[]>): Set<number> {
  const found = new Set([oid])
  for (const current of found) for (const next of edges.get(current) ?? []) found.add(next)
  return found
}
