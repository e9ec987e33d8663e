import { ident, idents, type MaskFunction, type MaskSet } from '@sallyport/core'
import type { CatalogColumn, GuardCatalog, GuardRelation } from './guard-catalog.ts'
import { planLookups } from './lookups.ts'
import { maskedColumns, type MaskedColumns } from './masked-columns.ts'
import type { PlanInput, PlannedSet, SetContext, Sorted, Statement } from './plan-types.ts'
import { asRole, grantColumns, maskedOutputs, nameOf, twinOf } from './set-parts.ts'
import { planViews } from './view-plan.ts'

export async function planSet(input: PlanInput, set: MaskSet): Promise<PlannedSet> {
  const { catalog, names } = input
  const sorted = sort(catalog, maskedColumns(catalog, set))
  const schemas = schemasOf([...sorted.maskedTables, ...sorted.views], (schema) =>
    names.schema(set.id, schema),
  )
  const context: SetContext = { input, set, sorted, schemas, notes: [] }
  const lookups = planLookups(context)
  const statements = [
    ...makeSchemas(context),
    ...sorted.maskedTables.flatMap((table) => maskTable(context, table)),
    ...sorted.clean.flatMap((relation) => grantClean(context, relation)),
    ...grantFreeSequences(context),
    ...(await planViews(context)),
    ...lookups.statements,
  ]
  let maskedCount = 0
  for (const columns of sorted.masked.values()) maskedCount += columns.size
  return {
    set,
    login: names.login(set.id),
    schemas,
    lookups: lookups.functions,
    matviews: sorted.clean.filter(({ kind }) => kind === 'm').map(nameOf),
    relations: [...sorted.maskedTables, ...sorted.views].map(({ schema, name }) => [schema, name]),
    maskedTables: sorted.maskedTables.map(nameOf),
    maskedCount,
    statements,
    notes: context.notes,
  }
}

function sort(catalog: GuardCatalog, masked: MaskedColumns): Sorted {
  const maskedTables: GuardRelation[] = []
  const clean: GuardRelation[] = []
  const views: GuardRelation[] = []
  for (const relation of catalog.relations.values()) {
    const isStored = relation.kind !== 'v' && relation.kind !== 'm'
    if (isStored) (masked.has(relation.oid) ? maskedTables : clean).push(relation)
    else if (isPlainCopy(catalog, relation, masked)) clean.push(relation)
    else views.push(relation)
  }
  return { masked, maskedTables, clean, views }
}

/** A materialized view over tables without masks. Over views it could be filled with anything at its next refresh. */
function isPlainCopy(
  catalog: GuardCatalog,
  relation: GuardRelation,
  masked: MaskedColumns,
): boolean {
  if (relation.kind !== 'm' || relation.callsFunctions || masked.has(relation.oid)) return false
  return [...relation.readsFrom].every((oid) => {
    const source = catalog.relations.get(oid)
    return source !== undefined && 'rpf'.includes(source.kind) && !masked.has(oid)
  })
}

function schemasOf(
  relations: readonly GuardRelation[],
  name: (schema: string) => string,
): Record<string, string> {
  const schemas = [...new Set(relations.map(({ schema }) => schema))].toSorted()
  return Object.fromEntries(schemas.map((schema) => [schema, name(schema)]))
}

function makeSchemas({ input, set, sorted, schemas }: SetContext): Statement[] {
  const { names } = input
  const step = `schemas of mask set ${set.id}`
  const [owner, reader, login] = [names.owner, names.reader(set.id), names.login(set.id)]
  const all = [...sorted.maskedTables, ...sorted.clean, ...sorted.views]
  const isSeen = ({ columns }: GuardRelation): boolean => columns.some((each) => each.isReadable)
  // What the own login can't look into stays closed to callers.
  const seen = new Set(all.filter(isSeen).map(({ schema }) => schema))
  const sources = [...new Set(all.map(({ schema }) => schema))].toSorted()
  return [
    ...sources.map((schema) => ({
      step,
      sql: `grant usage on schema ${ident(schema)} to ${idents(
        seen.has(schema) ? [owner, reader, login] : [owner, reader],
      )}`,
    })),
    ...Object.values(schemas).flatMap((schema) => [
      { step, sql: `create schema ${ident(schema)} authorization ${ident(owner)}` },
      { step, sql: `grant usage on schema ${ident(schema)} to ${idents([reader, login])}` },
      { step, sql: `grant create on schema ${ident(schema)} to ${ident(reader)}` },
    ]),
  ]
}

