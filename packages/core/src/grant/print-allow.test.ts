import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { permissions, runs } from './grant.fixture.ts'
import { parseAllow } from './parse-allow.ts'
import { canonicalPermission } from './permission.ts'
import { printAllow } from './print-allow.ts'

test('a printed permit is read back as the same permit', () => {
  fc.assert(
    fc.property(permissions, (permission) => {
      const text = printAllow(permission)
      const parsed = parseAllow(text)
      assert.deepEqual(parsed, { kind: 'ok', permission: canonicalPermission(permission) }, text)
      assert.equal(parsed.kind === 'ok' ? printAllow(parsed.permission) : '', text)
    }),
    { numRuns: runs(1_000, 50_000) },
  )
})

test('parseAllow never throws, and reads what it prints', () => {
  const words = fc.constantFrom(
    'db',
    ':',
    'read',
    'ro',
    ',',
    ' ',
    'table=',
    '"',
    'a',
    '*',
    '/',
    'rows<=',
    '7',
    '\u0000',
  )
  fc.assert(
    fc.property(
      fc.array(words, { maxLength: 12 }).map((parts) => parts.join('')),
      (text) => {
        const parsed = parseAllow(text)
        if (parsed.kind === 'refused') return
        assert.deepEqual(parseAllow(printAllow(parsed.permission)), parsed)
      },
    ),
    { numRuns: runs(2_000, 100_000) },
  )
})

for (const [text, printed] of [
  ['db:read', 'db:read'],
  ['db:explain,read', 'db:ro'],
  ['db:delete,write,ro,ddl', 'db:rw,ddl'],
  ['db:*,read', 'db:*'],
  ['db:unknown,*', 'db:*,unknown'],
  ['db:read,explain,write,delete,ddl,grant,exec,forward,transfer,admin,persist', 'db:*'],
  ['db/main:read  table=b,a,b,a**', 'db:read db=main table=a*,b'],
  ['db/"a/b: c",d:read rows<=0500', 'db:read db="a/b: c",d rows<=500'],
  ['b,a,a*:read', 'a*,b:read'],
  ['db:read table="Orders"', 'db:read table=Orders'],
  ['db:read table="say ""hi"", you"', 'db:read table="say ""hi"", you"'],
] as const) {
  test(`${text} is printed as ${printed}`, () => {
    const parsed = parseAllow(text)
    assert.equal(parsed.kind === 'ok' ? printAllow(parsed.permission) : parsed.message, printed)
  })
}

test('a text of nothing but quotes is read in one pass', () => {
  // A pattern that tries every way to pair quotes would never end here.
  const parsed = parseAllow(`db/${'"'.repeat(2_000)}x`)
  assert.match(parsed.kind === 'refused' ? parsed.message : '', /needs a colon/)
})
