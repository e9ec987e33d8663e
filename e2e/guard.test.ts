import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, suite, test } from 'node:test'
import { skipReason, until } from '@sallyport/testkit'
import pg from 'pg'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = (more = ''): string => `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: masks}
spec:
  owner: group:test
  rules:
    - name: mask-mail
      on: sql
      when: "true"
      effect: mask
      mask:
        - {columns: ["users.email"], with: partial}
        - {detect: [credit_card], with: last4}
${more}`

const secret = 'zebra.quagga@example.com'

const seed = `
create table users (id int primary key, name text, email text unique);
insert into users values (1, 'Ada', '${secret}'), (2, 'Bob', 'bob.builder@example.com');
create table orders (id int primary key, user_id int references users, note text);
insert into orders values (1, 1, 'paid with 4111 1111 1111 1111'), (2, 2, 'cash');
create view contacts as select id, email as contact from users;
create schema app;
create table app.people (id int, email text);
create function leak() returns setof text language sql security definer as 'select email from public.users';
`

/** A guard request, and its lines. */
type Line = Readonly<Record<string, unknown>>

suite('masks that the target enforces', { skip: skipReason() }, () => {
  let gateway: TestGateway
  before(async () => {
    gateway = await startTestGateway({ policy: policy(), seed })
    await gateway.api('PATCH', '/v1/connections/shop', { notices: 'never' })
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  const guard = async (body: object): Promise<Line> => {
    const answer = await gateway.api('POST', '/v1/connections/shop/guard', body)
    const lines = (await answer.text()).trim().split('\n')
    return JSON.parse(lines.at(-1) ?? '{}') as Line
  }
  const setup = (): object => ({
    setup: { user: 'postgres', password: gateway.postgres.password },
  })
  const set = async (masking: string): Promise<number> =>
    (await gateway.api('PATCH', '/v1/connections/shop', { masking })).status
  const psql = async (...statements: string[]): Promise<{ out: string; err: string }> => {
    const url = await gateway.url()
    const { promise, resolve } = Promise.withResolvers<{ out: string; err: string }>()
    const commands = statements.flatMap((statement) => ['-c', statement])
    execFile('psql', [url, '-XAt', ...commands], (_error, out, err) => resolve({ out, err }))
    return await promise
  }

  test('cannot be chosen before they are applied, and are not applied where PUBLIC reads past them', async () => {
    assert.equal(await set('guard'), 409)
    const refused = await guard({ action: 'apply', ...setup() })
    assert.equal(refused['code'], 'SP_GUARD_UNSAFE')
    assert.match(String(refused['message']), /leak/)
    assert.equal((await guard({ action: 'check' }))['code'], 'SP_GUARD_MISSING')
    const wrong = await guard({ action: 'apply', setup: { user: 'postgres', password: 'x' } })
    assert.equal(wrong['code'], 'SP_TARGET_LOGIN')
  })

  test('are applied, and used from then on', async () => {
    const applied = await guard({
      action: 'apply',
      closePublic: true,
      writes: 'clean',
      lookup: { columns: ['users.email'], count: 2, windowSeconds: 86_400 },
      ...setup(),
    })
    assert.equal(applied['kind'], 'applied')
    assert.equal(await set('guard'), 200)
    assert.deepEqual(await guard({ action: 'check' }), { kind: 'checked', unsafe: [], drift: [] })
    const { out } = await psql('select email, current_user from users order by id')
    assert.match(out, /^z\*\*@\*\*\*\.com\|sallyport_\w+\nb\*\*@\*\*\*\.com\|sallyport_\w+\n$/)
  })

  test('callers use the names that they know, qualified or not', async () => {
    const masked = 'z**@***.com\n'
    for (const statement of [
      'select email from users where id = 1',
      'select email from public.users where id = 1',
      'select public.users.email from public . "users" where public.users.id = 1',
      'select contact from public.contacts where id = 1',
      `select u.email from public.orders o join public.users u on u.id = o.user_id where o.id = 1`,
      'with w as (select * from public.users) select email from w where id = 1',
      'select (select email from public.users where id = 1)',
      `select email from postgres.public.users where id = 1`,
    ]) {
      assert.deepEqual(await psql(statement), { out: masked, err: '' }, statement)
    }
    for (const statements of [
      ['set search_path to public, app', 'select email from users where id = 1'],
      ['set search_path to app', 'select email from public.users where id = 1'],
      ['prepare p as select email from public.users where id = $1', 'execute p(1)'],
      [
        'begin',
        'declare c cursor for select email from public.users order by id',
        'fetch c',
        'end',
      ],
    ]) {
      const { out, err } = await psql(...statements)
      assert.equal(err, '')
      assert.ok(out.includes(masked), statements.join('; '))
    }
    assert.equal((await psql('select count(*) from orders')).out, '2\n')
  })

  test('COPY of a masked table or view gives masks', async () => {
    assert.equal(
      (await psql('copy users to stdout')).out,
      '1\tAda\tz**@***.com\n2\tBob\tb**@***.com\n',
    )
    assert.equal(
      (await psql('copy public.users (email, "id") to stdout csv')).out,
      'z**@***.com,1\nb**@***.com,2\n',
    )
    assert.equal(
      (await psql('copy (select contact from public.contacts where id = 2) to stdout')).out,
      'b**@***.com\n',
    )
  })

  test('an unchanged driver prepares, binds and reads binary', async () => {
    const { user, secret: password } = await gateway.credential()
    const client = new pg.Client({
      host: '127.0.0.1',
      port: gateway.gateway.ports.postgres,
      user,
      password,
      database: 'postgres',
      ssl: { rejectUnauthorized: false },
    })
    await client.connect()
    const text = 'select id, email from public.users where id = $1'
    for (const id of [1, 2, 1]) {
      const { rows } = await client.query({ name: 'by-id', text, values: [id] })
      assert.equal(rows[0]?.email, id === 1 ? 'z**@***.com' : 'b**@***.com')
    }
    const written = await client.query(
      'update public.users set name = $1 where id = $2 returning *',
      ['Eve', 2],
    )
    assert.deepEqual(written.rows, [{ id: 2, name: 'Eve', email: 'b**@***.com' }])
    await client.end()
  })

  test('errors point into the text that the caller wrote', async () => {
    const { err } = await psql('select "ü", nothing from public.users')
    assert.match(err, /LINE 1: select "ü", nothing from public.users\n {15}\^/)
    const after = await psql('select * from public.users where nothing = 1')
    assert.match(after.err, /LINE 1: select \* from public.users where nothing = 1\n {41}\^/)
  })

  test('detectors go on looking at what is left', async () => {
    assert.equal((await psql('select note from orders where id = 1')).out, 'paid with •••• 1111\n')
  })

  test('what no mask names is found by its true name in the recording and in grants', async () => {
    const url = await gateway.url({ allow: 'shop:read table=users' })
    const ask = async (statement: string): Promise<string> => {
      const { promise, resolve } = Promise.withResolvers<string>()
      execFile('psql', [url, '-XAt', '-c', statement], (_error, out, err) => resolve(out + err))
      return await promise
    }
    assert.equal(await ask('select email from users where id = 1'), 'z**@***.com\n')
    assert.match(await ask('select * from orders'), /SP_NOT_GRANTED/)
    const only = await gateway.url({ allow: 'shop:read table=orders' })
    const { promise, resolve } = Promise.withResolvers<string>()
    execFile(
      'psql',
      [only, '-XAtc', `select * from lookup_users_email('${secret}')`],
      (_e, out, err) => resolve(out + err),
    )
    assert.match(await promise, /SP_NOT_GRANTED/)
  })

  test('a value is looked up as often as the budget says', async () => {
    const find = `select id, email from lookup_users_email('${secret}')`
    assert.equal((await psql(find)).out, '1|z**@***.com\n')
    assert.equal((await psql(find)).out, '1|z**@***.com\n')
    assert.match((await psql(find)).err, /look-ups of this time are used up/)
  })

  test('a right that is given past the masks stops sessions that rely on them', async () => {
    const { user, secret: password } = await gateway.credential()
    const client = new pg.Client({
      host: '127.0.0.1',
      port: gateway.gateway.ports.postgres,
      user,
      password,
      database: 'postgres',
      ssl: { rejectUnauthorized: false },
    })
    await client.connect()
    await client.query('select 1')
    await gateway.postgres.sql('grant select on users to public')
    // Any statement that changes names makes the gateway look again at once; without one it takes half a minute.
    await client.query('create temp table t (id int)')
    await assert.rejects(client.query('select 1'), /may no longer enforce the masks/)
    assert.match((await psql('select 1')).err, /SP_GUARD_DRIFT/)
    assert.match(JSON.stringify(await guard({ action: 'check' })), /users.email can be read/)
    await gateway.postgres.sql('revoke select on users from public')
    await client.end()
  })

  test('a rule that the roles do not enforce stops sessions until the guard is applied again', async () => {
    const { user, secret: password } = await gateway.credential()
    const address = {
      host: '127.0.0.1',
      port: gateway.gateway.ports.postgres,
      user,
      password,
      database: 'postgres',
      ssl: { rejectUnauthorized: false },
    }
    const client = new pg.Client(address)
    await client.connect()
    await gateway.writePolicy(
      policy(
        '    - {name: notes, on: sql, when: "true", effect: mask, mask: [{columns: ["orders.note"], with: redact}]}\n',
      ),
    )
    await until(
      'the policy is in force',
      async () =>
        await client.query('select 1').then(
          () => false,
          (error: unknown) => /SP_GUARD_MISSING|no role yet/.test(String(error)),
        ),
    )
    assert.match((await psql('select 1')).err, /SP_GUARD_MISSING/)
    assert.match(JSON.stringify(await guard({ action: 'check' })), /is not at the target/)
    assert.equal((await guard({ action: 'apply', ...setup() }))['kind'], 'applied')
    await assert.rejects(client.query('select 1'), /may no longer enforce/)
    assert.equal((await psql('select note from orders where id = 2')).out, '•••\n')
    await client.end()
  })

  test('callers for whom no mask holds use the own login, until one does', async () => {
    await gateway.writePolicy(policy().replace('when: "true"', 'when: agent.depth > 0'))
    const clear = await until('the policy is in force', async () => {
      const { out } = await psql('select email, current_user from public.users where id = 1')
      return out.includes(secret) ? out : undefined
    })
    assert.equal(clear, `${secret}|app\n`)
    await gateway.writePolicy(policy())
  })

  test('taking the guard away leaves the masks to the gateway', async () => {
    assert.deepEqual(await guard({ action: 'drop', ...setup() }), { kind: 'dropped' })
    const masked = await until('the policy is in force', async () => {
      const { out } = await psql('select email from users where id = 1')
      return out.includes('***') ? out : undefined
    })
    assert.equal(masked, 'z**@***.com\n')
    assert.match(
      await gateway.postgres.sql('select count(*) from pg_roles where rolname like $$sallyport%$$'),
      /^0$/,
    )
    assert.equal(await set('guard'), 409)
  })
})