/** A view of the table's name with masks in it. Its owner reads the table; nobody else of the guard can. */
function maskTable(context: SetContext, table: GuardRelation): Statement[] {
  const { input, set, sorted } = context
  const { names } = input
  const masks = sorted.masked.get(table.oid) ?? new Map<number, MaskFunction>()
  const about = nameOf(table)
  const step = `masks of ${table.schema}`
  const twin = twinOf(context, table)
  const isShown = (column: CatalogColumn): boolean => masks.get(column.attribute) !== 'block'
  const outputs = maskedOutputs(context, table).map(
    ({ column, value }) => `  ${value} as ${ident(column.name)}`,
  )
  const body = `create view ${twin} with (security_barrier) as select\n${outputs.join(',\n')}\nfrom ${about} as t`
  const shown = table.columns.filter(isShown)
  const reader = grantColumns('select', shown, twin, names.reader(set.id))
  const login = grantColumns(
    'select',
    shown.filter((column) => column.isReadable),
    twin,
    names.login(set.id),
  )
  return [
    { step, sql: `grant select on ${about} to ${ident(names.owner)}`, about },
    ...asRole(names.owner, [
      { step, sql: body, about },
      ...[reader, login].flatMap((sql) => (sql === undefined ? [] : [{ step, sql, about }])),
    ]),
    ...writeThrough(context, table, masks),
  ]
}

/** Rows may be written through the masks where nothing of the table's own runs with other rights or tells of old values. */
function writeThrough(
  context: SetContext,
  table: GuardRelation,
  masks: ReadonlyMap<number, MaskFunction>,
): Statement[] {
  const { input, set, notes } = context
  if (input.options.writes === 'none' || table.kind === 'f' || table.rights === '') return []
  if (table.hasRules || table.hasTriggers) {
    notes.push(`${nameOf(table)} can't be written: it has ${table.hasRules ? 'rules' : 'triggers'}`)
    return []
  }
  const { names } = input
  const login = names.login(set.id)
  const columns = table.columns.filter(
    (column) => column.isWritable && column.madeOf === undefined && !masks.has(column.attribute),
  )
  const rights = writeRights(table, columns)
  if (rights.length === 0) return []
  const step = `writes of ${table.schema}`
  const about = nameOf(table)
  return [
    { step, sql: `grant ${rights.join(', ')} on ${about} to ${ident(names.owner)}`, about },
    ...asRole(names.owner, [
      {
        step,
        sql: `grant ${rights.join(', ')} on ${twinOf(context, table)} to ${ident(login)}`,
        about,
      },
    ]),
    ...grantSequences(table, `${ident(login)}, ${ident(names.owner)}`, step),
  ]
}

function writeRights(table: GuardRelation, columns: readonly CatalogColumn[]): string[] {
  const list = `(${idents(columns.map(({ name }) => name))})`
  return [
    ...(table.rights.includes('a') && columns.length > 0 ? [`insert ${list}`] : []),
    ...(table.rights.includes('w') && columns.length > 0 ? [`update ${list}`] : []),
    ...(table.rights.includes('d') ? ['delete'] : []),
  ]
}

function grantSequences(table: GuardRelation, to: string, step: string): Statement[] {
  return table.sequences.map((sequence) => ({
    step,
    sql: `grant usage on sequence ${sequence} to ${to}`,
    about: nameOf(table),
  }))
}

/** Applications that number rows themselves take numbers from sequences of no table. */
function grantFreeSequences({ input, set }: SetContext): Statement[] {
  if (input.options.writes === 'none') return []
  const login = ident(input.names.login(set.id))
  return input.catalog.freeSequences.map((sequence) => ({
    step: 'sequences',
    sql: `grant usage on sequence ${sequence} to ${login}`,
    about: sequence,
  }))
}

/** By column, so that one which is added later is seen by nobody until the guard is applied again. */
function grantClean(context: SetContext, relation: GuardRelation): Statement[] {
  const { input, set, notes } = context
  const { names, options } = input
  const about = nameOf(relation)
  const step = `rights in ${relation.schema}`
  if (relation.hasNamedRestriction) {
    notes.push(`${about} is left out: its row security restricts roles by name`)
    return []
  }
  const login = names.login(set.id)
  const sql = [
    grantColumns('select', relation.columns, about, names.reader(set.id)),
    grantColumns(
      'select',
      relation.columns.filter((column) => column.isReadable),
      about,
      login,
    ),
  ]
  const isWritable =
    options.writes === 'clean' &&
    !relation.hasRules &&
    !relation.hasDefinerTrigger &&
    relation.kind !== 'm'
  const columns = relation.columns.filter((each) => each.isWritable && each.madeOf === undefined)
  const rights = isWritable ? writeRights(relation, columns) : []
  if (rights.length > 0) sql.push(`grant ${rights.join(', ')} on ${about} to ${ident(login)}`)
  return [
    ...sql.flatMap((text) => (text === undefined ? [] : [{ step, sql: text, about }])),
    ...(rights.length > 0 ? grantSequences(relation, ident(login), step) : []),
  ]
}
