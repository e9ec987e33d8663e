import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import type { Effects } from '@sallyport/core'
import { SqlParser } from '../classify/sql-parser.ts'
import type { Tree } from '../classify/tree.ts'
import { oneStatement } from './cut-statement.ts'
import { shapeOf, type GivenValues } from './statement-shape.ts'

const parser = await SqlParser.create()

function parse(text: string): readonly Tree[] | undefined {
  const parsed = parser.parse(text)
  return parsed.kind === 'tree' ? parsed.statements : undefined
}

const effects = { class: 'write', verb: 'delete', objects: [['public', 't']] } as unknown as Effects
const nothing: GivenValues = { values: [], types: [] }

function shape(text: string, given = nothing, behind: readonly string[] = []): string {
  const one = oneStatement(text, parse)
  if ('why' in one) assert.fail(`${text}: ${one.why}`)
  return shapeOf(one.tree, effects, given, behind)
}

const constants = [
  '0',
  '1',
  '22',
  '99999999999',
  '1.5',
  "''",
  "'x'",
  "'it''s'",
  '$$d$$',
  "b'01'",
  "e'\\n'",
  '$1',
  '$2',
]
const constant = fc.constantFrom(...constants)

/** Statements with holes; what stands in a hole is a value and nothing else. */
const withHoles = [
  'delete from t where a = ?',
  'delete from t where a <> ?',
  'delete from t where a = ? and b = ?',
  'delete from t where a = ? or b = ?',
  'delete from t where b = ? and a = ?',
  'delete from only t where a = ?',
  'delete from u where a = ?',
  'delete from t as u where a = ?',
  'delete from t where a in (?, ?)',
  'delete from t where a = ? returning a',
  'delete from t using u where a = ?',
  'delete from t where not a = ?',
  'update t set a = ?',
  'update t set b = ?',
  'update t set a = ?, b = ?',
  'update t set a = ? where a = ?',
  'update t set a = ? where a = ? and true',
  'update t set a = ? where a = ? and null',
  'update t set a = null',
  'insert into t values (?)',
  'insert into t values (?, ?)',
  'insert into t(a) values (?)',
  'insert into t(b) values (?)',
  'insert into t values (?, default)',
  'insert into t values (default, ?)',
  'insert into t select ?',
  'select a from t where a between ? and ?',
  'select a from t where a between symmetric ? and ?',
  'select a from t where a = ? limit ?',
  'select a from t where a = ? offset ?',
  'select a, ? from t',
  'select ?, a from t',
  'select a from t where a = ? order by a',
  'select a from t where a = ? order by a desc',
  'select a from t where a = ?::int',
  'select a from t where a = ?::text',
  'select a from t where a = cast(? as date)',
  'select a from t where a = @ ?',
  'select a from t where a = f(1)',
  "select a from t where a = f('1')",
  'select a from t where a = f(2)',
  'select a from t where a = ? union select a from t where a = ?',
  'select a from t where a = ? union all select a from t where a = ?',
  'with c as (select ?) delete from t where a in (select * from c)',
  'select case a when ? then ? else ? end from t',
]

test('two statements have one shape where they differ in values alone, and no other two have', () => {
  const filled = fc
    .tuple(fc.constantFrom(...withHoles), fc.array(constant, { minLength: 3, maxLength: 3 }))
    .map(([holes, values]) => {
      let at = 0
      return { holes, text: holes.replaceAll('?', () => values[at++] ?? '0') }
    })
  fc.assert(
    fc.property(filled, filled, fc.boolean(), (left, other, isSame) => {
      const right = isSame
        ? { ...other, holes: left.holes, text: refill(left.holes, other.text) }
        : other
      assert.equal(
        shape(left.text) === shape(right.text),
        left.holes === right.holes,
        `${left.text} | ${right.text}`,
      )
    }),
    { numRuns: 3000 },
  )
  const all = new Set(withHoles.map((holes) => shape(holes.replaceAll('?', '1'))))
  assert.equal(all.size, withHoles.length)
})

/** The same holes with values that come from somewhere. */
function refill(holes: string, seed: string): string {
  let at = seed.length
  return holes.replaceAll('?', () => constants[at++ % constants.length] ?? '0')
}

for (const [what, left, right] of [
  ['how many columns a row has', 'insert into t values (1)', "insert into t values (1, 'admin')"],
  [
    'the column that a number names',
    'select a, b from t order by 1',
    'select a, b from t order by 2',
  ],
  ['the same in groups', 'select a, b from t group by 1', 'select a, b from t group by 2'],
  [
    'the same in sets of them',
    'select a from t group by grouping sets ((1), (2))',
    'select a from t group by grouping sets ((1), (1))',
  ],
  [
    'the same where rows are distinct',
    'select distinct on (1) a, b from t',
    'select distinct on (2) a, b from t',
  ],
  [
    'the length of a type',
    "delete from t where a > 'x'::varchar(1)",
    "delete from t where a > 'x'::varchar(9)",
  ],
  [
    'the unit of an interval',
    "delete from t where a > interval '1' day",
    "delete from t where a > interval '1' year",
  ],
  [
    'the element that is assigned to',
    "update t set a['note'] = '1'",
    "update t set a['role'] = '1'",
  ],
  ['a path', "select json_value(a, '$.x') from t", "select json_value(a, '$.y') from t"],
  [
    'what a table is read from',
    "select * from xmltable('/a' passing b columns c int)",
    "select * from xmltable('/z' passing b columns c int)",
  ],
  [
    'which condition holds',
    'delete from t where a = 1 and true',
    'delete from t where a = 1 or true',
  ],
] as const)
  test(`no value, though it looks like one: ${what}`, () => {
    assert.notEqual(shape(left), shape(right))
  })

test('rows of one kind are one shape, however many; how many they are, the estimate says', () => {
  assert.equal(
    shape("insert into t values (1, 'a'), (2, 'b')"),
    shape("insert into t values (3, 'c')"),
  )
  assert.notEqual(
    shape('insert into t values (1, default)'),
    shape('insert into t values (1, default), (1, 2)'),
  )
  assert.equal(shape('delete from t where a in (1)'), shape('delete from t where a in (1, 2, $1)'))
})

test('a value inside of a function call counts, also where it is given beside the text, and so does its type', () => {
  const text = 'select run_it($1) from t where a = $2'
  const given = (first: GivenValues['values'][number], type = 25, second = 'x'): GivenValues => ({
    values: [first, second],
    types: [type, 25],
  })
  const one = shape(text, given('vacuum'))
  assert.equal(shape(text, given('vacuum', 25, 'other')), one)
  for (const other of [
    given('drop'),
    given('vacuum', 23),
    given(null),
    given(new Uint8Array([1])),
    given(new Uint8Array([2])),
    nothing,
  ])
    assert.notEqual(shape(text, other), one)
  assert.notEqual(shape(text, given(new Uint8Array([1]))), shape(text, given(new Uint8Array([2]))))
})

test('what the names stand for counts: another table, or other code behind it', () => {
  const text = 'delete from t where a = 1'
  const shapes = [[], ['[1]'], ['[2]'], ['[1]', 'code'], ['[1]', 'other code']].map((behind) =>
    shape(text, nothing, behind),
  )
  assert.equal(new Set(shapes).size, shapes.length)
})

test('the words of any text that can be read alone decide: comments, blanks and places have no part', () => {
  assert.equal(
    shape('delete from t where a = 1'),
    shape('  DELETE /* x */ FROM t\n WHERE a=2 -- y\n;'),
  )
})
