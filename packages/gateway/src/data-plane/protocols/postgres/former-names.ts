import type { Relation } from './catalog.ts'

/** A column that has had more names than this is masked by the newest of them. */
const namesMax = 64

/**
 * Names that relations and columns had when a catalog was read before. A rule that named a column then still means it:
 * a rename past the gateway must not bare it. They are kept for as long as the worker lives.
 */
export class FormerNames {
  readonly #relations: ReadonlyMap<number, readonly (readonly [schema: string, name: string])[]>
  readonly #columns: ReadonlyMap<number, ReadonlyMap<number, readonly string[]>>

  private constructor(
    relations: ReadonlyMap<number, readonly (readonly [schema: string, name: string])[]>,
    columns: ReadonlyMap<number, ReadonlyMap<number, readonly string[]>>,
  ) {
    this.#relations = relations
    this.#columns = columns
  }

  static readonly none = new FormerNames(new Map(), new Map())

  /** What these relations were called at `before`, or earlier. Names of what is gone are forgotten: numbers are not given twice. */
  static since(
    before: { readonly relations: ReadonlyMap<number, Relation>; readonly former: FormerNames },
    relations: ReadonlyMap<number, Relation>,
  ): FormerNames {
    const ofRelations = new Map<number, readonly (readonly [string, string])[]>()
    const ofColumns = new Map<number, Map<number, readonly string[]>>()
    for (const [oid, now] of relations) {
      const was = before.relations.get(oid)
      if (was === undefined) continue
      const names = before.former.ofRelation(oid)
      const isRenamed = was.name !== now.name || was.schema !== now.schema
      const all = isRenamed ? [...names, [was.schema, was.name] as const] : names
      if (all.length > 0) ofRelations.set(oid, all.slice(-namesMax))
      for (const [attribute, { name }] of now.columns) {
        const older = before.former.ofColumn(oid, attribute)
        const known = was.columns.get(attribute)?.name ?? name
        const columnNames = known === name ? older : [...older, known]
        if (columnNames.length === 0) continue
        const columns = ofColumns.get(oid) ?? new Map<number, readonly string[]>()
        ofColumns.set(oid, columns.set(attribute, columnNames.slice(-namesMax)))
      }
    }
    return new FormerNames(ofRelations, ofColumns)
  }

  ofRelation(oid: number): readonly (readonly [schema: string, name: string])[] {
    return this.#relations.get(oid) ?? []
  }

  ofColumn(oid: number, attribute: number): readonly string[] {
    return this.#columns.get(oid)?.get(attribute) ?? []
  }
}
