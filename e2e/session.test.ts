import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: guard}
spec:
  owner: group:test
  rules:
    - name: mask-pii
      on: sql
      when: "true"
      effect: mask
      mask:
        - {columns: ["*.email"], with: partial}
        - {detect: [credit_card], with: last4}
    - name: no-drop-database
      on: sql
      when: op.verb == "drop" && sql.objectKind in ["database", "schema"]
      effect: block
      message: "Databases and schemas are never dropped here."
`

const seed = `
create table customers(id int primary key, name text, email text, card text);
insert into customers select g, 'n' || g, 'secret' || g || '@example.com', '4111 1111 1111 1111'
  from generate_series(1, 3) g;
create view people as select id, email as contact from customers;
create function leak() returns text language sql as 'select email from customers limit 1';
`

suite('psql through the gateway', { skip: skipReason() }, () => {
  let gateway: TestGateway
  before(async () => {
    gateway = await startTestGateway({ policy, seed })
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  const psql = async (...statements: string[]): Promise<{ out: string; err: string }> =>
    await run('psql', [await gateway.url(), '-XAt', ...statements.flatMap((sql) => ['-c', sql])])

  test('columns are masked by origin, whatever they are called', async () => {
    const { out } = await psql('select id, email as x, card from customers order by id limit 1')
    assert.equal(out, '1|s**@***.com|•••• 1111\n')
  })

  test('no way of reading the masked column shows its text', async () => {
    const { out, err } = await psql(
      'select * from customers',
      'select upper(email), email || name from customers',
      'select contact from people',
      'select (select email from customers limit 1)',
      'select c from customers c',
      'select row_to_json(c) from customers c',
      'with x as (select email e from customers) select e from x union all select e from x',
      'copy customers to stdout',
      'copy customers to stdout with (format csv, header)',
      'copy (select email from customers) to stdout',
      'prepare p as select email from customers; execute p',
      'begin; declare c cursor for select email from customers; fetch all from c; commit',
      'select leak()',
      "select query_to_xml('select * from customers', true, true, '')",
      'insert into customers values (4, $$n$$, $$secret4@example.com$$) returning email',
      "update customers set name = 'x' where id = 4 returning *",
      'delete from customers where id = 4 returning email',
    )
    assert.doesNotMatch(out, /secret\d@/i)
    assert.match(out, /s\*\*@\*\*\*\.com/)
    assert.match(err, /masked \(rule mask-pii\)/)
  })

  test('an error or notice does not quote a masked value', async () => {
    const { out, err } = await psql(
      'select email::int from customers',
      "insert into customers select 1, 'n', email, card from customers limit 1",
      'select xmlparse(document email) from customers',
      'select nosuch from customers',
    )
    assert.doesNotMatch(out + err, /secret\d@/i)
    assert.match(err, /SQLSTATE 22P02 \(Sallyport withholds the text/)
    assert.match(err, /column "nosuch" does not exist/)
  })

  test('a blocked statement is refused in words, and the next one runs', async () => {
    const { out, err } = await psql('drop database shop', 'select 7')
    assert.equal(out, '7\n')
    assert.match(err, /ERROR: {2}blocked by Sallyport rule "no-drop-database"/)
    assert.match(
      err,
      /DETAIL: {2}Databases and schemas are never dropped here\. Nothing was sent to shop\./,
    )
    assert.match(err, /HINT: .* Decision d_[0-9a-z]{13}\. \(SP_POLICY_BLOCKED\)/)
  })

  test('one refused statement refuses the whole string', async () => {
    const { out, err } = await psql('select 1; drop schema public; select 2', 'select 3')
    assert.equal(out, '3\n')
    assert.match(err, /no-drop-database/)
  })

  test('a refusal inside a transaction makes the transaction fail on both sides', async () => {
    const { out } = await psql(
      'begin',
      "insert into customers values (50, 'x', 'y', 'z')",
      'drop schema public cascade',
      'commit',
      'select count(*) from customers where id = 50',
    )
    assert.match(out, /ROLLBACK\n0\n$/)
  })

  test('what cannot be understood does not run', async () => {
    const { out, err } = await psql(
      "do $$ begin execute 'drop ' || 'table customers'; end $$",
      'select count(*) from customers where id < 4',
    )
    assert.equal(out, '3\n')
    assert.match(err, /cannot tell what this statement does/)
  })

  test("a syntax error is the server's own", async () => {
    const { err } = await psql('selct 1')
    assert.equal(
      err.split('\n').slice(-4).join('\n'),
      'ERROR:  syntax error at or near "selct"\nLINE 1: selct 1\n        ^\n',
    )
  })

  test('an EXECUTE of a name that nobody saw being prepared is refused', async () => {
    const { err } = await psql('execute nobody_knows')
    assert.match(err, /unknown-statement/)
  })

  test('a blocked statement never reaches the log of the server', async () => {
    await psql('drop schema public /* marker-4711 */')
    assert.doesNotMatch(await readFile(gateway.postgres.logFile, 'utf8'), /marker-4711/)
  })

  test('the recording shows statement, verdict and the answer as the caller saw it', async () => {
    await psql(
      "select email from customers where name = 'n1' and 'marker-1' = 'marker-1'",
      'drop schema public',
    )
    const sessions = (await (await gateway.api('GET', '/v1/sessions')).json()) as { id: string }[]
    const text = await (await gateway.api('GET', `/v1/sessions/${sessions[0]?.id}?as=text`)).text()
    assert.match(text, /marker-1/)
    assert.match(text, /s\*\*@/)
    assert.match(text, /no-drop-database/)
    assert.doesNotMatch(text, /secret1@/)
  })
})

async function run(program: string, args: string[]): Promise<{ out: string; err: string }> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], timeout: 30_000 })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
  await new Promise((resolve) => child.on('close', resolve))
  return { out, err }
}
