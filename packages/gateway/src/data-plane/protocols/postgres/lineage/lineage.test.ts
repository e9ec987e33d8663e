import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { outcomeOf } from './column-outcome.ts'
import { isTainted, printPath } from './flow.ts'
import { fixtureDatabase } from './lineage.fixture.ts'
import type { Lineage } from './lineage.ts'
import { lineageRules } from './rule-names.ts'

const database = fixtureDatabase()
const laxDatabase = fixtureDatabase(undefined, 'observe')

function lineage(sql: string, from = database): Lineage {
  const [first] = from.statements(sql) ?? []
  assert.ok(first, `not read: ${sql}`)
  return first
}

/** One letter a column: c clean, d direct, x computed; `?` for what is not listed. */
function kinds(sql: string): string {
  const found = lineage(sql)
  const isResolved = found.unresolved.length === 0
  const letter = { clean: 'c', direct: 'd', derived: 'x' } as const
  const of = (flow: Lineage['others'] & object) =>
    letter[outcomeOf(flow, isResolved, database.masks).kind]
  if (found.columns === undefined) return `?${found.others === undefined ? '' : of(found.others)}`
  return found.columns.map(({ flow }) => of(flow)).join('')
}

/** Expressions over `email` that are the value itself. */
const direct = `
email ; p.email ; (email) ; email::text ; email collate "C" ; coalesce(email, 'x') ; case when id = 1 then email else name end
; (select email) ; (p).email ; (select q.email from people q limit 1)
`
/** Expressions that take something of it. */
const derived = `
upper(email) ; email || '' ; email::varchar(3) ; email = 'a' ; email like 'a%' ; email in ('a') ; email between 'a' and 'b'
; nullif(email, 'a') ; greatest(email, 'a') ; array[email] ; (array[email])[1] ; row(email) ; row(email, 1) ; p ; p.* is null
; to_json(p) ; row_to_json(p) ; json_build_object('a', email) ; json_object('a': email) ; json_array(email) ; json_scalar(email)
; jsonb_path_query_first(to_jsonb(p), '$.email') ; xmlelement(name a, email) ; xmlforest(email) ; xmlconcat(xmlelement(name a, email))
; length(email) ; md5(email) ; left(email, 1) ; substring(email from 1 for 2) ; position('a' in email) ; trim(email) ; overlay(email placing 'x' from 1)
; email is distinct from 'a' ; not (email = 'a') ; (email = 'a') is true ; email ~ 'a' ; email similar to 'a' ; salary + 1 ; - salary
; extract(year from now() + salary * interval '1 day') ; case email when 'a' then 1 else 2 end ; case when email = 'a' then 1 end
; exists (select 1) and email = 'a' ; id = any (select salary from people) ; array(select email from people) ; max(email)
; string_agg(email, ',') ; count(distinct email) ; count(*) filter (where email = 'a') ; array_agg(id order by email)
; row_number() over (order by email) ; first_value(email) over () ; lag(email) over (order by id) ; percentile_cont(0.5) within group (order by salary)
; (select max(email) from people) ; format('%s', email) ; concat(email, 1) ; email::bytea ; same(email) ; p::text ; (p.*)::text
; (row(email, 1)).f1 ; json_value(to_jsonb(p), '$.email') ; json_query(to_jsonb(p), '$') ; json_serialize(json(email)) ; json_objectagg(email: 1)
; json_arrayagg(email) ; xmlserialize(content xmlelement(name a, email) as text) ; xmlparse(document email) ; email is json
; host ; email(p) ; upper(p.email) ; nosuch(email) ; email operator(public.@@) 'x' ; sum(salary) over w ; cast(email as point)
; string_to_array(email, '@') ; unnest(array[email]) ; (select array_agg(email) from people) ; ((array[p])[1]).email ; grouping(email) + length(email)
`
const templates = (list: string): string[] =>
  list
    .split(';')
    .map((one) => one.trim())
    .filter((one) => one !== '')

