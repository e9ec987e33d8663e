import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { after, before, suite, test } from 'node:test'
import { Client } from 'pg'
import { skipReason, until } from '@sallyport/testkit'
import { ApprovalCalls } from './approval-calls.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: masks}
spec:
  owner: group:test
  rules:
    - name: deletes
      on: sql
      when: '"delete" in op.classes'
      effect: approve
      approve: {from: [owner], selfRoot: allow, within: 20h}
      message: "The owner looks."
    - {name: mask-email, on: sql, when: "true", effect: mask, mask: [{columns: ["*.email"], with: partial}]}
`

const seed = `
create table people(id int primary key, email text);
insert into people values (1, 'ada@example.com');
create schema app;
create function app.score(id int) returns int language plpgsql volatile as $$ declare n int; begin execute 'select ' || id || ' * 10' into n; return n; end $$;
`

suite('settings of a connection', { skip: skipReason() }, () => {
  let gateway: TestGateway
  before(async () => {
    gateway = await startTestGateway({ policy, seed })
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  const set = async (change: object): Promise<number> =>
    (await gateway.api('PATCH', '/v1/connections/shop', change)).status
  const psql = async (statement: string): Promise<{ out: string; err: string }> => {
    const url = await gateway.url({ allow: 'shop:ro' })
    const { promise, resolve } = Promise.withResolvers<{ out: string; err: string }>()
    execFile('psql', [url, '-XAtc', statement], (_error, out, err) => resolve({ out, err }))
    return promise
  }
  /** The newest recording once its session is over. */
  const replay = async (): Promise<string> => {
    const id = await until('the newest session is over', async () => {
      const sessions = await (await gateway.api('GET', '/v1/sessions')).json()
      const newest = (sessions as { id: string; closedAt?: string }[])[0]
      return newest?.closedAt === undefined ? undefined : newest.id
    })
    return (await gateway.api('GET', `/v1/sessions/${id}?as=text`)).text()
  }

  test('a function runs for a reader once the operator vouches for it, and no longer when that is taken back', async () => {
    const call = 'select app.score(4)'
    assert.match((await psql(call)).err, /ERROR/)
    assert.equal(await set({ trustedFunctions: ['app.score'] }), 200)
    assert.equal((await psql(call)).out, '40\n')
    assert.equal(await set({ trustedFunctions: [] }), 200)
    assert.match((await psql(call)).err, /ERROR/)
  })

  test('notices say what was masked to those they are on for', async () => {
    const read = 'select email from people'
    assert.equal(await set({ notices: 'always' }), 200)
    assert.match((await psql(read)).err, /1 value masked \(rule mask-email\)/)
    assert.equal(await set({ notices: 'never' }), 200)
    assert.equal((await psql(read)).err, '')
  })

  test('a connection caps how long a command waits, and shorter still where its transaction is open', async () => {
    const minutes = async (begin: string, id: number): Promise<number> => {
      const calls = new ApprovalCalls(gateway)
      const url = await gateway.url({ allow: 'shop:rw' })
      const caller = new Client({
        connectionString: url.replace('?sslmode=require', ''),
        ssl: { rejectUnauthorized: false },
      })
      await caller.connect()
      await caller.query(begin)
      const ran = caller.query(`delete from people where id = ${id}`)
      const held = await calls.waiting(new RegExp(`id = ${id}$`))
      await calls.answer(held.id, 'approve')
      await ran
      await caller.end()
      return Math.round((Date.parse(held.until) - Date.parse(held.askedAt)) / 60_000)
    }
    assert.deepEqual([await minutes('select 1', 101), await minutes('begin', 102)], [1200, 1])
    assert.equal(await set({ holdMaxMs: 5 * 3_600_000 }), 200)
    assert.deepEqual([await minutes('select 1', 103), await minutes('begin', 104)], [300, 1])
    assert.equal(await set({ holdInTransactionMaxMs: 30 * 60_000 }), 200)
    assert.deepEqual([await minutes('select 1', 105), await minutes('begin', 106)], [300, 30])
    assert.equal(await set({ holdMaxMs: 10 * 60_000 }), 200)
    assert.deepEqual([await minutes('select 1', 107), await minutes('begin', 108)], [10, 10])
    for (const holdMaxMs of [0, 999, 86_400_001, 1.5, '10m', null])
      assert.equal(await set({ holdMaxMs }), 400, String(holdMaxMs))
    for (const holdInTransactionMaxMs of [999, 3_600_001])
      assert.equal(await set({ holdInTransactionMaxMs }), 400)
  })

  test('a recording of shapes holds the command and its row count, and nothing of the answer', async () => {
    const read = "select 'shown' || 'text' as word"
    await psql(read)
    assert.match(await replay(), /showntext/)
    assert.equal(await set({ responses: 'shape' }), 200)
    assert.equal((await psql(read)).out, 'showntext\n')
    const recorded = await replay()
    assert.match(recorded, /select 'shown' \|\| 'text'/)
    assert.match(recorded, /SELECT 1/)
    assert.doesNotMatch(recorded, /showntext/)
  })
})
