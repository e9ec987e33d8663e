import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { Client, type QueryConfig } from 'pg'
import { skipReason, until } from '@sallyport/testkit'
import type { ApprovalView, ShapeView } from '@sallyport/gateway'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { sallyport } from './command-line.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policyOf = (message: string): string => `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: ask}
spec:
  owner: group:test
  rules:
    - name: deletes
      on: sql
      when: '"delete" in op.classes || op.objects.anyGlob("public.canary")'
      effect: approve
      approve: {from: [owner], offer: [once, shape-30m, shape-2s], shape: {maxRows: 20}, selfRoot: allow}
      message: "${message}"
    - name: second
      on: sql
      when: op.text.contains("8888")
      effect: approve
      approve: {from: [owner], offer: [once, shape-30m], selfRoot: allow}
      message: "It looks closer."
    - name: inserts
      on: sql
      when: op.verb == "insert"
      effect: approve
      approve: {from: [owner], selfRoot: allow}
      message: "Once only."
    - name: updates
      on: sql
      when: op.verb == "update"
      effect: approve
      approve: {from: [owner], offer: [shape-30m], selfRoot: allow}
      message: "Never once."
`
const seed = `
create table orders(id int primary key, status text);
insert into orders select g, 'new' from generate_series(1, 10000) g;
create table notes(id int);
create table canary(id int);
create table dated(day date primary key);
insert into dated select '2026-01-01'::date + g from generate_series(0, 360) g;
create table watched(id int primary key, what text);
insert into watched select g, 'x' from generate_series(1, 100) g;
create function watch() returns trigger language plpgsql as $$ begin return old; end $$;
create trigger watch before delete on watched for each row execute function watch();
create function pick(text) returns int language sql stable as 'select 1';
create function lies() returns int immutable language plpgsql as
  $$ begin insert into canary values (1); return 1; end $$;
