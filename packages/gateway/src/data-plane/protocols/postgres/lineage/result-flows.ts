import type { ResultField } from '../../../masking/column-plan.ts'
import { clean, derived, either, isTainted, type Flow } from './flow.ts'
import type { Lineage } from './lineage.ts'
import type { MaskedDatabase } from './masked-database.ts'

/** What each column of a result can carry, as the target describes it. */
export interface ResultFlows {
  readonly flows: readonly Flow[]
  readonly isResolved: boolean
  /** The description speaks of other columns than were expected: the catalog is not what it was. */
  readonly hasMoved: boolean
}

/** Holds what was expected of a result against its description. Where they differ, what can't be told may carry anything. */
export function resultFlows(
  lineage: Lineage | undefined,
  fields: readonly ResultField[],
  database: MaskedDatabase,
): ResultFlows {
  const expected = lineage?.columns
  const hasMoved = expected !== undefined && !isAsExpected(expected, fields, database)
  const isResolved = lineage !== undefined && lineage.unresolved.length === 0 && !hasMoved
  const { anything } = database.masks
  const others = lineage === undefined || hasMoved ? anything : (lineage.others ?? anything)
  const flows = fields.map((field, index) => {
    const column = hasMoved ? undefined : expected?.[index]
    const origin = originFlow(field, database)
    if (column !== undefined)
      return origin === undefined ? column.flow : either([column.flow, origin])
    // A column of a table is that column, whatever else can't be told.
    return origin ?? others
  })
  return { flows, isResolved, hasMoved }
}

function isAsExpected(
  expected: NonNullable<Lineage['columns']>,
  fields: readonly ResultField[],
  database: MaskedDatabase,
): boolean {
  if (expected.length !== fields.length) return false
  return fields.every((field, index) => {
    const column = expected[index]
    if (column === undefined) return false
    // The server cuts long names.
    if (column.name !== undefined && column.name !== '' && !isName(field.name, column.name))
      return false
    if (field.tableOid === 0) return true
    const { origin } = column
    if (origin !== undefined)
      return origin.relation === field.tableOid && origin.attribute === field.attribute
    // A masked column where nothing masked was expected.
    return isTainted(column.flow) || !isTainted(originFlow(field, database) ?? clean)
  })
}

const nameBytesMax = 63

function isName(seen: string, expected: string): boolean {
  return seen === expected || (expected.length >= nameBytesMax && expected.startsWith(seen))
}

/** What the table column that the target names can carry; undefined where it names none. */
function originFlow(field: ResultField, database: MaskedDatabase): Flow | undefined {
  if (field.tableOid === 0) return undefined
  // Columns that every table has hold numbers of the server's own.
  if (field.attribute < 0) return clean
  const relation = database.catalog.relation(field.tableOid)
  // A table that the session has made is told by its name alone.
  if (relation === undefined && database.catalog.hasMade) return undefined
  const index = relation?.columns.findIndex(({ attribute }) => attribute === field.attribute) ?? -1
  if (relation === undefined || index < 0) return database.masks.anything
  const { columns, open } = database.analysis.relation(relation)
  return columns[index]?.flow ?? derived(open === undefined ? [] : [open])
}
