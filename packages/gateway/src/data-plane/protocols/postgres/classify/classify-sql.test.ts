import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { emptyCatalog, type CatalogView } from './classified.ts'
import { SqlClassifier } from './classify-sql.ts'
import { corpus } from './classify.corpus.ts'
import { withPrepared } from './merge-effects.ts'
import { needsWorker } from './text-limits.ts'

let classifier: SqlClassifier
before(async () => {
  classifier = await SqlClassifier.create()
})
after(() => classifier.close())

const classify = (text: string, catalog: CatalogView = emptyCatalog) =>
  classifier.classify(text, catalog)

test('every statement of the corpus has its class, verb and objects', async (suite) => {
  for (const [text, effectClass, verb, objects] of corpus) {
    await suite.test(text, () => {
      const { effects } = classify(text)
      const names = effects.objects.map((name) => name.join('.')).toSorted()
      assert.deepEqual(
        [effects.class, effects.verb, names.join(' ')],
        [effectClass, verb, objects.split(' ').toSorted().join(' ')],
      )
      assert.equal(effects.opaque.length > 0, effectClass === 'unknown')
    })
  }
})

test('a condition that holds back no row makes a change unbounded', () => {
  const conditions: readonly (readonly [string, boolean])[] = [
    ['true', true],
    ['1=1', true],
    ['id = id', true],
    ['id = 1 or true', true],
    ['not false', true],
    ['exists (select 1)', true],
    ["'a' = 'a'", true],
    ['id = 1 or not id = 1', true],
    ['1 in (1)', true],
    ['a is null or a is not null', true],
    ['a = 1 or a <> 1', true],
    ["a like '%'", true],
    ['$1', true],
    ['(1=1) is true', true],
    ["'t'::bool", true],
    ['random() < 2', true],
    ['true and 1 = 1', true],
    ['id = 1', false],
    ['id is not null', false],
    ['false', false],
    ['1 = 2', false],
    ['id = 1 and true', false],
    ['exists (select 1 from s)', false],
    ['id = any ($1)', false],
    ['current of c', false],
    ['id <> id', false],
    ['t.id = 1', false],
  ]
  for (const [condition, unbounded] of conditions) {
    assert.equal(
      classify(`delete from t where ${condition}`).effects.unbounded,
      unbounded,
      condition,
    )
  }
  assert.equal(classify('update t set a = 1').effects.unbounded, true)
  for (const [text, unbounded] of [
    ['update t set a = 1 from s where s.id = 1', true],
    ['delete from t using s where s.id = 1', true],
    ['delete from t x using t where t.id = 1', true],
    ['delete from t using s where s.id = t.id', false],
    ['delete from t using s where s.id = id', false],
    ['delete from t where exists (select from s where s.id = t.id)', false],
    ['merge into t using s on s.id = 1 when matched then update set a = 1', true],
    ['merge into t using s on s.id = t.id when matched then update set a = 1', false],
  ] as const) {
    assert.equal(classify(text).effects.unbounded, unbounded, text)
  }
  assert.equal(classify('truncate t').effects.unbounded, true)
  assert.equal(classify('with d as (delete from t) select 1').effects.unbounded, true)
})

const app: CatalogView = {
  ...emptyCatalog,
  generation: 1,
  creationSchema: 'public',
  resolve: (name) => (name.length > 1 ? [name] : [['public', ...name]]),
  baseRelations: (name) => (name[1] === 'v' ? [['app', 'secret']] : []),
  functionsNamed: (name) =>
    name === 'score' || name === 'lower'
      ? [{ schema: 'app', name, volatility: 'i', language: 'sql', securityDefiner: false }]
      : [],
}

test('a condition on NULL alone bounds nothing where the catalog says that there is none', () => {
  const catalog: CatalogView = {
    ...app,
    generation: 77,
    isNotNull: (name, column) => name.join('.') === 'public.t' && ['id', 'at'].includes(column),
  }
  for (const [text, unbounded] of [
    ['delete from t where id is not null', true],
    ['delete from t where not (id is null)', true],
    ['delete from t as x where x.id is not null and x.at is not null', true],
    ['update t set a = 1 where id is not null or a = 2', true],
    ['with d as (delete from t where t.id is not null returning 1) select 1', true],
    ['explain analyze delete from t where id is not null', true],
    ['explain delete from t where id is not null', false],
    ['delete from t where a is not null', false],
    ['delete from t where id is not null and a is not null', false],
    ['delete from t where id is not null and a = 1', false],
    ['delete from t where id is null', false],
    ['delete from t using u where u.id is not null and t.a = u.a', false],
    ['delete from u where id is not null', false],
  ] as const)
    assert.equal(classify(text, catalog).effects.unbounded, unbounded, text)
  assert.equal(classify('delete from t where id is not null', app).effects.unbounded, false)
})

test('what an ALTER TABLE drops is an action of its own', () => {
  const actions = (text: string) => classify(text, app).effects.sql?.actions
  assert.deepEqual(actions('alter table t drop constraint c'), ['alter table', 'drop constraint'])
  assert.deepEqual(actions('alter table t add d int, drop if exists a cascade'), [
    'alter table',
    'drop column',
  ])
})

