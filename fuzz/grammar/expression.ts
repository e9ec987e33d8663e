import type { Choices } from './choices.ts'
import { sqlTypes, type Column, type Relation, type SqlType } from './relations.ts'
import { byType, literals, macros, ofAnyType, type Template } from './templates.ts'

/** What names mean where an expression stands. */
export interface Scope {
  readonly items: readonly ScopeItem[]
  readonly ctes: readonly Relation[]
}

export interface ScopeItem extends Relation {
  /** A name of a relation may stand for its row. */
  readonly isRow: boolean
}

export interface Context {
  readonly choices: Choices
  /** A sub-query of one column; the expression that holds it gives its scope. */
  subquery(type: SqlType, isScalar: boolean, scope: Scope, depth: number): string
}

/** An expression of a type, nested at most `depth` deep. */
export function expression(context: Context, type: SqlType, scope: Scope, depth: number): string {
  const { choices } = context
  if (depth <= 0 || choices.below(100) < 40) return leaf(choices, type, scope)
  const templates = choices.chance(25) ? ofAnyType : byType[type]
  return fill(context, choices.pick(templates), type, scope, depth - 1)
}

/** A template with its holes filled; `same` is the type of the whole. */
export function fill(
  context: Context,
  template: Template,
  same: SqlType,
  scope: Scope,
  depth: number,
): string {
  const whole = macros.reduce((text, [name, meaning]) => text.replace(name, meaning), template)
  return whole.replaceAll(
    /\{(one |many )?([a-z]+)\}/g,
    (found, how: string | undefined, name: string) => {
      if (name === 'row') return rowOf(context.choices, scope)
      const type = typeNamed(context.choices, name, same)
      if (type === undefined) return found
      if (how === undefined) return expression(context, type, scope, depth)
      return context.subquery(type, how === 'one ', scope, depth)
    },
  )
}

function typeNamed(choices: Choices, name: string, same: SqlType): SqlType | undefined {
  if (name === 'same') return same
  if (name === 'any') return choices.pick(sqlTypes)
  return sqlTypes.find((type) => type === name)
}

function leaf(choices: Choices, type: SqlType, scope: Scope): string {
  const fitting = scope.items.flatMap((item) =>
    item.columns.filter((column) => column.type === type).map((column) => qualified(item, column)),
  )
  if (fitting.length === 0 || choices.chance(15)) return choices.pick(literals[type])
  return choices.pick(fitting)
}

function qualified(item: ScopeItem, column: Column): string {
  return item.name === '' ? column.name : `${item.name}.${column.name}`
}

function rowOf(choices: Choices, scope: Scope): string {
  const rows = scope.items.filter((item) => item.isRow)
  return rows.length === 0 ? 'row(1, 2)' : choices.pick(rows).name
}
