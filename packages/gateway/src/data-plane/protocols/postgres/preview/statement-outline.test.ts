import assert from 'node:assert/strict'
import { before, suite, test } from 'node:test'
import fc from 'fast-check'
import { SqlParser } from '../classify/sql-parser.ts'
import { outlineOf } from './statement-outline.ts'

suite('what is told of a statement outside of the gateway', () => {
  let parser: SqlParser
  before(async () => {
    parser = await SqlParser.create()
  })
  const outline = (text: string): string | undefined => outlineOf(parser.words(text))

  test('has no value in it, however it is written', () => {
    const values = [
      "'sekret'",
      "'it''s sekret'",
      "E'sekret\\'x'",
      '$$sekret$$',
      '$tag$sekret$tag$',
      "U&'sekret'",
      "U&'!0041sekret' UESCAPE '!'",
      "N'sekret'",
      "B'0101'",
      "X'5e12e7'",
      '4711',
      '47.11e3',
      '0x4711',
      "'sek'\n'ret'",
      "'sekret' -- sekret\n",
      "'sekret' /* sekret /* sekret */ */",
      "date '2026-11-22'",
      "interval '4711 days'",
    ]
    for (const value of values) {
      const told = outline(`UPDATE t SET a = ${value} WHERE b = $1`)
      assert.match(told ?? '', /^UPDATE t SET a = .*\? ?(?:UESCAPE \? )?WHERE b = \$1$/u, value)
      assert.doesNotMatch(told ?? '', /sekret|4711|5e12e7|0101|2026/u, value)
    }
  })

  test('reads as the statement does', () => {
    assert.equal(
      outline(`DELETE FROM "Orders" o WHERE o.status = 'x' AND n IN (1, 2) AND f(a)::text = b[1];`),
      'DELETE FROM "Orders" o WHERE o.status = ? AND n IN (?, ?) AND f (a)::text = b[?];',
    )
  })

  test('is nothing where PostgreSQL would not read the words', () => {
    for (const text of ["SELECT 'open", 'SELECT $a$ open', '', '/* open', '"open'])
      assert.equal(outline(text), undefined, text)
  })

  test('is one line, at most as long as it may be, and no value is in it whatever is written around it', () => {
    const literal = fc
      .tuple(
        fc.constantFrom(
          (text: string) => `'${text}'`,
          (text: string) => `E'${text}'`,
          (text: string) => `$q$${text}$q$`,
          (text: string) => `U&'${text}'`,
        ),
        fc.stringMatching(/^[ "$\\;\-*/a-z\n\t]{0,20}$/u),
      )
      .map(([quote, text]) => quote(`zqz${text.replaceAll('\\', '')}zqz`))
    const word = fc.oneof(literal, fc.constantFrom('a', 'SELECT', ',', '(', ')', '--x\n', '"n"'))
    fc.assert(
      fc.property(fc.array(word, { maxLength: 30 }), (words) => {
        const told = outline(words.join(' '))
        if (told === undefined) return
        assert.doesNotMatch(told, /zqz|[\n\r]/u)
        assert.ok(told.length <= 400)
      }),
      { numRuns: 500 },
    )
  })
})
