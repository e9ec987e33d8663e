import type { ObjectName } from '@sallyport/core'
import type { CatalogView } from './classified.ts'
import type { ColumnUse } from './draft.ts'

export interface Resolved {
  readonly names: readonly ObjectName[]
  readonly certain: boolean
}

/** Turns names as written into qualified ones, each once per statement. */
export class NameResolver {
  readonly #catalog: CatalogView
  readonly #certain: boolean
  readonly #path: readonly string[] | 'any' | undefined
  readonly #cache = new Map<string, Resolved>()

  /** `path` is that of a function that has its own. */
  constructor(catalog: CatalogView, certain: boolean, path?: readonly string[] | 'any') {
    this.#catalog = catalog
    this.#certain = certain
    this.#path = path
  }

  relation(name: ObjectName): Resolved {
    const key = name.join('\0')
    const known = this.#cache.get(key) ?? this.#resolve(name)
    this.#cache.set(key, known)
    return known
  }

  /** True where, by the catalog, a relation that is meant has no NULL in these columns. */
  isBare({ relation, columns }: { relation: ObjectName; columns: readonly string[] }): boolean {
    return this.#catalog
      .resolve(relation, this.#path)
      .some((one) => columns.every((column) => this.#catalog.isNotNull(one, column)))
  }

  created(name: ObjectName): Resolved {
    const schema = this.#catalog.creationSchema
    if (name.length > 1) return { names: [name], certain: true }
    if (schema === undefined || !this.#certain) return { names: [name], certain: false }
    return { names: [[schema, ...name]], certain: true }
  }

  #resolve(name: ObjectName): Resolved {
    const candidates = this.#catalog.resolve(name, this.#path)
    if (candidates.length === 0) return unresolved(name)
    const bases = candidates.flatMap((candidate) => this.#catalog.baseRelations(candidate))
    const certain = candidates.length === 1 && (this.#certain || name.length > 1)
    return { names: uniqueNames([...candidates, ...bases]), certain }
  }
}

/** The server's own relations are known without a catalog. */
function unresolved(name: ObjectName): Resolved {
  const system = name.length > 1 && (name[0] === 'pg_catalog' || name[0] === 'information_schema')
  return { names: [name], certain: system }
}

export function resolveColumns(
  uses: readonly ColumnUse[],
  names: NameResolver,
): readonly ObjectName[] {
  const columns = uses.flatMap((use) =>
    use.relations.flatMap((relation) => {
      const [first, ...bases] = names.relation(relation).names
      // Which column of a view's table stands behind one of the view's is not known here.
      return [
        ...(first === undefined ? [] : [[...first, use.column]]),
        ...bases.map((base) => [...base, '*']),
      ]
    }),
  )
  return uniqueNames(columns)
}

export function uniqueNames(names: readonly ObjectName[]): readonly ObjectName[] {
  return [...new Map(names.map((name) => [name.join('\0'), name])).values()]
}
