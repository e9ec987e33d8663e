import type { Choices } from './choices.ts'
import { expression, type Scope } from './expression.ts'
import { QueryWriter } from './query.ts'
import { relations, sqlTypes, type Relation, type SqlType } from './relations.ts'

/** How one text goes out. */
export type Delivery = 'simple' | 'extended' | 'binary' | 'described' | 'portions'

export interface Step {
  readonly sql: string
  readonly delivery: Delivery
  /** Rows that follow a COPY … FROM STDIN. */
  readonly copyData?: string
}

/** Statements that belong together; they run in one transaction, which is rolled back. */
export interface Program {
  readonly kind: string
  readonly steps: readonly Step[]
}

type Kind = (writer: QueryWriter, depth: number) => readonly (string | Step)[]

/** What a program may be, with its share. Plain queries are most of what callers ask. */
const kinds: readonly (readonly [name: string, share: number, kind: Kind])[] = [
  ['select', 50, (writer, depth) => [writer.query(depth).sql]],
  [
    'table',
    3,
    (writer) => [`${writer.choices.pick(['table ', 'select * from '])}${anyRelation(writer).name}`],
  ],
  [
    'star',
    6,
    (writer, depth) => [`select * from ${writer.from(depth, { items: [], ctes: [] }).sql}`],
  ],
  ['insert', 4, insert],
  ['update', 5, update],
  ['delete', 4, remove],
  ['merge', 2, merge],
  ['writing cte', 3, writingCte],
  ['copy out', 5, copyOut],
  ['copy in', 1, copyIn],
  ['cursor', 4, cursor],
  ['prepare', 4, prepare],
  ['explain', 4, explain],
  ['copy of a table', 3, tableCopy],
  ['definition', 3, definition],
  ['setting', 1, setting],
  [
    'two statements',
    2,
    (writer, depth) => [`${writer.query(depth - 1).sql}; ${writer.query(depth - 1).sql}`],
  ],
]
const shares = kinds.reduce((sum, [, share]) => sum + share, 0)

/** A program; the first choices are the ones that a shrunk one falls back to. */
export function writeProgram(choices: Choices, depthMax: number): Program {
  let at = choices.below(shares)
  const found = kinds.find(([, share]) => (at -= share) < 0) ?? kinds[0]
  if (found === undefined) throw new Error('no kinds')
  const [name, , kind] = found
  const delivery = choices.pick<Delivery>(['simple', 'extended', 'binary', 'described', 'portions'])
  const writer = new QueryWriter(choices)
  const depth = 1 + choices.below(depthMax)
  const steps = kind(writer, depth).map((step): Step => {
    if (typeof step !== 'string') return step
    return { sql: step, delivery: isOneStatement(step) ? delivery : 'simple' }
  })
  return { kind: name, steps }
}

function isOneStatement(sql: string): boolean {
  return !sql.includes(';') && !/^(copy|create function)/.test(sql)
}

function anyRelation(writer: QueryWriter): Relation {
  return writer.choices.pick(relations)
}

/** Tables that can be written to, with a column that callers may fill with an expression. */
const writable: readonly (readonly [
  table: string,
  id: string,
  columns: readonly (readonly [string, SqlType])[],
])[] = [
  [
    'scratch',
    'id',
    [
      ['body', 'text'],
      ['amount', 'num'],
      ['doc', 'json'],
      ['id', 'int'],
    ],
  ],
  [
    'items',
    'sku',
    [
      ['title', 'text'],
      ['price', 'num'],
      ['stock', 'int'],
    ],
  ],
  [
    'badges',
    'id',
    [
      ['colour', 'text'],
      ['metal', 'text'],
      ['person_id', 'int'],
    ],
  ],
  [
    'people',
    'id',
    [
      ['points', 'int'],
      ['email', 'text'],
      ['name', 'text'],
      ['salary', 'big'],
      ['diagnosis', 'text'],
    ],
  ],
  [
    'orders',
    'id',
    [
      ['item', 'text'],
      ['amount', 'num'],
      ['card', 'text'],
      ['cvv', 'int'],
    ],
  ],
  [
    'contacts',
    'id',
    [
      ['label', 'text'],
      ['phone', 'text'],
    ],
  ],
  [
    'visits',
    'id',
    [
      ['room', 'text'],
      ['finding', 'text'],
      ['cost', 'big'],
    ],
  ],
]

function scopeOf(table: string, alias: string): Scope {
  const columns = relations.find(({ name }) => name === table)?.columns ?? []
  return { items: [{ name: alias, columns, isRow: true }], ctes: [] }
}