analyze;
`

suite('an approval by shape', { skip: skipReason(), timeout: 100_000 }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  let root: TestAgent
  let count = 0
  before(async () => {
    gateway = await startTestGateway({ policy: policyOf('Look.'), seed })
    family = new AgentFamily(gateway)
    root = await family.root()
  })
  after(async () => await gateway[Symbol.asyncDispose]())

  const session = async (): Promise<{ client: Client; agent: TestAgent }> => {
    count += 1
    const agent = await family.child(root, `fixer-${count}`)
    return { client: await family.session(agent), agent }
  }
  /** Runs a command that nobody is asked for. Resolves with its rows. */
  const runs = async (client: Client, query: string | QueryConfig): Promise<number | null> => {
    const ran = client.query(query).then(({ rowCount }) => rowCount)
    const text = typeof query === 'string' ? query : query.text
    const isHeld = waiting(gateway, text).then(() => assert.fail(`asked for: ${text}`))
    isHeld.catch(() => undefined)
    return await Promise.race([ran, isHeld])
  }
  /** Runs a command that is asked for, and answers it. */
  const asked = async (client: Client, text: string, body: object): Promise<ApprovalView> => {
    const held = client.query(text).then(
      () => 'ran',
      ({ message }: Error) => message,
    )
    const view = await Promise.race([
      waiting(gateway, text),
      held.then((how) => assert.fail(`not asked for: ${text}: ${how}`)),
    ])
    const response = await gateway.api('POST', `/v1/approvals/${view.id}/answer`, body)
    assert.ok(response.ok, await response.clone().text())
    await held
    return view
  }
  /** The gateway sees what others change at its next look; what its own callers change it sees at once. */
  const changed = async (): Promise<void> => {
    const { client } = await session()
    await client.query(`create table noticed_${count}()`)
    await client.end()
  }
  const yes = { decision: 'approve' }
  const no = { decision: 'deny' }
  const byShape = { ...yes, shape: '30m' }
  const shapes = async (): Promise<ShapeView[]> => await get(gateway, '/v1/approvals/shapes')
  const remove = async (id: string): Promise<void> => {
    const response = await gateway.api('POST', `/v1/approvals/shapes/${id}/withdraw`)
    assert.ok(response.ok, await response.clone().text())
  }

  test('lets through what differs in values alone, of the same agent, and nothing else', async () => {
    const { client } = await session()
    const { id } = await asked(client, 'delete from orders where id = 1', byShape)
    const notices: string[] = []
    client.on('notice', ({ message }) => notices.push(message ?? ''))
    assert.equal((await client.query('delete from orders where id = 2')).rowCount, 1)
    const values = { text: 'delete from orders where id = $1', values: [4] }
    assert.equal((await client.query(values)).rowCount, 1)
    assert.ok(
      notices.some((text) => text.endsWith(`approved by root (${id})`)),
      notices.join('\n'),
    )
    const [shape] = await shapes()
    assert.deepEqual([shape?.id, shape?.by, shape?.rowsMax], [id, ['root'], 20])
    assert.ok((shape?.uses ?? 0) >= 2)
    for (const text of [
      'delete from orders where id > 9995',
      "delete from orders where id = 5 and status = 'new'",
      'delete from notes where id = 1',
      'delete from orders where id = 5 or true',
    ])
      await asked(client, text, no)
    const other = await session()
    await asked(other.client, 'delete from orders where id = 6', no)
    const told = await get<{ facts: { what: string }[] }>(gateway, `/v1/ledger?q=subject:${id}`)
    const names = new Set(told.facts.map(({ what }) => what))
    assert.ok(names.has('approval.shape') && names.has('approval.shape-used'))
    await client.end()
    await other.client.end()
    await remove(id)
  })

  test('maxRows: asks again where more rows are expected, or where nothing can be expected', async () => {
    const { client } = await session()
    const { id } = await asked(client, 'delete from orders where id < 100 and id > 98', byShape)
    assert.ok((await client.query('delete from orders where id < 103 and id > 101')).rowCount)
    await asked(client, 'delete from orders where id < 5000 and id > 200', no)
    const unknown = await asked(client, 'delete from orders where id = lies() + 5', byShape)
    await asked(client, 'delete from orders where id = lies() + 6', no)
    await client.end()
    for (const each of [id, unknown.id]) await remove(each)
  })

  test('offer: what a rule does not offer is refused, in both ways, also where one of two does not', async () => {
    const { client } = await session()
    for (const [text, body] of [
      ['insert into notes values (1)', byShape],
      ['update orders set status = null where id = 7', yes],
      ['delete from orders where id = 7', { ...yes, shape: '31m' }],
      ['delete from orders where id = 8888', { ...yes, shape: '2s' }],
    ] as const) {
      const held = client.query(text).catch(() => undefined)
      const { id } = await waiting(gateway, text)
      const refused = await family.tryAsk('POST', `/v1/approvals/${id}/answer`, body)
      assert.equal(refused.status, 403, text)
      assert.match(JSON.stringify(refused.answer), /offers/)
      await gateway.api('POST', `/v1/approvals/${id}/answer`, no)
      await held
    }
    await client.end()
  })

  test('asks again where another rule asks too', async () => {
    const { client } = await session()
    const { id } = await asked(client, 'delete from orders where id = 11', byShape)
    await asked(client, 'delete from orders where id = 8888', no)
    await client.end()
    await remove(id)
  })

  test('is the yes to one meaning: other code behind it, another table, a row with one value more is asked for', async () => {
    const { client } = await session()
    const { id } = await asked(client, 'delete from watched where id = 1', byShape)
    assert.equal(await runs(client, 'delete from watched where id = 2'), 1)
    await gateway.postgres.sql(
      'create or replace function watch() returns trigger language plpgsql as $$ begin delete from notes; return old; end $$',
    )
    await changed()
    await asked(client, 'delete from watched where id = 3', no)
    await remove(id)

    const swapped = await asked(client, 'delete from notes where id = 1', byShape)
    await runs(client, 'delete from notes where id = 2')
    await gateway.postgres.sql(
      'alter table notes rename to old_notes; alter table canary rename to notes',
    )
    await changed()
    await asked(client, 'delete from notes where id = 3', no)
    await gateway.postgres.sql(
      'alter table notes rename to canary; alter table old_notes rename to notes',
    )
    await changed()
    await remove(swapped.id)

    const called = { text: 'delete from orders where id = pick($1)', values: ['a'] }
    const held = client.query(called)
    const given = await waiting(gateway, called.text)
    await gateway.api('POST', `/v1/approvals/${given.id}/answer`, byShape)
    await held
    await runs(client, called)
    const other = client.query({ ...called, values: ['b'] }).catch(() => 'denied')
    const again = await waiting(gateway, called.text)
    await gateway.api('POST', `/v1/approvals/${again.id}/answer`, no)
    assert.equal(await other, 'denied')
    await remove(given.id)
    await client.end()
  })

  test('maxRows: counts by the dates of the session, whatever order of day and month it began with', async () => {
    const { client, agent } = await session()
    const { id } = await asked(client, "delete from dated where day < '01/05/2026'", byShape)
    assert.ok(await runs(client, "delete from dated where day < '01/06/2026'"))
    await client.end()
    const connectionString = (await family.url(agent)).replace('?sslmode=require', '')
    const turned = new Client({
      connectionString,
      ssl: { rejectUnauthorized: false },
      options: '-c datestyle=SQL,DMY',
    })
    await turned.connect()
    // The first of December here, and the twelfth of January elsewhere.
    await asked(turned, "delete from dated where day < '01/12/2026'", no)
    await turned.end()
    await remove(id)
  })

  test('ends where its connection leads to another target', async () => {
    const { client, agent } = await session()
    const { id } = await asked(client, 'delete from orders where id = 31', byShape)
    await runs(client, 'delete from orders where id = 32')
    await client.end()
    await gateway.postgres.sql(`create role second superuser login password 'second'`)
    await gateway.api('DELETE', '/v1/connections/shop')
    const { port, database } = gateway.postgres
    const target = { host: '127.0.0.1', port, database, tls: 'off', labels: { env: 'prod' } }
    const login = { user: 'second', password: 'second' }
    const added = await gateway.api('POST', '/v1/connections', {
      name: 'shop',
      ...target,
      ...login,
    })
    assert.ok(added.ok, await added.text())
    const other = await family.session(agent)
    await asked(other, 'delete from orders where id = 33', no)
    await other.end()
    await remove(id)
  })

  test('ends with its time, by hand, with its rule, and with its agent', async () => {
    const { client, agent } = await session()
    await asked(client, 'delete from orders where id = 21', { ...yes, shape: '2s' })
    await until('it is over', async () => (await shapes()).length === 0)
    const second = await asked(client, 'delete from orders where id = 22', byShape)
    using listed = sallyport(gateway, ['approvals', 'shapes', '-o', 'table'])
    assert.equal(await listed.ended(), 0)
    assert.match(listed.out, new RegExp(`${second.id}.*delete from orders where id = 22`))
    using withdrawn = sallyport(gateway, ['approvals', 'withdraw', second.id, '-o', 'table'])
    assert.equal(await withdrawn.ended(), 0)
    const third = 'delete from orders where id = 23'
    const held = client.query(third)
    const { id } = await waiting(gateway, third)
    using approved = sallyport(gateway, ['approve', id, '--shape', '30m', '-o', 'table'])
    assert.equal(await approved.ended(), 0)
    assert.match(approved.out, /and others of its shape for 30m/)
    await held
    await gateway.writePolicy(policyOf('Look again.'))
    await until('its rule has changed', async () => (await shapes()).length === 0)
    await asked(client, 'delete from orders where id = 24', byShape)
    assert.equal((await shapes()).length, 1)
    await family.revoke(agent, 'done')
    await until('its agent has ended', async () => (await shapes()).length === 0)
    client.end().catch(() => undefined)
  })
})

async function get<T>(gateway: TestGateway, path: string): Promise<T> {
  const response = await gateway.api('GET', path)
  assert.ok(response.ok, await response.clone().text())
  return (await response.json()) as T
}

async function waiting(gateway: TestGateway, text: string): Promise<ApprovalView> {
  return await until(`${text} waits`, async () => {
    const pending = await get<ApprovalView[]>(gateway, '/v1/approvals?state=pending')
    return pending.find((each) => each.text === text)
  })
}
