import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import { psql } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: masks}
spec:
  owner: group:test
  rules:
    - name: detect
      on: sql
      when: "true"
      effect: mask
      mask: [{detect: [pii, secret], with: redact}]
    - name: columns
      on: sql
      when: "true"
      effect: mask
      mask: [{columns: ["*.email"], with: partial}]
`

const secrets = [
  '4111 1111 1111 1111',
  'anna@mail.example',
  'DE89370400440532013000',
  'password=hunter22',
]

suite('detectors, behind the masks of columns', { skip: skipReason(), timeout: 120_000 }, () => {
  let gateway: TestGateway
  let url: string
  before(async () => {
    const rows = secrets.map(
      (secret, at) =>
        `(${at}, '${secret}', repeat('x', 300000) || ' ${secret} ' || repeat('y', 300000))`,
    )
    const seed = `create table notes(n int, email text, body text); insert into notes values ${rows.join(', ')};
      create table plain as select n, body from notes;
      create table long(body text); insert into long values (repeat(' ', 1100000) || 'anna@mail.example')`
    gateway = await startTestGateway({ policy, seed })
    url = await gateway.url()
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  const output = async (...statements: readonly string[]): Promise<string> =>
    (await psql(url, ...statements.flatMap((statement) => ['-c', statement]))).out
  const shownIn = (out: string): string[] => secrets.filter((secret) => out.includes(secret))

  test('values that reach over many packets are searched whole, in rows, cursors and copies', async () => {
    for (const statements of [
      ['select body from notes order by n'],
      ['copy notes(body) to stdout'],
      ['copy (select body || $$!$$ from notes) to stdout'],
      ['copy plain to stdout'],
      ['copy (select upper(n::text) || body from plain) to stdout'],
      ['copy (select body, n from notes) to stdout with (format csv)'],
      [
        'begin',
        'declare c cursor for select body from notes',
        'fetch 2 from c',
        'fetch all from c',
      ],
      ['select json_build_object($$b$$, body) from notes'],
      ['select array[body] from notes'],
    ]) {
      const out = await output(...statements)
      assert.deepEqual(shownIn(out), [], statements.join('; '))
      assert.ok(out.length > 2_000_000 && out.includes('•••'), statements.join('; '))
    }
  })

  test('a column that a rule names has its own mask, whatever a detector would do', async () => {
    assert.match(await output('select email from notes where n = 1'), /^a\*\*@\*\*\*\.example$/m)
  })

  test('a value that is too long to be searched is withheld', async () => {
    assert.equal(await output('select body from long'), '\n')
    assert.equal(await output('copy long to stdout'), '\\N\n')
  })

  test('what is split over two values is not found: each is searched for itself', async () => {
    const out = await output("select '4111 1111' union all select '1111 1111'")
    assert.deepEqual(out.trim().split('\n').toSorted(), ['1111 1111', '4111 1111'])
  })
})