test('names are qualified, views show their tables, and columns know where they belong', () => {
  const { effects } = classify('select v.a, b from v join t on t.id = v.id where c = 1', app)
  assert.deepEqual(effects.sql?.reads, [
    ['public', 'v'],
    ['app', 'secret'],
    ['public', 't'],
  ])
  assert.deepEqual(effects.sql?.columns.slice(0, 2), [
    ['public', 'v', 'a'],
    ['app', 'secret', '*'],
  ])
  assert.ok(effects.sql?.predicateColumns.some((column) => column.join('.') === 'public.t.c'))
  assert.ok(effects.accesses.every((access) => access.resolved))
})

test('a name is not determined after the search path moved in the same text', () => {
  const { effects } = classify('set search_path to b; select * from t', app)
  assert.ok(effects.accesses.some((access) => access.object?.[1] === 't' && !access.resolved))
})

test('a user function is unknown until it is trusted, also as an overload and as an attribute', () => {
  const trusting = { ...app, generation: 1, trustedFunctions: new Set(['app.score', 'app.lower']) }
  for (const text of [
    'select app.score(1)',
    'select score(1)',
    "select lower('x')",
    'select t.score from t',
    'select (t).score from t',
  ]) {
    assert.deepEqual(classify(text, app).effects.opaque, ['unknown-function'], text)
    assert.equal(classify(text, trusting).effects.class, 'read', text)
  }
  assert.equal(classify("select pg_catalog.lower('x')", app).effects.class, 'read')
})

test('columns under other names, and of joins by name, stand for every column', () => {
  for (const text of ['select x from t as a(x)', 'select 1 from t natural join s']) {
    assert.ok(
      classify(text).effects.sql?.columns.some((column) => column.join('.') === 't.*'),
      text,
    )
  }
  const joined = classify('select 1 from t join s using (email)').effects.sql?.predicateColumns
  assert.deepEqual(joined, [
    ['t', 'email'],
    ['s', 'email'],
  ])
})

test('EXECUTE takes the effects of what the session prepared', () => {
  const prepared = classify('prepare p as delete from t').statements[0]?.prepared
  const executed = withPrepared(classify('execute p(1)'), (name) =>
    name === 'p' ? prepared : undefined,
  )
  assert.deepEqual(
    [executed.effects.class, executed.effects.verb, executed.effects.unbounded],
    ['write', 'delete', true],
  )
  assert.equal(withPrepared(classify('execute q'), () => undefined).effects.class, 'unknown')
  const argument = withPrepared(classify("execute p(pg_read_file('x'))"), () => prepared)
  assert.equal(argument.effects.class, 'admin')
})

test('a COPY tells its direction, format and columns', () => {
  assert.deepEqual(
    classify("copy s.t (a, b) from stdin with (format csv, header, delimiter ';')").statements[0]
      ?.copy,
    {
      direction: 'in',
      format: 'csv',
      options: { delimiter: ';', header: true },
      relation: ['s', 't'],
      columns: ['a', 'b'],
      query: false,
    },
  )
})

test('arbitrary text never throws', () => {
  const words = fc.constantFrom(
    'select',
    'from',
    '(',
    ')',
    'with',
    'a',
    ',',
    '*',
    'delete',
    '$$',
    "'",
    ';',
    '--',
    'as',
    '::',
    '1',
  )
  const texts = fc.oneof(
    fc.string(),
    fc.array(words, { maxLength: 30 }).map((list) => list.join(' ')),
  )
  fc.assert(
    fc.property(texts, (text) => classify(text).effects.class.length > 0),
    { numRuns: 300 },
  )
})

test('nothing that nests deeply or runs long is parsed on the calling thread', () => {
  for (const text of [
    `select ${'('.repeat(1000)}1${')'.repeat(1000)}`,
    `select ${'1+'.repeat(3000)}1`,
    `select ${'not '.repeat(3000)} true`,
    `select 1 -- ${'x'.repeat(20_000)}`,
  ]) {
    assert.ok(needsWorker(text))
    assert.deepEqual(classify(text).effects.opaque, ['too-long'])
  }
})

test('large and deep texts are classified in the worker or refused, and the classifier goes on', async () => {
  const deep = ['(', 'not ', '- ', 'case when true then '].map(
    (part) => `select ${part.repeat(12_000)}1`,
  )
  for (const text of [...deep, `select ${'1+'.repeat(12_000)}1`]) {
    const { effects } = await classifier.classifyLarge(text, emptyCatalog)
    assert.ok(['read', 'unknown'].includes(effects.class))
  }
  const insert = `insert into t values ${'(1, 2),'.repeat(20_000)} (3, 4)`
  assert.equal((await classifier.classifyLarge(insert, emptyCatalog)).effects.class, 'write')
  assert.equal(classify(insert).effects.class, 'write')
  const huge = `select 1 -- ${' '.repeat(9 * 1024 * 1024)}`
  assert.deepEqual((await classifier.classifyLarge(huge, emptyCatalog)).effects.opaque, [
    'too-long',
  ])
  const hidden = `${'/*'}${' '.repeat(100_000)}*/ drop table t`
  assert.equal((await classifier.classifyLarge(hidden, emptyCatalog)).effects.class, 'ddl')
})