function returning(writer: QueryWriter, scope: Scope, depth: number): string {
  const kind = writer.choices.below(4)
  if (kind === 0) return ''
  if (kind === 1) return ' returning *'
  return ` returning ${expression(writer, writer.choices.pick(sqlTypes), scope, depth - 1)} as c0`
}

function insert(writer: QueryWriter, depth: number): string[] {
  const { choices } = writer
  const [table, , columns] = choices.pick(writable.slice(0, 3))
  const [column, type] = choices.pick(columns)
  const key = table === 'items' ? 'sku' : 'id'
  const keys = table === 'items' ? "'NEW' || row_number() over ()" : '900 + row_number() over ()'
  const rest =
    table === 'badges' ? ', colour, person_id' : table === 'items' ? ', title, price, stock' : ''
  const restValues = table === 'badges' ? ", 'red', 1" : table === 'items' ? ", 't', 1, 1" : ''
  const names = `${key}, ${column}${rest}`.split(', ')
  const unique = names.filter((name, at) => names.indexOf(name) === at).length === names.length
  const source = writer.query(depth - 1, { items: [], ctes: [] }, [type]).sql
  const list = unique
    ? `(${names.join(', ')}) select ${keys}, q.c0${restValues} from (${source}) q`
    : `(${key}) select ${keys} from (${source}) q`
  const conflict = choices.chance(20) ? ' on conflict do nothing' : ''
  return [
    `insert into ${table}${list}${conflict}${returning(writer, scopeOf(table, table), depth)}`,
  ]
}

function update(writer: QueryWriter, depth: number): string[] {
  const { choices } = writer
  const [table, id, columns] = choices.pick(writable)
  const [column, type] = choices.pick(columns)
  const scope = scopeOf(table, 'u')
  const value = expression(writer, type, scope, depth - 1)
  const from = choices.chance(30) ? writer.from(depth - 1, { items: [], ctes: [] }) : undefined
  const inner: Scope = { items: [...scope.items, ...(from?.items ?? [])], ctes: [] }
  const condition = choices.chance(50)
    ? expression(writer, 'bool', inner, depth - 1)
    : `u.${id} is not null`
  const source = from === undefined ? '' : ` from ${from.sql}`
  return [
    `update ${table} u set ${column} = ${value}${source} where ${condition}${returning(writer, inner, depth)}`,
  ]
}

function remove(writer: QueryWriter, depth: number): string[] {
  const { choices } = writer
  const [table, id] = choices.pick(writable)
  const scope = scopeOf(table, 'u')
  const condition = choices.chance(50)
    ? expression(writer, 'bool', scope, depth - 1)
    : `u.${id} is not null`
  return [`delete from ${table} u where ${condition}${returning(writer, scope, depth)}`]
}

function merge(writer: QueryWriter, depth: number): string[] {
  const source = writer.query(depth - 1, { items: [], ctes: [] }, ['int', 'text'])
  const scope: Scope = { items: [{ name: 'q', columns: source.columns, isRow: true }], ctes: [] }
  const condition = expression(writer, 'bool', scope, depth - 2)
  return [
    `merge into scratch s using (${source.sql}) q on s.id = q.c0
     when matched and ${condition} then update set body = q.c1 when not matched then insert (id, body) values (q.c0, q.c1)`,
    'select id, body from scratch order by id',
  ]
}

function writingCte(writer: QueryWriter, depth: number): string[] {
  const [table, id] = writer.choices.pick(writable)
  const scope = scopeOf(table, table)
  const value = expression(writer, 'text', scope, depth - 1)
  const body = writer.choices.pick([
    `update ${table} set ${id} = ${id} where ${id} is not null returning ${value} as c0`,
    `delete from ${table} where ${id} is not null returning ${value} as c0`,
  ])
  return [
    `with w as (${body}) select ${expression(writer, 'text', { items: [{ name: 'w', columns: [{ name: 'c0', type: 'text' }], isRow: true }], ctes: [] }, depth - 1)} as c0 from w`,
  ]
}

function copyOut(writer: QueryWriter, depth: number): string[] {
  const { choices } = writer
  const format = choices.pick([
    '',
    ' (format csv, header)',
    " (format csv, quote '\"', force_quote *)",
    " (delimiter '|')",
    ' (format binary)',
  ])
  if (choices.chance(30)) {
    const table = choices.pick(writable)[0]
    return [`copy ${table} to stdout${format}`]
  }
  return [`copy (${writer.query(depth - 1).sql}) to stdout${format}`]
}

