import { ident, idents, literal, qualified } from '@sallyport/core'
import type { CatalogColumn, GuardRelation } from './guard-catalog.ts'
import { maskExpression } from './mask-expression.ts'
import type { SetContext, Statement } from './plan-types.ts'

export function nameOf({ schema, name }: GuardRelation): string {
  return qualified(schema, name)
}

/** The masked form of a relation. */
export function twinOf({ schemas }: SetContext, { schema, name }: GuardRelation): string {
  return qualified(schemas[schema] ?? '', name)
}

/** What a masked table shows of each column, as an expression over the table `t`. */
export function maskedOutputs(
  { input, sorted }: SetContext,
  table: GuardRelation,
): { readonly column: CatalogColumn; readonly value: string }[] {
  const masks = sorted.masked.get(table.oid)
  const secrets = { table: qualified(input.names.privateSchema, 'secret') }
  return table.columns.map((column) => {
    const fn = masks?.get(column.attribute)
    const value = fn === undefined ? `t.${ident(column.name)}` : maskExpression(column, fn, secrets)
    return { column, value }
  })
}

/** Undefined where there is nothing to give. */
export function grantColumns(
  right: string,
  columns: readonly CatalogColumn[],
  on: string,
  to: string,
): string | undefined {
  if (columns.length === 0) return undefined
  return `grant ${right} (${idents(columns.map(({ name }) => name))}) on ${on} to ${ident(to)}`
}

/** Made by the role itself, so that it is the owner from the start. */
export function asRole(role: string, statements: readonly Statement[]): Statement[] {
  const step = statements[0]?.step ?? ''
  return [
    { step, sql: `set local role ${ident(role)}` },
    ...statements,
    { step, sql: 'reset role' },
  ]
}

/** What the search path of a session is to be, so that names mean their masked relations first. */
export function maskedPath(
  schemas: Readonly<Record<string, string>>,
  path: readonly string[],
): string[] {
  return path.flatMap((schema) => {
    const masked = schemas[schema]
    return masked === undefined ? [schema] : [masked, schema]
  })
}

export function pathSetting(path: readonly string[]): string {
  return literal(path.map(ident).join(', '))
}
