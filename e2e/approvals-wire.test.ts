import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { after, afterEach, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import {
  encodeBind,
  encodeCopyData,
  encodeCopyDone,
  encodeDescribe,
  encodeExecute,
  encodeFlush,
  encodeParse,
  encodeQuery,
  encodeSync,
  encodeTerminate,
} from '@sallyport/wire'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { ApprovalCalls, wireSession } from './approval-calls.ts'
import { isLarge, workersMemory } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'
import { shape, type WireCaller } from './wire-caller.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: ask}
spec:
  owner: group:test
  rules:
    - name: deletes
      on: sql
      when: '"delete" in op.classes'
      effect: approve
      approve: {from: [owner], selfRoot: allow}
      message: "The owner looks."
    - name: secrets
      on: sql
      when: op.objects.anyGlob("public.secrets")
      effect: approve
      approve: {from: [owner], selfRoot: allow}
      message: "The owner looks."
`
const seed = `
create table orders(id int primary key, status text);
insert into orders select g, 'new' from generate_series(1, 1000) g;
create table secrets(id int);
insert into secrets select generate_series(1, 10);
create table notes(id int);
`

suite('messages around a command that is held', { skip: skipReason(), timeout: 300_000 }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  let calls: ApprovalCalls
  let root: TestAgent
  const open: WireCaller[] = []
  before(async () => {
    gateway = await startTestGateway({ policy, seed, plainText: true })
    family = new AgentFamily(gateway)
    calls = new ApprovalCalls(gateway)
    root = await family.root()
  })
  after(async () => await gateway[Symbol.asyncDispose]())
  afterEach(async () => {
    for (const caller of open.splice(0)) await caller[Symbol.asyncDispose]()
  })

  const session = async (): Promise<WireCaller> => {
    const caller = await wireSession(gateway, family, root)
    open.push(caller)
    return caller
  }
  const parse = (text: string, statement = ''): Buffer =>
    encodeParse({ statement, text, parameterTypes: [] })
  const bind = (...values: string[]): Buffer => bindAs('', ...values)
  const bindAs = (portal: string, ...values: string[]): Buffer =>
    encodeBind({
      portal,
      statement: '',
      parameterFormats: [],
      parameters: values.map((value) => Buffer.from(value)),
      resultFormats: [],
    })
  const execute = (rowsMax = 0, portal = ''): Buffer => encodeExecute({ portal, rowsMax })
  const rows = async (where: string): Promise<string> =>
    await gateway.postgres.sql(`select count(*) from orders where ${where}`)
  const asked = async (text: RegExp): Promise<number> =>
    (await calls.list('all')).filter((each) => text.test(each.text)).length

  test('what is pipelined behind it leaves after it, in order, or after its refusal', async () => {
    for (const decision of ['approve', 'deny'] as const) {
      const id = decision === 'approve' ? 1 : 2
      const caller = await session()
      const heard = caller.converse([
        encodeQuery(`select 'before'`),
        encodeQuery(`delete from orders where id = ${id}`),
        encodeQuery(`select 'behind'`),
        parse('insert into notes values ($1)'),
        bind(String(id)),
        execute(),
        encodeSync(),
      ])
      const held = await calls.waiting(new RegExp(`id = ${id}$`))
      assert.equal(await gateway.postgres.sql(`select count(*) from notes where id = ${id}`), '0')
      await calls.answer(held.id, decision)
      const kinds = shape(await heard).map((line) => line.split(' ')[0])
      const middle = decision === 'approve' ? ['CommandComplete'] : ['ErrorResponse']
      const select = ['RowDescription', 'DataRow', 'CommandComplete', 'ReadyForQuery']
      const insert = ['ParseComplete', 'BindComplete', 'CommandComplete', 'ReadyForQuery']
      const heardFirst = kinds.filter((kind) => kind !== 'NoticeResponse').slice(0, 14)
      assert.deepEqual(heardFirst, [...select, ...middle, 'ReadyForQuery', ...select, ...insert])
      assert.equal(await rows(`id = ${id}`), decision === 'approve' ? '0' : '1')
      assert.equal(await gateway.postgres.sql(`select count(*) from notes where id = ${id}`), '1')
    }
  })

  test('after a refusal the rest of its batch does not run, held or not, and nobody is asked for it', async () => {
    const caller = await session()
    const heard = caller.converse([
      parse('delete from orders where id = $1'),
      bind('3'),
      execute(),
      parse('insert into notes values (33)'),
      bind(),
      execute(),
      parse('delete from orders where id = $1 or false'),
      bind('4'),
      execute(),
      encodeSync(),
    ])
    const { id } = await calls.waiting(/id = \$1$/)
    await calls.answer(id, 'deny')
    await heard
    assert.equal(await asked(/or false/), 0)
    assert.equal(await rows('id in (3, 4)'), '2')
    assert.equal(await gateway.postgres.sql('select count(*) from notes where id = 33'), '0')
  })

  test('a caller that has sent more, and leaves, takes it with it', async () => {
    const caller = await session()
    caller.send(encodeQuery('delete from orders where id = 5'))
    const { id } = await calls.waiting(/id = 5$/)
    // In packets of their own, so that the gateway has read nothing of them with the command.
    for (let n = 0; n < 3; n += 1) {
      caller.send(encodeQuery(`select ${n}`))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    caller.send(encodeTerminate())
    await caller[Symbol.asyncDispose]()
    await calls.ended(id, 'withdrawn')
    assert.equal(await rows('id = 5'), '1')
  })

  test('a caller that sends a great deal behind it costs no memory, and gets it done', async () => {
    const caller = await session()
    caller.send(encodeQuery('delete from orders where id = 6'))
    const { id } = await calls.waiting(/id = 6$/)
    const before = await workersMemory(gateway)
    const megabytes = isLarge ? 400 : 100
    const piece = encodeQuery(`select length('${'x'.repeat(1024 * 1024)}')`)
    for (let n = 0; n < megabytes; n += 1) caller.send(piece)
    const other = await session()
    assert.match((await other.converse([encodeQuery('select 1')])).join(), /SELECT 1/)
    const grown = (await workersMemory(gateway)) - before
    assert.ok(grown < 64, `${Math.round(grown)} MiB more`)
    await calls.answer(id, 'approve')
    for (let n = 0; n <= megabytes; n += 1) await caller.until('ReadyForQuery')
    assert.equal(await rows('id = 6'), '0')
  })

  test('one execution is one question, with its values, however its messages are cut', async () => {
    for (const delivery of ['at once', 'byte by byte'] as const) {
      const id = delivery === 'at once' ? '7' : '8'
      const text = `delete from orders where id = $1 and '${delivery}' <> ''`
      const caller = await session()
      const heard = caller.converse(
        [
          parse(text),
          bind(id),
          encodeDescribe({ target: 'portal', name: '' }),
          execute(),
          encodeSync(),
        ],
        delivery,
      )
      const held = await calls.waiting(new RegExp(delivery))
      assert.deepEqual(held.parameters, [id])
      await calls.answer(held.id, 'approve')
      await heard
      assert.equal(await asked(new RegExp(delivery)), 1, delivery)
      assert.equal(await rows(`id = ${id}`), '0')
    }
  })

  test('a portal that is only bound asks for nothing, and each that is executed for itself, with its own values', async () => {
    const text = 'delete from orders where id = $1 and true'
    const caller = await session()
    const heard = caller.converse([
      parse(text),
      bindAs('first', '9'),
      bindAs('second', '10'),
      execute(0, 'second'),
      execute(0, 'first'),
      encodeSync(),
    ])
    for (const value of ['10', '9']) {
      const { id, parameters } = await calls.waiting(/and true/)
      assert.deepEqual(parameters, [value])
      await calls.answer(id, 'approve')
    }
    await heard
    assert.equal(await rows('id in (9, 10)'), '0')
    assert.equal(await asked(/and true/), 2)
  })

  test('a portal that is continued is the same execution', async () => {
    const caller = await session()
    caller.send(
      encodeQuery('begin'),
      parse('select id from secrets'),
      bind(),
      execute(4),
      encodeFlush(),
    )
    const { id } = await calls.waiting(/from secrets/)
    await calls.answer(id, 'approve')
    await caller.until('PortalSuspended')
    caller.send(execute(4), execute(4), encodeSync())
    const more = await caller.until('ReadyForQuery')
    assert.equal(more.filter((line) => line.startsWith('DataRow')).length, 6)
    assert.equal(await asked(/from secrets/), 1)
  })

  test('a batch that has done something holds locks: its command waits no longer than in a transaction', async () => {
    const caller = await session()
    caller.send(
      parse(`update orders set status = 'x' where id = 11`),
      bind(),
      execute(),
      parse('delete from orders where id = 12'),
      bind(),
      execute(),
      encodeSync(),
    )
    const { id, inTransaction, until: end, askedAt } = await calls.waiting(/id = 12$/)
    assert.ok(inTransaction, 'a transaction is open')
    assert.equal(Math.round((Date.parse(end) - Date.parse(askedAt)) / 1000), 60)
    await calls.answer(id, 'deny')
    await caller.until('ReadyForQuery')
    assert.equal(await rows("id = 11 and status = 'x'"), '0')
  })

  test('COPY both ways is held before a byte of it moves', async () => {
    const caller = await session()
    const data = ['1000001\n', '1000002\n'].map((line) => encodeCopyData(Buffer.from(line)))
    const heard = caller.converse([
      encodeQuery('copy secrets from stdin'),
      ...data,
      encodeCopyDone(),
      encodeQuery('copy secrets to stdout'),
    ])
    await calls.answer((await calls.waiting(/copy secrets from/)).id, 'deny')
    await calls.answer((await calls.waiting(/copy secrets to/)).id, 'approve')
    const lines = (await heard).join('\n')
    assert.doesNotMatch(lines, /CopyInResponse/)
    assert.equal(lines.match(/^CopyData/gm)?.length, 10)
    assert.equal(await gateway.postgres.sql('select count(*) from secrets'), '10')
  })

  test('a text of several statements is one command: none of them runs before the yes', async () => {
    const caller = await session()
    const text = 'begin; insert into notes values (77); delete from orders where id = 13; commit'
    const heard = caller.converse([encodeQuery(text)])
    const { id } = await calls.waiting(/^begin; insert/)
    assert.doesNotMatch(await readFile(gateway.postgres.logFile, 'utf8'), /values \(77\)/)
    await calls.answer(id, 'deny')
    await heard
    assert.equal(await gateway.postgres.sql('select count(*) from notes where id = 77'), '0')
  })

  test('a transaction with savepoints goes on after a refusal inside it, and keeps what it had', async () => {
    const caller = await session()
    const heard = caller.converse([
      encodeQuery('begin'),
      encodeQuery('insert into notes values (88)'),
      encodeQuery('savepoint s'),
      encodeQuery('delete from orders where id = 14'),
      encodeQuery('rollback to s'),
      encodeQuery('commit'),
    ])
    await calls.answer((await calls.waiting(/id = 14$/)).id, 'deny')
    await heard
    assert.equal(await rows('id = 14'), '1')
    assert.equal(await gateway.postgres.sql('select count(*) from notes where id = 88'), '1')
  })

  test('a notification reaches the caller while its command waits', async () => {
    const caller = await session()
    caller.send(encodeQuery('listen news'))
    await caller.until('ReadyForQuery')
    caller.send(encodeQuery('delete from orders where id = 15'))
    const { id } = await calls.waiting(/id = 15$/)
    await gateway.postgres.sql(`notify news, 'hello'`)
    await caller.until('NotificationResponse')
    await calls.answer(id, 'deny')
    await caller.until('ReadyForQuery')
  })
})
