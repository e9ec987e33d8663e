import type { Choices } from './choices.ts'
import { expression, fill, type Context, type Scope, type ScopeItem } from './expression.ts'
import { relations, sqlTypes, type Column, type Relation, type SqlType } from './relations.ts'
import { aggregates, ranks, windows } from './templates.ts'

/** A query and what its result looks like: columns are named c0, c1 and so on. */
export interface Query {
  readonly sql: string
  readonly columns: readonly Column[]
}

export const emptyScope: Scope = { items: [], ctes: [] }

/** Writes queries; aliases are numbered through a whole statement. */
export class QueryWriter implements Context {
  readonly choices: Choices
  #aliases = 0

  constructor(choices: Choices) {
    this.choices = choices
  }

  /** A query of the given types, or of some. */
  query(
    depth: number,
    scope: Scope = emptyScope,
    types: readonly SqlType[] = this.someTypes(),
  ): Query {
    const kind = depth <= 0 ? 0 : this.choices.below(12)
    if (kind === 9) return this.#setOperation(depth, scope, types)
    if (kind === 10) return this.#withCte(depth, scope, types)
    if (kind === 11) return this.#recursive(depth, scope, types)
    if (kind >= 7) return this.#grouped(depth, scope, types)
    return this.#plain(depth, scope, types)
  }

  subquery(type: SqlType, isScalar: boolean, scope: Scope, depth: number): string {
    const { sql } = this.query(depth - 1, scope, [type])
    return isScalar ? `select c0 from (${sql}) ${this.#alias()} limit 1` : sql
  }

  someTypes(): SqlType[] {
    return Array.from({ length: 1 + this.choices.below(3) }, () => this.choices.pick(sqlTypes))
  }

  /** One item of FROM, and what it brings into scope. */
  from(depth: number, scope: Scope): { sql: string; items: readonly ScopeItem[] } {
    const kind = depth <= 0 ? 0 : this.choices.below(14)
    if (kind >= 12) return this.#function(depth, scope)
    if (kind >= 9) return this.#join(depth, scope)
    if (kind >= 7) return this.#derived(depth, scope)
    return this.#relation(scope)
  }