test('a value that is a column stays one, and what is computed from it is told', () => {
  for (const [list, letter] of [
    [direct, 'd'],
    [derived, 'x'],
  ] as const) {
    for (const expression of templates(list)) {
      const sql = `select ${expression}, name from people p window w as (order by id)`
      assert.equal(kinds(sql).at(0), letter, expression)
      assert.equal(kinds(sql).at(-1), 'c', expression)
    }
  }
})

test('every way around of a query carries what its inside carries', () => {
  const inside = fc.constantFrom('email', 'upper(email)', 'name', 'coalesce(email, name)', 'salary')
  const wraps = [
    (q: string) => `select v from (${q}) s`,
    (q: string) => `select * from (${q}) s`,
    (q: string) => `select s.* from (${q}) s`,
    (q: string) => `select v as w from (${q}) s(v)`,
    (q: string) => `with c as (${q}) select v from c`,
    (q: string) => `with c(a) as materialized (${q}) select a as v from c`,
    (q: string) =>
      `with recursive c as (${q} union all select v from c where false) select v from c`,
    (q: string) => `select (${q} limit 1) as v`,
    (q: string) => `${q} union all select null`,
    (q: string) => `select null as v union all (${q})`,
    (q: string) => `select l.v from orders o, lateral (${q}) l`,
    (q: string) => `select j.v from ((${q}) a cross join orders b) as j`,
    (q: string) => `select x.v from (${q}) x left join orders on true`,
    (q: string) => `select v from (${q}) a join (${q}) b using (v)`,
    (q: string) => `select v from (${q}) a natural join (${q}) b`,
    (q: string) => `select case when true then v end as v from (${q}) s`,
    (q: string) => `select coalesce(v, null) as v from (${q}) s`,
    (q: string) => `select (s).v from (${q}) s`,
    (q: string) => `select min(v) as v from (${q}) s`,
    (q: string) => `select v from (values ((${q} limit 1))) s(v)`,
    (q: string) => `select to_json(s) as v from (${q}) s`,
  ]
  const named = (q: string): string =>
    / as v\b|[ .]v\b|\bv\b/.test(q) ? q : `select z.* from (${q}) z(v)`
  fc.assert(
    fc.property(inside, fc.array(fc.constantFrom(...wraps), { maxLength: 6 }), (value, chain) => {
      let sql = `select ${value} as v from people`
      for (const wrap of chain) sql = named(wrap(`select q.* from (${sql}) q(v)`))
      const found = lineage(sql)
      const flows = found.columns?.map(({ flow }) => flow) ?? (found.others ? [found.others] : [])
      assert.equal(flows.some(isTainted), value !== 'name', sql)
    }),
    { numRuns: 300 },
  )
})

test('the path of a column tells each step', () => {
  const [column] = lineage('select c.contact as x from contacts c').columns ?? []
  const paths = [...(column?.flow.sources.values() ?? [])].map(printPath)
  assert.deepEqual(paths, ['public.people.email → view public.contacts → alias x'])
})

