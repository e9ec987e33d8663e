import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { userInfo } from 'node:os'
import { after, before, suite, test } from 'node:test'
import { Client } from 'pg'
import { skipReason, until } from '@sallyport/testkit'
import type { ApprovalView } from '@sallyport/gateway'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { sallyport } from './command-line.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: ask}
spec:
  owner: group:test
  rules:
    - name: ask-for-all
      on: sql
      when: '!op.text.contains("unasked") && op.class != "read"'
      effect: approve
      coversUnknown: true
      approve: {from: [owner, "agent:reviewer@user:${userInfo().username}"], selfRoot: allow}
      message: "The owner looks at it."
    - name: addresses
      on: sql
      when: op.text.contains("people")
      effect: mask
      mask: [{columns: ["*.email"], with: redact}]
`
/** A function that is called shows in the server's log, whatever becomes of what it writes. */
const seed = `
create table orders(id int primary key, status text);
insert into orders select g, case when g % 10 = 0 then 'stale' else 'new' end from generate_series(1, 5000) g;
create table order_items(order_id int references orders on delete cascade, what text);
create table item_notes(note text, order_id int);
create table people(id int primary key, email text);
insert into people values (1, 'ana@example.com');
create table canary(what text);
create sequence numbers;
create table defaulted(id int default nextval('numbers'), what text);
create function tell_trigger() returns trigger language plpgsql as $$ begin return old; end $$;
create trigger watch before delete on orders for each row execute function tell_trigger();
create function v_writes() returns int volatile language plpgsql as
  $$ begin raise log 'CALLED v_writes'; insert into canary values ('v'); return 1; end $$;
create function lies() returns int immutable language plpgsql as
  $$ begin raise log 'CALLED lies'; insert into canary values ('i'); return 1; end $$;
create function lies_dynamically() returns int stable language plpgsql as
  $$ begin raise log 'CALLED lies_dynamically'; execute 'insert into canary values (1)'; return 1; end $$;
create function lies_behind() returns int volatile language sql as 'select lies()';
create function lies_of(int, int) returns bool immutable language plpgsql as
  $$ begin raise log 'CALLED lies_of'; insert into canary values ('o'); return true; end $$;
create operator ### (leftarg = int, rightarg = int, function = lies_of);
create function lies_check(int) returns bool immutable language plpgsql as
  $$ begin raise log 'CALLED lies_check'; insert into canary values ('d'); return true; end $$;
