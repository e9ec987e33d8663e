import assert from 'node:assert/strict'
import { after, afterEach, before, suite, test } from 'node:test'
import { ScriptedPeer, skipReason } from '@sallyport/testkit'
import { encodeFunctionCall, encodeQuery, encodeSync } from '@sallyport/wire'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { ApprovalCalls } from './approval-calls.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'
import { WireCaller } from './wire-caller.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: ask}
spec:
  owner: group:test
  rules:
    - name: deletes
      on: sql
      when: '"delete" in op.classes || op.objects.anyGlob("public.secrets")'
      effect: approve
      approve: {from: [owner], selfRoot: allow}
      message: "The owner looks."
`
const seed = `
create table orders(id int primary key);
insert into orders select generate_series(1, 100);
create table secrets(id int);
insert into secrets select generate_series(1, 10);
create function remove_one(int) returns int language sql as 'delete from orders where id = $1 returning id';
`

suite('commands that are rarely held', { skip: skipReason(), timeout: 120_000 }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  let calls: ApprovalCalls
  let root: TestAgent
  const open: AsyncDisposable[] = []
  before(async () => {
    gateway = await startTestGateway({ policy, seed, plainText: true })
    family = new AgentFamily(gateway)
    calls = new ApprovalCalls(gateway)
    root = await family.root()
  })
  after(async () => await gateway[Symbol.asyncDispose]())
  afterEach(async () => {
    for (const each of open.splice(0)) await each[Symbol.asyncDispose]()
  })

  const session = async (): Promise<{ caller: WireCaller; peer: ScriptedPeer }> => {
    const { username: user, password, pathname } = new URL(await family.url(root))
    const peer = await ScriptedPeer.connect(gateway.gateway.ports.postgres)
    const door = {
      port: gateway.gateway.ports.postgres,
      user,
      password,
      database: pathname.slice(1),
    }
    const caller = await WireCaller.open(door, peer)
    open.push(caller)
    return { caller, peer }
  }
  const rows = async (where: string): Promise<string> =>
    await gateway.postgres.sql(`select count(*) from orders where ${where}`)

  test('a function call of the protocol waits, and runs or not, with its session going on', async () => {
    const oid = Number(await gateway.postgres.sql(`select 'remove_one'::regproc::oid`))
    for (const [decision, id] of [
      ['deny', 1],
      ['approve', 2],
    ] as const) {
      const { caller } = await session()
      const call = {
        oid,
        argumentFormats: [],
        arguments: [Buffer.from(String(id))],
        resultFormat: 0 as const,
      }
      const heard = caller.converse([encodeFunctionCall(call), encodeQuery('select 1')])
      const held = await calls.waiting(/call of function/)
      assert.deepEqual(held.parameters, [String(id)])
      await calls.answer(held.id, decision)
      const lines = (await heard).join('\n')
      assert.match(
        lines,
        decision === 'approve' ? /^FunctionCallResponse/m : /^ErrorResponse.*denied by root/m,
      )
      assert.match(lines, /SELECT 1/)
      assert.equal(await rows(`id = ${id}`), decision === 'approve' ? '0' : '1')
    }
  })

  test('a FETCH of a cursor over what is asked for waits as its DECLARE did', async () => {
    const { caller } = await session()
    const heard = caller.converse([
      encodeQuery('begin'),
      encodeQuery('declare c cursor for select id from secrets'),
      encodeQuery('fetch 3 from c'),
      encodeQuery('fetch 3 from c'),
    ])
    await calls.answer((await calls.waiting(/^declare c/)).id, 'approve')
    await calls.answer((await calls.waiting(/^fetch 3/)).id, 'approve')
    await calls.answer((await calls.waiting(/^fetch 3/)).id, 'deny')
    const lines = await heard
    const fetched = lines.slice(
      0,
      lines.findIndex((line) => line.includes('denied by root')),
    )
    assert.equal(fetched.filter((line) => line.startsWith('DataRow')).length, 3)
  })

  test('each Sync behind it is answered, in its place', async () => {
    const { caller } = await session()
    const syncs = Array.from({ length: 50 }, () => encodeSync())
    caller.send(encodeQuery('delete from orders where id = 3'), ...syncs, encodeQuery('select 1'))
    const { id } = await calls.waiting(/id = 3$/)
    await calls.answer(id, 'approve')
    const lines: string[] = []
    for (let n = 0; n < 52; n += 1) lines.push(...(await caller.until('ReadyForQuery')))
    assert.equal(lines.filter((line) => line.startsWith('ReadyForQuery')).length, 52)
    assert.match(lines.at(-2) ?? '', /SELECT 1/)
    assert.equal(await rows('id = 3'), '0')
  })

  test('a caller that closes its half, or is reset, while it waits: withdrawn, and a yes comes too late', async () => {
    for (const how of ['end', 'reset'] as const) {
      const { caller, peer } = await session()
      caller.send(encodeQuery(`delete from orders where id = 4 and '${how}' <> ''`))
      const { id } = await calls.waiting(new RegExp(how))
      peer.hangUp(how)
      await calls.ended(id, 'withdrawn')
      assert.equal((await calls.tryAnswer(id, 'approve')).status, 403)
    }
    assert.equal(await rows('id = 4'), '1')
  })

  test('a statement that nests deeply is held as any other, without a look, and its session goes on', async () => {
    const { caller } = await session()
    const text = `delete from orders where id = 5 and ${'not '.repeat(300)}false`
    const heard = caller.converse([encodeQuery(text), encodeQuery('select 1')])
    const { id } = await calls.waiting(/id = 5 and not/)
    const refused = await gateway.api('POST', `/v1/approvals/${id}/count`)
    assert.match(await refused.text(), /nested too deeply/)
    await calls.answer(id, 'deny')
    const lines = (await heard).join('\n')
    assert.match(lines, /denied by root/)
    assert.match(lines, /SELECT 1/)
  })
})