/** A statement for each rule, of which the rule alone tells something. */
const needs: Readonly<Record<string, string>> = {
  ColumnRef: 'select email from people',
  A_Indirection: 'select (p).email from people p',
  FuncCall: 'select upper(email) from people',
  A_Expr: "select email || '' from people",
  TypeCast: 'select email::text from people',
  SubLink: 'select (select email from people limit 1)',
  CollateClause: 'select email collate "C" from people',
  BoolExpr: "select not (email = 'a') from people",
  NullTest: 'select upper(email) is null from people',
  BooleanTest: "select (email = 'a') is true from people",
  CaseExpr: 'select case when id = 1 then email end from people',
  CoalesceExpr: 'select coalesce(email, name) from people',
  MinMaxExpr: 'select least(email, name) from people',
  NamedArgExpr: 'select same(a => email) from people',
  RowExpr: 'select row(email) from people',
  A_ArrayExpr: 'select array[email] from people',
  List: 'select id in (1, salary) from people',
  A_Indices: 'select (array[1, 2])[salary] from people',
  SortBy: 'select array_agg(id order by email) from people',
  XmlExpr: 'select xmlconcat(xmlelement(name a, email)) from people',
  ResTarget: 'select xmlforest(email) from people',
  XmlSerialize: 'select xmlserialize(content email as text) from people',
  JsonKeyValue: "select json_object('a': email) from people",
  JsonValueExpr: 'select json_array(email) from people',
  JsonIsPredicate: 'select email is json from people',
  JsonObjectConstructor: "select json_object('a': email) from people",
  JsonArrayConstructor: 'select json_array(email) from people',
  JsonArrayQueryConstructor: 'select json_array(select email from people)',
  JsonParseExpr: 'select json(email) from people',
  JsonScalarExpr: 'select json_scalar(email) from people',
  JsonSerializeExpr: 'select json_serialize(email) from people',
  JsonFuncExpr: "select json_value(email, '$') from people",
  JsonArgument: "select json_value('{}', '$' passing email as x) from people",
  JsonBehavior: "select json_value('{}', '$' default email on empty) from people",
  JsonObjectAgg: 'select json_objectagg(id: email) from people',
  JsonArrayAgg: 'select json_arrayagg(email) from people',
  ParamRef: 'select numbered(email) from people',
  'CaseExpr.condition': "select case when email = 'a' then 1 end from people",
  body: 'select first_email()',
  confined: "select exists (select 1 from people where email = 'a')",
  'clause.aggregateFilter': "select count(*) filter (where email = 'a') from people",
  'clause.aggregateOrder': 'select array_agg(id order by email) from people',
  'clause.distinct': 'select distinct email from people',
  'clause.group': 'select count(*) from people group by email',
  'clause.having': 'select count(*) from people having max(salary) > 1',
  'clause.join': 'select 1 from people p join orders o on p.email = o.item',
  'clause.limit': 'select id from people limit (select max(salary) from people)',
  'clause.order': 'select id from people order by email',
  'clause.rows': 'select generate_series(1, salary) from people',
  'clause.using': 'select o.id from people join orders o using (email)',
  'clause.where': "select id from people where email = 'a'",
  'clause.window': 'select row_number() over (order by email) from people',
  constraint: "insert into people(id, email) values (1, 'x')",
  door: 'create server s foreign data wrapper w',
  explain: 'explain select email from people',
  generated: 'select host from people',
  inheritance: 'select secret from parent',
  merge: 'select email from people join orders o using (email)',
  recursion:
    'with recursive r as (select 1 as n, email from people union all select n, email from r) select upper(email) from r',
  returning: 'update people set name = name returning email',
  target: 'select email from people',
  trigger: 'delete from orders',
  union: 'select name from people union all select email from people',
  view: 'select contact from contacts',
  write: 'insert into orders(item) select email from people',
}

/** Rules that say of a node that it takes nothing: without them it takes nothing too. */
const tellsNothing = new Set(
  'A_Const SetToDefault SQLValueFunction MergeSupportFunc GroupingFunc CurrentOfExpr JsonFormat JsonReturning JsonOutput'.split(
    ' ',
  ),
)

const summary = ({ columns, others, influences, launders, partials, sideDoors }: Lineage): string =>
  JSON.stringify([
    columns?.map(({ flow }) => [flow.isExact, [...flow.sources.keys()].map(({ name }) => name)]),
    others && [...others.sources.keys()].map(({ name }) => name),
    [influences, launders, partials].map((list) => list.map(({ what }) => what)),
    sideDoors,
  ])

test('without any one of the rules something is not told', async (t) => {
  for (const rule of lineageRules) {
    if (tellsNothing.has(rule)) continue
    await t.test(rule, () => {
      const sql = needs[rule]
      assert.ok(sql, `no statement needs ${rule}`)
      const without = fixtureDatabase(new Set([rule]))
      assert.notEqual(summary(lineage(sql, without)), summary(lineage(sql)))
    })
  }
})