  #plain(depth: number, scope: Scope, types: readonly SqlType[]): Query {
    const { choices } = this
    const from = this.from(depth - 1, scope)
    const inner = within(scope, from.items)
    const items = types.map((type, at) => {
      const isWindow = depth > 0 && choices.chance(8)
      const value = isWindow
        ? this.#window(type, inner, depth - 1)
        : expression(this, type, inner, depth - 1)
      return `${value} as c${at}`
    })
    const distinct = choices.chance(8) ? 'distinct ' : ''
    const where = choices.chance(35) ? ` where ${expression(this, 'bool', inner, depth - 1)}` : ''
    const sql = `select ${distinct}${items.join(', ')} from ${from.sql}${where}`
    return {
      sql: sql + this.#tail(types.length, inner, depth, distinct !== ''),
      columns: named(types),
    }
  }

  #grouped(depth: number, scope: Scope, types: readonly SqlType[]): Query {
    const { choices } = this
    const from = this.from(depth - 1, scope)
    const inner = within(scope, from.items)
    const keys = choices.chance(60) ? [this.#someColumn(from.items)] : []
    const items = types.map((type, at) => {
      const key = keys.find((candidate) => candidate.type === type)
      const value =
        key !== undefined && choices.chance(50) ? key.name : this.#aggregate(type, inner, depth - 1)
      return `${value} as c${at}`
    })
    const grouping = choices.chance(15)
      ? (text: string): string => `rollup(${text})`
      : (text: string): string => text
    const group =
      keys.length === 0 ? '' : ` group by ${grouping(keys.map(({ name }) => name).join(', '))}`
    const having = choices.chance(15) ? ` having ${this.#aggregate('bool', inner, depth - 1)}` : ''
    const order = choices.chance(20) ? ' order by 1' : ''
    return {
      sql: `select ${items.join(', ')} from ${from.sql}${group}${having}${order}`,
      columns: named(types),
    }
  }

  #setOperation(depth: number, scope: Scope, types: readonly SqlType[]): Query {
    const operator = this.choices.pick(['union all', 'union', 'except', 'intersect'])
    const [first, second] = [
      this.query(depth - 1, scope, types),
      this.query(depth - 1, scope, types),
    ]
    return { sql: `(${first.sql}) ${operator} (${second.sql})`, columns: first.columns }
  }

  #withCte(depth: number, scope: Scope, types: readonly SqlType[]): Query {
    const inner = this.query(depth - 1, scope)
    const name = this.#alias()
    const how = this.choices.pick(['', 'materialized ', 'not materialized '])
    const body = this.query(
      depth - 1,
      { ...scope, ctes: [...scope.ctes, { name, columns: inner.columns }] },
      types,
    )
    return { sql: `with ${name} as ${how}(${inner.sql}) (${body.sql})`, columns: body.columns }
  }

  #recursive(depth: number, scope: Scope, types: readonly SqlType[]): Query {
    const name = this.#alias()
    const start = this.query(depth - 2, scope, types)
    const again = types.map((_, at) => `${name}.c${at}`).join(', ')
    const cte: Relation = { name, columns: [{ name: 'n', type: 'int' }, ...start.columns] }
    const body = this.query(depth - 2, { ...scope, ctes: [...scope.ctes, cte] }, types)
    const sql = `with recursive ${name}(n, ${start.columns.map((column) => column.name).join(', ')}) as (
      select 1, s.* from (${start.sql}) s union all select n + 1, ${again} from ${name} where n < 2) (${body.sql})`
    return { sql, columns: body.columns }
  }

  #tail(width: number, scope: Scope, depth: number, isDistinct: boolean): string {
    const { choices } = this
    const order = choices.below(100)
    let tail = ''
    if (order >= 90 && !isDistinct)
      tail += ` order by ${expression(this, choices.pick(sqlTypes), scope, depth - 1)}`
    else if (order >= 70)
      tail += ` order by ${1 + choices.below(width)}${choices.chance(30) ? ' desc nulls last' : ''}`
    if (choices.chance(15)) tail += ` limit ${1 + choices.below(3)}`
    if (choices.chance(5)) tail += ' offset 1'
    return tail
  }

  #relation(scope: Scope): { sql: string; items: readonly ScopeItem[] } {
    const { choices } = this
    const known = scope.ctes.length > 0 && choices.chance(50) ? scope.ctes : relations
    const relation = choices.pick(known)
    const alias = this.#alias()
    const only = relation.name === 'contacts' && choices.chance(20) ? 'only ' : ''
    const sample =
      relation.name === 'people' && choices.chance(3) ? ' tablesample system (100)' : ''
    return {
      sql: `${only}${relation.name} ${alias}${sample}`,
      items: [{ name: alias, columns: relation.columns, isRow: true }],
    }
  }

  #derived(depth: number, scope: Scope): { sql: string; items: readonly ScopeItem[] } {
    const { sql, columns } = this.query(depth - 1, scope)
    const alias = this.#alias()
    return { sql: `(${sql}) ${alias}`, items: [{ name: alias, columns, isRow: true }] }
  }

  #join(depth: number, scope: Scope): { sql: string; items: readonly ScopeItem[] } {
    const { choices } = this
    const left = this.from(depth - 1, scope)
    const kind = choices.pick([
      'join',
      'left join',
      'cross join',
      'using',
      'natural',
      'lateral',
      'right join',
    ])
    const inner = within(scope, left.items)
    if (kind === 'lateral') {
      const right = this.#derived(depth, inner)
      return {
        sql: `${left.sql} cross join lateral ${right.sql}`,
        items: [...left.items, ...right.items],
      }
    }
    if (kind === 'using' || kind === 'natural') {
      const [a, b] = [this.#relation(emptyScope), this.#relation(emptyScope)]
      const both = [...a.items, ...b.items]
      if (kind === 'natural') return { sql: `${a.sql} natural left join ${b.sql}`, items: both }
      return {
        sql: `${a.sql} join ${b.sql} using (id)`,
        items: [...both, { name: '', columns: idAlone, isRow: false }],
      }
    }
    const right = this.from(depth - 1, scope)
    const items = [...left.items, ...right.items]
    const on =
      kind === 'cross join'
        ? ''
        : ` on ${expression(this, 'bool', within(scope, items), depth - 1)}`
    return { sql: `${left.sql} ${kind} ${right.sql}${on}`, items }
  }

  #function(depth: number, scope: Scope): { sql: string; items: readonly ScopeItem[] } {
    const left = this.#relation(scope)
    const inner = within(scope, left.items)
    const alias = this.#alias()
    const [call, type] = this.choices.pick<readonly [() => string, SqlType]>([
      [() => 'generate_series(1, 3)', 'int'],
      [() => `unnest(${expression(this, 'texts', inner, depth - 1)})`, 'text'],
      [
        () => `generate_series(1, length(${expression(this, 'text', inner, depth - 1)}) % 4)`,
        'int',
      ],
      [() => `regexp_split_to_table(${expression(this, 'text', inner, depth - 1)}, '-')`, 'text'],
      [
        () =>
          `jsonb_object_keys(jsonb_build_object('k', 1, 'x' || ${expression(this, 'text', inner, 0)}, 2))`,
        'text',
      ],
    ])
    const columns: Column[] = [{ name: 'c0', type }]
    const sql = `${left.sql} cross join lateral ${call()} as ${alias}(c0)`
    return { sql, items: [...left.items, { name: alias, columns, isRow: false }] }
  }

  #aggregate(type: SqlType, scope: Scope, depth: number): string {
    return fill(this, this.choices.pick(aggregates[type]), type, scope, depth - 1)
  }

  #window(type: SqlType, scope: Scope, depth: number): string {
    if (type === 'big') return fill(this, this.choices.pick(ranks), type, scope, depth - 1)
    return fill(this, this.choices.pick(windows), type, scope, depth - 1)
  }

  #someColumn(items: readonly ScopeItem[]): Column {
    const all = items.flatMap((item) =>
      item.columns.map(({ name, type }) => ({
        name: item.name === '' ? name : `${item.name}.${name}`,
        type,
      })),
    )
    return this.choices.pick(all)
  }

  #alias(): string {
    this.#aliases += 1
    return `t${this.#aliases}`
  }
}

const idAlone: readonly Column[] = [{ name: 'id', type: 'int' }]

function within(scope: Scope, items: readonly ScopeItem[]): Scope {
  return { items: [...items, ...scope.items], ctes: scope.ctes }
}

function named(types: readonly SqlType[]): Column[] {
  return types.map((type, at) => ({ name: `c${at}`, type }))
}
