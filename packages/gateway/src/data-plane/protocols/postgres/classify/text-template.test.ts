import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { corpus } from './classify.corpus.ts'
import { draftText } from './draft-text.ts'
import { SqlParser } from './sql-parser.ts'
import { templateOf } from './text-template.ts'

const parser = await SqlParser.create()

test('texts that differ in numbers and strings alone have one template', () => {
  const one = "select a1, $1, 'it''s', 1.5 from \"t'2\" where b >= 7 limit 10"
  const two = "select a1, $1, '', 22 from \"t'2\" where b >= 700 limit 1"
  assert.equal(templateOf(one), 'select a1, $1, \', 0 from "t\'2" where b >= 0 limit 0')
  assert.equal(templateOf(two), templateOf(one))
})

test('what differs in anything else has another template', () => {
  const texts = ['select a1', 'select a2', 'select $1', 'select $2', 'select "1"', "select '1'"]
  texts.push('select 1', 'select - 1', 'select -1', 'select 1,1', 'select 1 1', "select '' ''")
  assert.equal(new Set(texts.map((text) => templateOf(text))).size, texts.length)
})

test('texts that need more of the lexical rules have no template', () => {
  const texts = [
    'select 1 -- x',
    'select /* 1 */ 1',
    'select $$1$$',
    'select $a$1$a$',
    "select e'1'",
  ]
  texts.push(
    "select E'\\''",
    "select U&'1'",
    'select U&"a"',
    "select b'1'",
    "select '\\'",
    "select '",
  )
  texts.push('select "a', 'select 1e5', 'select 0x1f', 'select 1_000', 'select 1.', 'select 1..2')
  texts.push('select \u0000', 'select 12abc', 'select $', 'select $1a')
  for (const text of texts) assert.equal(templateOf(text), undefined, text)
})

test('every statement that shares a template would have got the draft that it shares', () => {
  const constant = fc.oneof(
    fc.constantFrom('0', '1', '2', "''", "'%'", "'a'", "'f'", "'off'", "'search_path'", "'it''s'"),
    fc.nat().map(String),
    fc.double({ min: 0, max: 1e6, noNaN: true }).map((number) => number.toFixed(3)),
    fc.constantFrom('99999999999999999999', '\'{"a": 1}\'', "'pg_catalog.pg_authid'"),
  )
  const texts = [...corpus.map(([text]) => text), ...more].filter(
    (text) => templateOf(text) !== undefined && /[0-9']/u.test(templateOf(text) ?? ''),
  )
  let shared = 0
  fc.assert(
    fc.property(
      fc.constantFrom(...texts),
      fc.array(constant, { minLength: 12, maxLength: 12 }),
      fc.array(constant, { minLength: 12, maxLength: 12 }),
      (text, first, second) => {
        const [a, b] = [withConstants(text, first), withConstants(text, second)]
        const template = templateOf(a)
        fc.pre(template !== undefined && template === templateOf(b))
        const draft = draftText(parser, a)
        if (!draft.isTemplate) return
        const other = draftText(parser, b)
        // Its server, not we, says what it thinks of a text that only its constants make wrong.
        if (other.syntaxError) return
        shared += 1
        assert.deepEqual(other, draft, `${a}\n${b}`)
      },
    ),
    { numRuns: 3000 },
  )
  assert.ok(shared > 200, `only ${shared} pairs shared a draft`)
})

const more = [
  'select a from t where b = 1',
  "select a from t where b = 'x' and c in (1, 2)",
  'delete from t where 1 = 1',
  'delete from t where id = 1 or 2 = 2',
  "update t set a = 1 where b like '%'",
  'update t set a = 1 where b = 2',
  "insert into t values (1, 'x'), (2, 'y')",
  'select * from t limit 5',
  "select set_config('search_path', 'x', false)",
  "select nextval('s'), 'pg_authid'::regclass",
  "select date '2020-01-01', interval '1 day', x[1] from t",
  'delete from t where lower(a) = lower(1)',
  'delete from t where (a = 1) or not (a = 1)',
]

/** The text with its plain constants exchanged for those given, in turn. */
function withConstants(text: string, constants: readonly string[]): string {
  let next = 0
  return text.replaceAll(/'(?:[^'\\]|'')*'|(?<![\w$".])\d+(?:\.\d+)?(?![\w.])/gu, () => {
    next += 1
    return constants[(next - 1) % constants.length] ?? '0'
  })
}