create domain odd as int check (lies_check(value));
create view liars as select id from orders where id = lies();
create table default_lies(id int default lies());
analyze;
`

const all = { allow: ['shop:*,unknown'] }

/** Statements, and whether a planner may be asked about them. */
const corpus: readonly (readonly [text: string, isPlanned: boolean])[] = [
  ['delete from orders where id = v_writes()', true],
  ['delete from orders where id = lies()', false],
  ['delete from orders where id = lies_dynamically()', false],
  ['delete from orders where id = lies_behind()', false],
  ['delete from orders where 1 ### 1', false],
  ["delete from orders where id = '1'::odd", false],
  ['delete from orders where id in (select id from liars)', false],
  ['select * from liars', false],
  ['insert into default_lies default values', false],
  ['insert into default_lies values (lies())', false],
  ['update orders set status = lies()::text', false],
  ['delete from orders returning lies()', false],
  [
    'delete from orders where id = (select pid from pg_stat_activity where pg_terminate_backend(pid))',
    false,
  ],
  [
    "delete from orders where query_to_xml('delete from orders', true, true, '') is not null",
    false,
  ],
  ['select 1; drop table orders', false],
  ['select 1; delete from orders; --', false],
  ['delete from orders; delete from order_items', false],
  ['do $$ begin delete from orders; end $$', false],
  ['explain analyze delete from orders', false],
  ['explain (analyze) select v_writes()', false],
  ['select * into copied from orders', false],
  ['create table copied as select * from orders', false],
  ['truncate orders cascade', false],
  ['drop table orders', false],
  ["copy orders to program 'touch /tmp/never'", false],
  ['with gone as (delete from orders returning *) select * from gone', true],
  ["insert into orders select id + 10000, 'x' from orders", true],
  ['insert into defaulted(what) values (1), (2)', true],
  ["update orders set id = nextval('numbers')", true],
  ['merge into orders o using order_items i on o.id = i.order_id when matched then delete', true],
  ['delete from orders /* ; drop table orders; */ where id = 1 -- ; drop table orders', true],
  ['delete from orders where status = $$; drop table orders; --$$', true],
  [`delete from orders where status = 'stale';`, true],
  ['(select v_writes())', true],
]

suite('what a held command would do', { skip: skipReason(), timeout: 100_000 }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  let root: TestAgent
  before(async () => {
    gateway = await startTestGateway({
      policy,
      seed,
      postgresConfig: ["log_line_prefix = '%a|'"],
    })
    family = new AgentFamily(gateway)
    root = await family.root(all)
  })
  after(async () => await gateway[Symbol.asyncDispose]())

  let count = 0
  const session = async (): Promise<Client> => {
    count += 1
    return await family.session(await family.child(root, `fixer-${count}`, all))
  }
  /** Holds a command until its preview is there, then denies it. */
  const looked = async (
    client: Client,
    text: string,
    values?: unknown[],
  ): Promise<ApprovalView> => {
    const held = client.query({ text, ...(values === undefined ? {} : { values }) })
    const ended = held.then(
      () => assert.fail(`it ran: ${text}`),
      ({ message }: Error) => assert.match(message, /^denied/, text),
    )
    const view = await Promise.race([
      previewed(gateway, text),
      ended.then(() => assert.fail('it was not held')),
    ])
    await api(gateway, 'POST', `/v1/approvals/${view.id}/answer`, { decision: 'deny' })
    await ended
    return view
  }

  test('is told by the planner, the catalog and a sample, and by an exact count on demand', async () => {
    const client = await session()
    await client.query("select 'unasked before'")
    const text = "delete from orders where status = 'stale'"
    const held = client.query(text)
    const { id, preview } = await previewed(gateway, text)
    assert.ok(preview?.estimate.known === true)
    assert.ok(Math.abs(preview.estimate.value - 500) < 250, String(preview.estimate.value))
    assert.equal(preview.estimate.source, 'planner estimate')
    assert.ok(preview.tables.known)
    const [orders] = preview.tables.value
    assert.equal(orders?.name, 'public.orders')
    assert.deepEqual(orders.rows, { known: true, value: 5000, source: 'statistics' })
    assert.deepEqual(orders.cascades, ['order_items (ON DELETE CASCADE)'])
    assert.deepEqual(orders.triggers, ['watch calls tell_trigger()'])
    assert.match(JSON.stringify(preview.locks), /ROW EXCLUSIVE/)
    assert.match(JSON.stringify(preview.undo), /commits by itself/)
    assert.ok(preview.sample?.known === true, JSON.stringify(preview.sample))
    assert.deepEqual(preview.sample.value.columns, ['id', 'status'])
    assert.equal(preview.sample.value.rows.length, 5)
    assert.ok(preview.sample.value.rows.every(([, status]) => status === 'stale'))
    assert.equal(preview.count, undefined)
    const counted = await api<ApprovalView>(gateway, 'POST', `/v1/approvals/${id}/count`)
    assert.deepEqual(counted.preview?.count, {
      known: true,
      value: 500,
      source: 'counted, read-only',
    })
    using shown = sallyport(gateway, ['approvals', 'show', id, '-o', 'table'])
    assert.equal(await shown.ended(), 0)
    assert.match(shown.out, /rows +~\d+ \(planner estimate\)/)
    assert.match(shown.out, /500 \(counted, read-only\)/)
    assert.match(shown.out, /touches +public.orders, ~5,000 rows in all \(statistics\)/)
    assert.match(shown.out, /cascades to order_items \(ON DELETE CASCADE\)/)
    assert.match(shown.out, /same shape approved 0 times in 30 days, denied 0/)
    using again = sallyport(gateway, ['approvals', 'count', id, '-o', 'table'])
    assert.equal(await again.ended(), 0)
    assert.match(again.out, /would meet 500 rows now/)
    await api(gateway, 'POST', `/v1/approvals/${id}/answer`, { decision: 'approve' })
    assert.equal((await held).rowCount, 500)
    const ended = await api<ApprovalView>(gateway, 'GET', `/v1/approvals/${id}`)
    assert.equal(ended.preview?.sample, undefined)
    assert.ok(ended.preview?.estimate.known)
    assert.deepEqual(await facts(gateway, id), ['approval.counted', 'approval.previewed'])
    const next = await looked(client, "delete from orders where status = 'new'")
    assert.deepEqual(next.preview?.sameShape, {
      known: true,
      value: { days: 30, approved: 1, denied: 0, by: ['root'] },
      source: 'answers on record',
    })
    await client.end()
  })

  test('takes values as values, of text and of declared types', async () => {
    const client = await session()
    const { preview } = await looked(client, 'delete from orders where id < $1', [101])
    assert.ok(preview?.estimate.known)
    assert.ok(preview.estimate.value > 50 && preview.estimate.value < 150)
    const smuggled = await looked(client, 'delete from orders where status = $1', [
      "x'; drop table orders; --",
    ])
    assert.ok(smuggled.preview?.estimate.known)
    await client.end()
  })

  test('is not shown masked rows, nor anything to the tree that asks', async () => {
    const child = await family.child(root, 'prober')
    const client = await family.session(child)
    const text = 'delete from people where id = 1'
    const held = client.query(text).catch(() => undefined)
    const { id, preview } = await previewed(gateway, text)
    assert.match(JSON.stringify(preview?.sample), /masked/)
    assert.doesNotMatch(JSON.stringify(preview), /ana@/)
    for (const handle of [child.handle, root.handle]) {
      const own = (await family.ask(
        'GET',
        `/v1/approvals/${id}`,
        undefined,
        handle,
      )) as ApprovalView
      assert.equal(own.id, id)
      assert.equal(own.preview, undefined)
      const listed = (await family.ask('GET', '/v1/approvals', undefined, handle)) as ApprovalView[]
      assert.ok(listed.some((each) => each.id === id))
      assert.ok(listed.every((each) => each.preview === undefined))
      const counted = await family.tryAsk('POST', `/v1/approvals/${id}/count`, {}, handle)
      assert.equal(counted.status, 403)
    }
    const reviewer = await family.child(await family.root({}), 'reviewer')
    const seen = (await family.ask(
      'GET',
      `/v1/approvals/${id}`,
      undefined,
      reviewer.handle,
    )) as ApprovalView
    assert.ok(seen.preview?.estimate.known)
    await api(gateway, 'POST', `/v1/approvals/${id}/answer`, { decision: 'deny' })
    await held
    await client.end()
  })

  test('is not known where the session may mean something else by the same text', async () => {
    for (const first of [
      'set search_path = pg_catalog, public /* unasked */',
      'create temp table orders(id int) /* unasked */',
    ]) {
      const client = await session()
      await client.query(first)
      const { preview } = await looked(client, 'delete from orders where id = 4')
      for (const each of [preview?.estimate, preview?.tables, preview?.sample])
        assert.match(JSON.stringify(each), /"known":false,"why":"the (search path|session)/)
      await client.end()
    }
  })

  test('waits for no lock', async () => {
    const locker = new Client({
      host: '127.0.0.1',
      port: gateway.postgres.port,
      user: 'app',
      password: 'app-password',
      database: gateway.postgres.database,
    })
    await locker.connect()
    // The gateway's own look at the catalog is not in the way of this lock.
    await locker.query('begin; lock table orders in share mode')
    const client = await session()
    const { preview } = await looked(client, 'delete from orders where id = 5')
    await locker.end()
    assert.match(JSON.stringify(preview?.estimate), /lock timeout/)
    await client.end()
  })

  test('never runs it, nor anything that may do more than read', async () => {
    const client = await session()
    const state = async (): Promise<string> =>
      await gateway.postgres.sql(
        'select count(*), (select count(*) from canary), (select last_value from numbers) from orders',
      )
    const before = await state()
    for (const [text, isPlanned] of corpus) {
      const { preview } = await looked(client, text)
      assert.equal(
        preview?.estimate.known,
        isPlanned,
        `${text}: ${JSON.stringify(preview?.estimate)}`,
      )
      for (const each of [preview?.estimate, preview?.tables, preview?.sample, preview?.locks])
        assert.ok(each?.known === true || (each?.why.length ?? 0) > 3, text)
    }
    await client.end()
    assert.equal(await state(), before)
    const log = await readFile(gateway.postgres.logFile, 'utf8')
    assert.ok(!/LOG: +CALLED/u.test(log), 'a function was called')
    assert.equal(await gateway.postgres.sql("select to_regclass('copied') is null"), 't')
    const said = log.split('\n').filter((line) => line.startsWith('sallyport preview|LOG:'))
    const asked = said.flatMap(
      (line) => /(?:statement|execute <unnamed>): *(.*)$/u.exec(line)?.[1] ?? [],
    )
    assert.ok(
      asked.filter((text) => text.startsWith('EXPLAIN')).length >=
        corpus.filter(([, is]) => is).length,
    )
    const mayAsk =
      /^(?:begin read only|rollback|set local \w+ = (?:on|\d+)|EXPLAIN \(FORMAT JSON\) (?:delete|insert|update|merge|with|select|\()|SELECT pg_catalog\.count|SELECT "\w+"\.\* FROM)/iu
    // The gateway's own questions about the catalog begin with a line break.
    for (const text of asked.filter((each) => each !== '')) assert.match(text, mayAsk)
    assert.ok(!asked.some((text) => /analyze/iu.test(text)))
  })
})

async function api<T>(
  gateway: TestGateway,
  method: string,
  path: string,
  body?: unknown,
): Promise<T> {
  const response = await gateway.api(method, path, body)
  assert.ok(response.ok, await response.clone().text())
  return (await response.json()) as T
}

async function previewed(gateway: TestGateway, text: string): Promise<ApprovalView> {
  return await until(`the preview of ${text}`, async () => {
    const pending = await api<ApprovalView[]>(gateway, 'GET', '/v1/approvals?state=pending')
    return pending.find((each) => each.text === text && each.preview !== undefined)
  })
}

async function facts(gateway: TestGateway, id: string): Promise<string[]> {
  const page = await api<{ facts: { what: string }[] }>(
    gateway,
    'GET',
    `/v1/ledger?q=subject:${id}`,
  )
  const names = page.facts.map(({ what }) => what)
  return [...new Set(names.filter((what) => /counted|previewed/.test(what)))].toSorted()
}