test('what decides about the rows of a sub-query is part of its value, unless something in it may be noticed', () => {
  const told = (query: string, inside: string) => {
    const { columns = [], influences } = lineage(`select ${query} as x from (${inside}) q`)
    const isMasked = columns.some(({ flow }) => isTainted(flow))
    return { isMasked, decides: influences.map(({ what }) => what) }
  }
  const some = "select id, name from people where email = 'a'"
  const quiet = [
    `exists (${some})`,
    `array(select name from (${some}) s order by name)`,
    `(select name from people where email = 'a' limit 1)`,
    `(select name from people order by salary limit 1)`,
    `(select count(*) from people where email = 'a')`,
    `(select max(name) from people p join orders o on p.email = o.item)`,
    `1 in (select id from people where email = 'a')`,
    `(with c as (${some}) select count(*) from c)`,
    `(select count(*) from people where email like 'a%')`,
    `(select count(*) from people where email ~ '^[a-c]+$')`,
  ]
  for (const query of quiet)
    assert.deepEqual(told(query, 'select 1'), { isMasked: true, decides: [] }, query)
  const noticed = [
    `exists (select 1 from people where email = 'a' and 1 / id = 1)`,
    `array(select 1 / id from people where email = 'a')`,
    `(select name from people where email = 'a')`,
    `(select max(q.id) from people where email = 'a')`,
    `(select name from people where email = 'a' limit 2)`,
    `(select name from people where email = 'a' limit id)`,
    `(select name from people where email = 'a' limit 1 for update)`,
    `(select nosuch(id) from people where email = 'a' limit 1)`,
    `(select random() from people where email = 'a' limit 1)`,
    `(select count(*) from people tablesample system (id) where email = 'a')`,
    `(select count(*) from people where email = 'a' and name ~ '(')`,
    `(select count(*) from people where email = 'a' and name like '\\')`,
    `(select count(*) from people where email = 'a' and name like item)`,
    `exists (select unnest(array[1]) from people where email = 'a' limit -1)`,
  ]
  for (const query of noticed)
    assert.notDeepEqual(told(query, 'select id, item from orders').decides, [], query)
})

test('a rule that lets columns decide keeps what they decide apart from values', () => {
  const told = lineage("select exists (select 1 from people where email = 'a')", laxDatabase)
  assert.deepEqual(
    told.influences.map(({ what }) => what),
    ['WHERE'],
  )
  assert.equal(
    told.columns?.some(({ flow }) => isTainted(flow)),
    false,
  )
})

test('a key that masked values refer to tells of them when it goes away or changes', () => {
  const told = (sql: string) => lineage(sql).influences.map(({ what }) => what)
  const keys = 'foreign keys to public.orders'
  assert.deepEqual(told('delete from orders where id = 1'), [keys])
  assert.deepEqual(told("update orders set item = 'x' where id = 1"), [keys])
  assert.deepEqual(told('update orders set person = 2 where id = 1'), [])
})

test('texts that differ in constants alone share their lineage, unless a constant stands for a column', () => {
  const of = (sql: string) => database.statements(sql)
  assert.equal(
    of('select email from people where id = 1'),
    of('select email from people where id = 2'),
  )
  assert.notEqual(
    of('select id, email from people order by 1'),
    of('select id, email from people order by 2'),
  )
  assert.equal(lineage('select id, email from people order by 1').influences.length, 0)
  assert.equal(lineage('select id, email from people order by 2').influences.length, 1)
})

test('a name that is not known, and a node that is not known, may carry anything', () => {
  for (const sql of [
    'select nosuch from people',
    'select x from nosuch',
    'select nosuch(1)',
    'select * from public.nosuch',
  ]) {
    assert.notEqual(lineage(sql).unresolved.length, 0, sql)
    assert.match(kinds(sql), /x/, sql)
  }
})
