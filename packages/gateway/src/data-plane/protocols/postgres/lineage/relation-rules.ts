import { at, list, type Tree } from '../classify/tree.ts'
import { nowhere, type Context, type Output, type Place } from './context.ts'
import { along, clean, columnFlow, either, isTainted, type Flow } from './flow.ts'
import type { LineageColumn, LineageRelation } from './lineage-catalog.ts'
import type { ScopeColumn } from './scope.ts'

/** What the columns of a table, view or other relation can carry. */
export function relationFlows(relation: LineageRelation, context: Context): Output {
  if (relation.isMade === true) return { columns: [], open: clean }
  // To read it is to ask another server.
  if (relation.kind === 'f') context.facts.note({ fails: true, acts: true })
  const isView = relation.kind === 'v' || relation.kind === 'm'
  if (isView && !isSystem(relation)) return viewFlows(relation, context)
  return { columns: tableColumns(relation, context), open: undefined }
}

function isSystem({ schema }: LineageRelation): boolean {
  return schema === 'pg_catalog' || schema === 'information_schema' || schema === 'pg_toast'
}

/** A view gives what its query gives, under the names that it has in the catalog. */
function viewFlows(relation: LineageRelation, context: Context): Output {
  const { definition } = relation
  const parsed = definition === undefined ? undefined : context.parse(definition)
  const [statement] = parsed ?? []
  if (statement === undefined || !context.isOn('view')) {
    if (!context.isOn('view')) return { columns: tableColumns(relation, context), open: undefined }
    context.facts.unresolved.add(`view ${relation.schema}.${relation.name}`)
    return everything(relation, context)
  }
  const output = context.query(at(statement, 'stmt') ?? {}, { ...nowhere, isPrinted: true })
  if (output.open !== undefined || output.columns.length !== relation.columns.length) {
    context.facts.unresolved.add(`view ${relation.schema}.${relation.name}`)
    return everything(relation, context)
  }
  const step = `${relation.kind === 'm' ? 'materialized view' : 'view'} ${relation.schema}.${relation.name}`
  const columns = relation.columns.map((column, index): ScopeColumn => {
    // A rule may name a view's own column.
    const own = context.masks.column(relation.oid, column.attribute)
    const inner = along(output.columns[index]?.flow ?? clean, step)
    const flow = own === undefined ? inner : either([columnFlow(own), inner])
    return { name: column.name, flow, typeOid: column.typeOid, origin: originOf(relation, column) }
  })
  return { columns, open: undefined }
}

/** Columns by name, each of which may carry anything. */
function everything(relation: LineageRelation, context: Context): Output {
  const flow = context.masks.anything
  return {
    columns: relation.columns.map((column) => ({
      name: column.name,
      flow,
      origin: originOf(relation, column),
    })),
    open: undefined,
  }
}

function tableColumns(relation: LineageRelation, context: Context): readonly ScopeColumn[] {
  const below = context.isOn('inheritance')
    ? context.catalog.descendants(relation.oid).flatMap((oid) => {
        const child = context.catalog.relation(oid)
        return child === undefined ? [] : [child]
      })
    : []
  const stored = relation.columns.map((column): ScopeColumn => {
    const flow = storedFlow(relation, column, below, context)
    return { name: column.name, flow, typeOid: column.typeOid, origin: originOf(relation, column) }
  })
  if (!context.isOn('generated')) return stored
  return relation.columns.map((column, index) => {
    const plain = stored[index] ?? { name: column.name, flow: clean }
    if (column.generated === undefined) return plain
    const flow = generatedFlow(relation, column.generated, stored, context)
    const step = `generated column ${column.name}`
    return { ...plain, flow: either([plain.flow, along(flow, step)]) }
  })
}

/** A row of a parent may be one of a child's, with the child's masked column in it. */
function storedFlow(
  relation: LineageRelation,
  column: LineageColumn,
  below: readonly LineageRelation[],
  context: Context,
): Flow {
  const own = context.masks.column(relation.oid, column.attribute)
  const flows = own === undefined ? [] : [columnFlow(own)]
  for (const child of below) {
    const attribute = child.columns.find(({ name }) => name === column.name)?.attribute
    const masked = attribute === undefined ? undefined : context.masks.column(child.oid, attribute)
    if (masked !== undefined) flows.push(columnFlow(masked))
  }
  return either(flows)
}

function generatedFlow(
  relation: LineageRelation,
  expression: string,
  columns: readonly ScopeColumn[],
  context: Context,
): Flow {
  if (!columns.some(({ flow }) => isTainted(flow))) return clean
  const parsed = context.parse(`SELECT ${expression}`)
  const select = at(at(parsed?.[0] ?? {}, 'stmt') ?? {}, 'SelectStmt') ?? {}
  const value = at(at(list(select, 'targetList')[0] ?? {}, 'ResTarget') ?? {}, 'val')
  if (value === undefined) return context.masks.anything
  const item = { alias: relation.name, schema: relation.schema, columns, isTable: true }
  const place: Place = {
    ...nowhere,
    isPrinted: true,
    scope: { items: [item], columns, open: undefined, outer: undefined },
  }
  return context.expression(value as Tree, place)
}

function originOf(
  relation: LineageRelation,
  column: LineageColumn,
): NonNullable<ScopeColumn['origin']> {
  return { relation: relation.oid, attribute: column.attribute }
}
