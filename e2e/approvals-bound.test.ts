import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { Client } from 'pg'
import { skipReason } from '@sallyport/testkit'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { ApprovalCalls, driverSession, failure, wireSession } from './approval-calls.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'
import { encodeBind, encodeExecute, encodeParse, encodeSync } from '@sallyport/wire'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: ask}
spec:
  owner: group:test
  rules:
    - name: come-again
      on: sql
      when: op.objects.anyGlob("public.later") && op.class != "ddl"
      effect: approve
      approve: {from: [owner], wait: return, selfRoot: allow}
      message: "Come again."
    - name: two-at-night
      on: sql
      when: client.app == "night" && op.objects.anyGlob("public.later")
      effect: approve
      approve: {from: [owner, "user:somebody"], count: 2, wait: return, selfRoot: allow}
      message: "Two at night."
    - name: views
      on: sql
      when: op.objects.anyGlob("public.seen") && op.class != "ddl"
      effect: approve
      approve: {from: [owner], selfRoot: allow}
      message: "The owner looks."
`
const seed = `
create table later(id int, at timestamptz);
create table base(id int);
insert into base select generate_series(1, 10);
create view seen as select id from base where id = 1;
create function tidy() returns bigint language sql as 'delete from later where id = 1; select 1::bigint';
create function odd(int) returns int language sql immutable as 'select 1';
create function odd(text) returns int language sql immutable as 'select 2';
create table swapped(id int);
`

/** Ways to have one command approved, and to run another by it. */
suite('what an approval is bound to', { skip: skipReason(), timeout: 300_000 }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  let calls: ApprovalCalls
  let root: TestAgent
  before(async () => {
    gateway = await startTestGateway({ policy, seed, plainText: true })
    family = new AgentFamily(gateway)
    calls = new ApprovalCalls(gateway)
    root = await family.root()
  })
  after(async () => await gateway[Symbol.asyncDispose]())

  /** `ran`, or the id of the request that the command waits for. */
  const send = async (client: Client, text: string, values: unknown[] = []): Promise<string> =>
    await client.query({ text, values }).then(
      () => 'ran',
      (error: Error) => /ap_\w+/.exec(error.message)?.[0] ?? error.message,
    )
  /** Sends a command and has it approved, unused. */
  const approved = async (client: Client, text: string, values?: unknown[]): Promise<string> => {
    const id = await send(client, text, values)
    assert.match(id, /^ap_\w+$/)
    await calls.answer(id, 'approve')
    return id
  }
  const isAsked = (outcome: string, id: string): void => {
    assert.match(outcome, /^ap_\w+$/)
    assert.notEqual(outcome, id)
  }

  test('is the same in a new session of the agent, and good once', async () => {
    const [one, two] = [await driverSession(family, root), await driverSession(family, root)]
    await approved(one, 'insert into later(id) values (100)')
    assert.equal(await send(two, 'insert into later(id) values (100)'), 'ran')
    assert.match(await send(two, 'insert into later(id) values (100)'), /^ap_/)
    for (const each of [one, two]) await each.end()
  })

  test('settings of the start: another time zone makes another time of one text', async () => {
    const text = `insert into later values (1, '2026-01-01 00:00')`
    const utc = await driverSession(family, root, { options: '-c timezone=UTC' })
    const id = await approved(utc, text)
    for (const options of [
      '-c timezone=Asia/Tokyo',
      '-c datestyle=SQL,DMY',
      '-c intervalstyle=iso_8601',
    ]) {
      const other = await driverSession(family, root, { options })
      isAsked(await send(other, text), id)
      await other.end()
    }
    assert.equal(await send(utc, text), 'ran')
    await utc.end()
  })

  test('what a session has set, made or reset, whatever the way', async () => {
    const text = `insert into later values (2, '2026-02-02 00:00')`
    const plain = await driverSession(family, root)
    const id = await approved(plain, text)
    for (const change of [
      `set timezone = 'Asia/Tokyo'`,
      `select set_config('timezone', 'Asia/Tokyo', false)`,
      `select pg_catalog.set_config('timezone', 'Asia/Tokyo', false)`,
      `update pg_settings set setting = 'Asia/Tokyo' where name = 'TimeZone'`,
      `create temp table later(id int, at timestamptz)`,
      `create temp view later as select * from base`,
      `select 1 as id into temp later`,
      `reset all`,
      `discard all`,
      `prepare s as select set_config('timezone', 'Asia/Tokyo', false); execute s`,
      `do $$ begin perform set_config('timezone', 'Asia/Tokyo', false); end $$`,
    ]) {
      const other = await driverSession(family, root)
      await other.query(change).catch(() => undefined)
      const outcome = await send(other, text)
      assert.notEqual(outcome, 'ran', change)
      assert.notEqual(outcome, id, change)
      await other.end()
    }
    assert.equal(await send(plain, text), 'ran')
    await plain.end()
  })

  test('what a name stands for: a statement prepared anew under it is another', async () => {
    const client = await driverSession(family, root)
    await client.query('prepare p as delete from later where id = 3')
    const id = await approved(client, 'execute p')
    await client.query('deallocate p')
    await client.query('prepare p as delete from later where id > 3')
    isAsked(await send(client, 'execute p'), id)
    await client.query('deallocate p')
    await client.query('prepare p as delete from later where id = 3')
    assert.equal(await send(client, 'execute p'), 'ran')
    await client.end()
  })

  test('a cursor that was declared anew, and a statement prepared in SQL that Bind names', async () => {
    const caller = await wireSession(gateway, family, root)
    const run = async (prepared: string): Promise<string> => {
      const lines = await caller.converse([
        encodeParse({ statement: '', text: 'deallocate all', parameterTypes: [] }),
        ...bound(''),
        encodeSync(),
        encodeParse({ statement: '', text: prepared, parameterTypes: [] }),
        ...bound(''),
        encodeSync(),
        ...bound('q'),
        encodeSync(),
      ])
      return /ap_\w+/.exec(lines.join('\n'))?.[0] ?? 'ran'
    }
    const bound = (statement: string): Buffer[] => [
      encodeBind({
        portal: '',
        statement,
        parameterFormats: [],
        parameters: [],
        resultFormats: [],
      }),
      encodeExecute({ portal: '', rowsMax: 0 }),
    ]
    const id = await run('prepare q as delete from later where id = 4')
    const view = await calls.get(id)
    assert.match(view.text, /delete from later where id = 4/, 'who approves reads what it is')
    await calls.answer(id, 'approve')
    isAsked(await run('prepare q as delete from later where id >= 4'), id)
    assert.equal(await run('prepare q as delete from later where id = 4'), 'ran')
    await caller[Symbol.asyncDispose]()
  })

  test('types of values: one value may choose another function', async () => {
    const caller = await wireSession(gateway, family, root)
    const run = async (type: number): Promise<string> => {
      const lines = await caller.converse([
        encodeParse({
          statement: '',
          text: 'insert into later(id) select odd($1)',
          parameterTypes: [type],
        }),
        encodeBind({
          portal: '',
          statement: '',
          parameterFormats: [],
          resultFormats: [],
          parameters: [Buffer.from('5')],
        }),
        encodeExecute({ portal: '', rowsMax: 0 }),
        encodeSync(),
      ])
      return /ap_\w+/.exec(lines.join('\n'))?.[0] ?? 'ran'
    }
    const [int4, text] = [23, 25]
    const id = await run(int4)
    await calls.answer(id, 'approve')
    isAsked(await run(text), id)
    assert.equal(await run(int4), 'ran')
    await caller[Symbol.asyncDispose]()
  })

  test('who was asked: a yes of one is none where two are needed', async () => {
    const text = 'insert into later(id) values (6)'
    const day = await driverSession(family, root, { application_name: 'day' })
    const night = await driverSession(family, root, { application_name: 'night' })
    const id = await approved(day, text)
    isAsked(await send(night, text), id)
    assert.equal(await send(day, text), 'ran')
    for (const each of [day, night]) await each.end()
  })

  test('the code behind it: a function, a view, a table, replaced under the same name', async () => {
    const client = await driverSession(family, root)
    const id = await approved(client, 'select tidy()')
    await gateway.postgres.sql(
      `create or replace function tidy() returns bigint language sql as 'delete from later where id > 0; select 1::bigint'`,
    )
    await expectNewCatalog()
    isAsked(await send(client, 'select tidy()'), id)

    const values = await approved(client, 'delete from later where id = 7')
    await gateway.postgres.sql(
      'alter table later rename to old; alter table swapped rename to later',
    )
    await expectNewCatalog()
    isAsked(await send(client, 'delete from later where id = 7'), values)
    await gateway.postgres.sql(
      'alter table later rename to swapped; alter table old rename to later',
    )
    await client.end()
  })

  test('a view that is replaced while its command is held, in a transaction and out of one', async () => {
    for (const before of ['select 1', 'begin']) {
      const client = await driverSession(family, root)
      await client.query(before)
      const held = failure(client.query('delete from seen'))
      const { id } = await calls.waiting(/from seen/)
      await gateway.postgres.sql(
        before === 'begin'
          ? 'create or replace view seen as select id from base where id = 2'
          : 'create or replace view seen as select id from base where id > 2',
      )
      await calls.answer(id, 'approve')
      assert.match((await held).message, /has changed since its approval was asked for/, before)
      await client.query('rollback')
      await client.end()
    }
    assert.equal(await gateway.postgres.sql('select count(*) from base'), '10')
  })

  test('two sessions that use one yes at once: one of them runs', async () => {
    const text = 'insert into later(id) values (8)'
    const sessions = await Promise.all(
      Array.from({ length: 6 }, async () => await driverSession(family, root)),
    )
    const [first] = sessions
    assert.ok(first)
    await approved(first, text)
    const outcomes = await Promise.all(sessions.map(async (each) => await send(each, text)))
    assert.equal(outcomes.filter((each) => each === 'ran').length, 1)
    // What all others ask is one question.
    assert.equal(new Set(outcomes.filter((each) => each !== 'ran')).size, 1)
    assert.equal(await gateway.postgres.sql('select count(*) from later where id = 8'), '1')
    for (const each of sessions) await each.end()
  })

  test('the login and address of the target', async () => {
    const text = 'insert into later(id) values (9)'
    const client = await driverSession(family, root)
    const id = await approved(client, text)
    await client.end()
    await gateway.postgres.sql(`create role second superuser login password 'second'`)
    await gateway.api('DELETE', '/v1/connections/shop')
    const { port, database } = gateway.postgres
    const again = await gateway.api('POST', '/v1/connections', {
      name: 'shop',
      host: '127.0.0.1',
      port,
      database,
      tls: 'off',
      user: 'second',
      password: 'second',
      labels: { env: 'prod' },
    })
    assert.ok(again.ok, await again.text())
    const other = await driverSession(family, root)
    isAsked(await send(other, text), id)
    await other.end()
  })

  /** The gateway sees changes of others at the next look; a change of its own callers is seen at once. */
  const expectNewCatalog = async (): Promise<void> => {
    const maker = await driverSession(family, root)
    await maker.query('create table if not exists noticed()')
    await maker.query('drop table noticed')
    await maker.end()
  }
})