function copyIn(writer: QueryWriter): (string | Step)[] {
  const data = writer.choices.pick(['901\tx\n', '1\twrong\tnumber\n', 'no number\tx\n'])
  return [
    { sql: 'copy scratch(id, body) from stdin', delivery: 'simple', copyData: data },
    'select id, body from scratch order by id',
  ]
}

function cursor(writer: QueryWriter, depth: number): string[] {
  const { choices } = writer
  const how = choices.pick(['', 'scroll ', 'binary ', 'no scroll '])
  const fetches = [
    choices.pick(['fetch 2 from cu', 'fetch all from cu', 'fetch first from cu']),
    choices.pick(['fetch all from cu', 'move 1 in cu', 'fetch absolute 2 from cu', 'close cu']),
  ]
  return [`declare cu ${how}cursor for ${writer.query(depth - 1).sql}`, ...fetches]
}

function prepare(writer: QueryWriter, depth: number): string[] {
  const type = writer.choices.pick<SqlType>(['text', 'int'])
  const { sql } = writer.query(depth - 1)
  const wrapped = `select q.*, $1::${type} as given from (${sql}) q`
  return [
    'deallocate all',
    `prepare ps as ${wrapped}`,
    `execute ps(${type === 'text' ? "'given'" : '3'})`,
    'deallocate ps',
  ]
}

function explain(writer: QueryWriter, depth: number): string[] {
  const how = writer.choices.pick([
    'explain ',
    'explain (costs off) ',
    'explain (verbose) ',
    'explain (format json) ',
    'explain (analyze, timing off, summary off, buffers off) ',
    'explain (analyze, timing off, summary off, buffers off, costs off, verbose) ',
  ])
  return [`${how}${writer.query(depth - 1).sql}`]
}

function tableCopy(writer: QueryWriter, depth: number): string[] {
  const { sql } = writer.query(depth - 1)
  const make = writer.choices.pick([
    `create table made as ${sql}`,
    `create temp table made as ${sql}`,
    `create materialized view made as ${sql}`,
    `create view made as ${sql}`,
    `create temp view made as ${sql}`,
    `select q.* into made from (${sql}) q`,
  ])
  return [
    make,
    writer.choices.pick([
      'select * from made',
      'table made',
      'copy made to stdout',
      'select made::text from made',
    ]),
  ]
}

function definition(writer: QueryWriter, depth: number): string[] {
  const { choices } = writer
  const { sql } = writer.query(depth - 1, { items: [], ctes: [] }, ['text'])
  return choices.pick<() => string[]>([
    () => [
      'alter table people rename column email to nothing_special',
      'select id, nothing_special from people order by id',
    ],
    () => ['alter table people rename to folk', 'select id, email, salary from folk order by id'],
    () => [
      'alter table scratch add column more text',
      `update scratch set more = (${sql} limit 1) where id = 1`,
      'select * from scratch order by id',
    ],
    () => ['alter table orders drop column placed', 'select * from orders order by id'],
    () => [
      `create function made() returns setof text language sql as $f$ ${sql} $f$`,
      'select * from made()',
    ],
    () => [
      'create schema other',
      'alter table people set schema other',
      'select id, email from other.people order by id',
    ],
    () => [
      'create temp table people(id int, email text)',
      "insert into people values (1, 'mine')",
      'select * from people',
      'select id, email from public.people',
    ],
    () => ['create table child() inherits (contacts)', 'select * from contacts order by id'],
    () => [
      `create rule made as on update to badges do also ${sql.startsWith('select') ? sql : 'select 1'}`,
      "update badges set colour = 'red' where id = 1",
    ],
    () => [`comment on table scratch is 'x'`, `do $d$ begin perform (${sql} limit 1); end $d$`],
    () => [
      'alter table people alter column ssn type varchar(40)',
      'select ssn from people order by id',
    ],
  ])()
}

function setting(writer: QueryWriter, depth: number): string[] {
  const value = expression(writer, 'text', scopeOf('people', 'people'), depth - 1)
  return writer.choices.pick([
    [
      `select set_config('application_name', (select ${value} from people limit 1), true)`,
      'show application_name',
    ],
    [
      `select set_config('my.value', ${value}, true) from people`,
      "select current_setting('my.value')",
    ],
    ['set local search_path = pg_temp, public', 'select id, email from people order by id'],
    [
      "set local datestyle = 'German'",
      'select born, to_char(seen, $$DDMMYYYY$$) from people order by id',
    ],
    [`select pg_notify('news', ${value}) from people where id = 1`],
  ])
}
