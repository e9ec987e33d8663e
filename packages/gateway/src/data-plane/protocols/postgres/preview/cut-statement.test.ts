import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { SqlParser } from '../classify/sql-parser.ts'
import { at, list, unwrap, type Tree } from '../classify/tree.ts'
import {
  countText,
  oneStatement,
  planText,
  sampleText,
  type Cut,
  type OneStatement,
} from './cut-statement.ts'
import { wordSoup, written } from './statements.fixture.ts'

const parser = await SqlParser.create()

function parse(text: string): readonly Tree[] | undefined {
  const parsed = parser.parse(text)
  return parsed.kind === 'tree' ? parsed.statements : undefined
}

function read(text: string): OneStatement | undefined {
  const one = oneStatement(text, parse)
  return 'why' in one ? undefined : one
}

/** Told apart from the code's own comparison, which is what is tried: all but places has to be the same. */
function isSame(left: unknown, right: unknown): boolean {
  const text = (value: unknown): string =>
    JSON.stringify(value, (key, each: unknown) =>
      /^(?:location|stmt_\w+|(?:rexpr_)?list_(?:start|end))$/u.test(key) ? undefined : each,
    ) ?? ''
  return text(left) === text(right)
}

/** The only statement of a cut. Fails where there are more, or none. */
function only(cut: Cut): Tree | undefined {
  if ('why' in cut) return undefined
  const statements = parse(cut.text)
  assert.equal(statements?.length, 1, cut.text)
  return at(statements?.[0] ?? {}, 'stmt')
}

/** What the parser says of a text that was never near the cutter. */
function bodyOf(text: string): Tree {
  return unwrap(at(parse(text)?.[0] ?? {}, 'stmt') ?? {})?.body ?? {}
}

/** What may be sent of a statement, told by its cuts alone. */
function mustBeHarmless(text: string): number {
  const one = read(text)
  if (one === undefined) return 0
  const original = at(parse(text)?.[0] ?? {}, 'stmt')
  const plan = only(planText(one))
  if (plan !== undefined) {
    const { options, query } = at(plan, 'ExplainStmt') ?? {}
    assert.deepEqual(
      bodyOf('explain (format json) select 1')['options']?.toString(),
      options?.toString(),
    )
    const names = list(at(plan, 'ExplainStmt') ?? {}, 'options').map(
      (each) => at(each, 'DefElem')?.['defname'],
    )
    assert.deepEqual(names, ['format'], text)
    assert.ok(isSame(query, original), text)
  }
  const cuts = [only(countText(one)), only(sampleText(one, 5))].filter((each) => each !== undefined)
  for (const cut of cuts) {
    const select = at(cut, 'SelectStmt')
    assert.ok(select !== undefined, text)
    for (const part of [
      'intoClause',
      'lockingClause',
      'larg',
      'sortClause',
      'distinctClause',
      'valuesLists',
    ])
      assert.equal(select[part], undefined, `${part}: ${text}`)
    const { tag, body } = unwrap(original ?? {}) ?? { tag: '', body: {} }
    if (tag === 'SelectStmt') continue
    // The tables and the condition are those of the statement, and nothing else is.
    assert.ok(isSame(select['whereClause'], body['whereClause']), text)
    assert.ok(isSame(select['withClause'], body['withClause']), text)
    const more = list(body, tag === 'DeleteStmt' ? 'usingClause' : 'fromClause')
    assert.ok(isSame(select['fromClause'], [{ RangeVar: body['relation'] }, ...more]), text)
  }
  return cuts.length + (plan === undefined ? 0 : 1)
}

test('whatever is sent, nothing leaves but a plan of the statement, and a SELECT over its tables and condition', () => {
  let asked = 0
  fc.assert(
    fc.property(
      fc.oneof(
        wordSoup,
        written.map(({ text }) => text),
      ),
      (text) => {
        asked += mustBeHarmless(text)
      },
    ),
    { numRuns: 3000 },
  )
  assert.ok(asked > 500, `only ${asked} texts were made, so that little was tried`)
})

test('what people write is counted, whatever its names and values look like', () => {
  fc.assert(
    fc.property(
      written.filter(
        ({ comment, before, end, verb }) =>
          comment === '' && before !== ';' && !end.includes('--') && verb !== 'insert',
      ),
      ({ text }) => {
        const one = read(text)
        assert.ok(one !== undefined, text)
        assert.ok('text' in planText(one), text)
        assert.ok('text' in countText(one), text)
        assert.equal('text' in sampleText(one, 5), one.tag !== 'SelectStmt', text)
      },
    ),
    { numRuns: 1000 },
  )
})

test('a cut at the wrong place is never asked: bytes of one statement under the tree of another', () => {
  let tried = 0
  fc.assert(
    fc.property(written, written, ({ text: left }, { text: right }) => {
      const [tree, bytes] = [read(left), read(right)]
      if (tree === undefined || bytes === undefined || isSame(tree.tree, bytes.tree)) return
      tried += 1
      const torn = { ...tree, bytes: bytes.bytes }
      for (const cut of [planText(torn), countText(torn), sampleText(torn, 5)]) {
        if ('why' in cut) continue
        // Where it may be asked all the same, it asks what the tree says and not what the bytes said.
        const query = at(only(cut) ?? {}, 'SelectStmt')
        assert.ok(query !== undefined, cut.text)
        assert.ok(isSame(query['whereClause'], tree.body['whereClause']), cut.text)
        assert.ok(
          isSame(list(query, 'fromClause')[0], { RangeVar: tree.body['relation'] }),
          cut.text,
        )
      }
    }),
    { numRuns: 1500 },
  )
  assert.ok(tried > 500)
})

test('a text of none, of several or of other statements has no questions, and says why', () => {
  for (const [text, why] of [
    ['', /0 statements/],
    ['-- nothing', /0 statements/],
    ['select 1; select 2', /2 statements/],
    ['delete from', /could not be read/],
    ['drop table t', /DROP/],
    ['explain analyze select 1', /EXPLAIN/],
    ['select 1 into t', /makes a table/],
    ['create table t as select 1', /CREATETABLEAS/],
  ] as const) {
    const one = oneStatement(text, parse)
    assert.match('why' in one ? one.why : 'read', why, text)
  }
})

test('a statement that nests so deeply that a walk of it would use up the stack is told as such', () => {
  for (const text of [
    `delete from t where ${'not '.repeat(1400)}a`,
    `delete from t where a${'+1'.repeat(1400)} = 1`,
    `select ${'(select '.repeat(190)}1${')'.repeat(190)}`,
  ]) {
    const one = oneStatement(text, parse)
    assert.match('why' in one ? one.why : 'read', /nested too deeply/, text.slice(0, 40))
  }
  const shallow = read(`delete from t where ${'not '.repeat(100)}a`)
  assert.ok(shallow !== undefined && 'text' in countText(shallow))
})
