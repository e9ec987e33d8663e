import { type MaskFunction, type MaskSet, matchesColumn, strongest } from '@sallyport/core'
import type { GuardCatalog, GuardRelation } from './guard-catalog.ts'

/** By relation, the columns that must not be shown, each with its mask function. Relations without one are absent. */
export type MaskedColumns = ReadonlyMap<number, ReadonlyMap<number, MaskFunction>>

/** Finds what a mask set hides in a database: columns that it names, and all that stores the same values. */
export function maskedColumns(catalog: GuardCatalog, set: MaskSet): MaskedColumns {
  const found = new Map<number, Map<number, MaskFunction>>()
  const mark = (relation: GuardRelation, attribute: number, fn: MaskFunction): boolean => {
    const columns = found.get(relation.oid) ?? new Map<number, MaskFunction>()
    found.set(relation.oid, columns)
    const before = columns.get(attribute)
    const after = before === undefined ? fn : strongest([before, fn])
    columns.set(attribute, after)
    return before !== after
  }
  const down = invert(catalog.parents)
  for (const relation of catalog.relations.values()) {
    for (const column of relation.columns) {
      const fns = set.lines
        .filter((line) => matchesColumn(line.column, [relation.schema, relation.name, column.name]))
        .map((line) => line.with)
      if (fns.length === 0) continue
      mark(relation, column.attribute, strongest(fns))
      spread(catalog, relation, column.name, down, (heir, attribute) =>
        mark(heir, attribute, strongest(fns)),
      )
    }
  }
  // A parent shows the rows of its children.
  for (const [oid, columns] of found) {
    for (const [attribute, fn] of columns) {
      const relation = catalog.relations.get(oid)
      const name = relation?.columns.find((column) => column.attribute === attribute)?.name
      if (relation === undefined || name === undefined) continue
      spread(catalog, relation, name, catalog.parents, (parent, at) => mark(parent, at, fn))
    }
  }
  markGenerated(catalog, found, mark)
  return found
}

/** Calls `visit` for the column of that name in everything that can be reached. */
function spread(
  catalog: GuardCatalog,
  from: GuardRelation,
  name: string,
  edges: ReadonlyMap<number, readonly number[]>,
  visit: (relation: GuardRelation, attribute: number) => void,
): void {
  const reached = new Set([from.oid])
  for (const oid of reached) for (const next of edges.get(oid) ?? []) reached.add(next)
  reached.delete(from.oid)
  for (const oid of reached) {
    const relation = catalog.relations.get(oid)
    const column = relation?.columns.find((each) => each.name === name)
    if (relation !== undefined && column !== undefined) visit(relation, column.attribute)
  }
}

/** A column that is made of a masked one is hidden whole. So is one of which the catalog does not tell what it is made of. */
function markGenerated(
  catalog: GuardCatalog,
  found: ReadonlyMap<number, ReadonlyMap<number, MaskFunction>>,
  mark: (relation: GuardRelation, attribute: number, fn: MaskFunction) => boolean,
): void {
  for (const relation of catalog.relations.values()) {
    const masked = found.get(relation.oid)
    if (masked === undefined) continue
    for (const { attribute, madeOf } of relation.columns) {
      if (madeOf === undefined) continue
      const isUntold = madeOf.length === 0 || madeOf.includes(0)
      if (isUntold || madeOf.some((source) => masked.has(source))) {
        mark(relation, attribute, 'null')
      }
    }
  }
}

function invert(edges: ReadonlyMap<number, readonly number[]>): Map<number, number[]> {
  const inverted = new Map<number, number[]>()
  for (const [from, targets] of edges) {
    for (const to of targets) inverted.set(to, [...(inverted.get(to) ?? []), from])
  }
  return inverted
}
