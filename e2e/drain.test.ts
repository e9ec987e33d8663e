import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { ScriptedPeer, skipReason, until } from '@sallyport/testkit'
import {
  encodeBind,
  encodeExecute,
  encodeFlush,
  encodeParse,
  encodeQuery,
  encodeSync,
  type BackendMessage,
} from '@sallyport/wire'
import { listSessions } from '../packages/gateway/src/control-plane/recordings/recordings.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'
import { WireCaller } from './wire-caller.ts'

const seed = 'create table t(n int)'

const open = async (gateway: TestGateway): Promise<WireCaller> => {
  const { user, secret } = await gateway.credential()
  const { postgres: port } = gateway.gateway.ports
  return await WireCaller.open({ port, user, password: secret })
}
const insert = (n: number): Buffer[] => [
  encodeParse({ statement: '', text: `insert into t values (${n})`, parameterTypes: [] }),
  encodeBind({
    portal: '',
    statement: '',
    parameterFormats: [],
    parameters: [],
    resultFormats: [],
  }),
  encodeExecute({ portal: '', rowsMax: 0 }),
]
const active = async (gateway: TestGateway): Promise<number> =>
  Number(
    await gateway.postgres.sql(
      "select count(*) from pg_stat_activity where query like '%pg_sleep(%' and pid <> pg_backend_pid() and state = 'active'",
    ),
  )
const stored = async (gateway: TestGateway): Promise<string> =>
  (await gateway.postgres.sql("select string_agg(n::text, ' ' order by n) from t")).trim()

/** The last words of a gateway that shuts down, and the end of the connection. */
async function expectFarewell(caller: WireCaller): Promise<void> {
  const [line] = await caller.until('ErrorResponse')
  assert.match(line ?? '', /"S":"FATAL".*"C":"57P01","M":"Sallyport: the gateway is shutting down/)
  await caller.expectEnd()
}

async function expectClosedRecordings(gateway: TestGateway, count: number): Promise<void> {
  const { sessions, problems } = await listSessions(gateway.gateway.recorded)
  assert.deepEqual(problems, [])
  assert.deepEqual(
    sessions.map(({ closed, verified }) => ({ closed, verified })),
    Array.from({ length: count }, () => ({ closed: 'gateway shut down', verified: true })),
  )
}

suite('a gateway that shuts down', { skip: skipReason() }, () => {
  test('lesson 38: what is under way comes to its end before the connection does', async () => {
    await using gateway = await startTestGateway({ plainText: true, seed })
    await using idle = await open(gateway)
    await using running = await open(gateway)
    await using inTransaction = await open(gateway)
    await using withoutSync = await open(gateway)
    running.send(encodeQuery("select pg_sleep(1), 'came to its end'"))
    inTransaction.send(encodeQuery('begin; insert into t values (1)'))
    await inTransaction.until('ReadyForQuery')
    withoutSync.send(...insert(2), encodeFlush())
    assert.match((await withoutSync.until('CommandComplete')).join(), /INSERT 0 1/)
    await until('the statement runs', async () => (await active(gateway)) === 1)

    const stopped = gateway.gateway.stop(30_000)
    await expectFarewell(idle)
    await assert.rejects(ScriptedPeer.connect(gateway.gateway.ports.postgres), /ECONNREFUSED/)
    assert.match((await running.until('ReadyForQuery')).join(), /came to its end/)
    await expectFarewell(running)
    withoutSync.send(...insert(3), encodeSync())
    assert.match((await withoutSync.until('ReadyForQuery')).join(), /INSERT 0 1.*"status":"I"/)
    await expectFarewell(withoutSync)
    inTransaction.send(encodeQuery('insert into t values (4)'), encodeQuery('commit'))
    await inTransaction.until('ReadyForQuery')
    assert.match((await inTransaction.until('ReadyForQuery')).join(), /COMMIT.*"status":"I"/)
    await expectFarewell(inTransaction)
    await stopped
    assert.equal(await stored(gateway), '1 2 3 4')
    await expectClosedRecordings(gateway, 4)
  })

  test('lesson 38: at whatever message it begins, callers know what is stored', async () => {
    await using gateway = await startTestGateway({ plainText: true, seed })
    /** A transaction in single messages, each with the answer that shows where it has come to. */
    const steps = (n: number): { message: Buffer; answer: BackendMessage['kind'] }[] => {
      const [parse, bind, execute] = insert(n)
      assert.ok(parse !== undefined && bind !== undefined && execute !== undefined)
      return [
        { message: encodeQuery('begin'), answer: 'ReadyForQuery' },
        { message: parse, answer: 'ParseComplete' },
        { message: bind, answer: 'BindComplete' },
        { message: execute, answer: 'CommandComplete' },
        { message: encodeSync(), answer: 'ReadyForQuery' },
        { message: encodeQuery('commit'), answer: 'ReadyForQuery' },
      ]
    }
    const { length } = steps(0)
    const callers: WireCaller[] = []
    for (let done = 0; done <= length; done += 1) {
      const caller = await open(gateway)
      for (const { message, answer } of steps(done).slice(0, done)) {
        caller.send(message, encodeFlush())
        await caller.until(answer)
      }
      callers.push(caller)
    }
    const stopped = gateway.gateway.stop(30_000)
    const believed: number[] = []
    for (const [done, caller] of callers.entries()) {
      caller.send(
        ...steps(done)
          .slice(done)
          .map(({ message }) => message),
      )
      const lines = await caller.until('ErrorResponse')
      assert.match(lines.at(-1) ?? '', /57P01/)
      if (done === length || lines.join().includes('COMMIT')) believed.push(done)
      await caller[Symbol.asyncDispose]()
    }
    await stopped
    assert.deepEqual((await stored(gateway)).split(' ').map(Number), believed)
    // Only who had not begun has nothing stored: everybody else could come to the end.
    assert.deepEqual(believed, [1, 2, 3, 4, 5, 6])
  })

  test('what takes longer than it waits is cut, at the target too', async () => {
    await using gateway = await startTestGateway({ plainText: true, seed })
    await using running = await open(gateway)
    await using inTransaction = await open(gateway)
    running.send(encodeQuery('insert into t select 5 from pg_sleep(60)'))
    inTransaction.send(encodeQuery('begin; insert into t values (6)'))
    await inTransaction.until('ReadyForQuery')
    await until('the statement runs', async () => (await active(gateway)) === 1)
    const stopped = gateway.gateway.stop(300)
    await expectFarewell(running)
    await expectFarewell(inTransaction)
    await stopped
    await until('the statement is gone', async () => (await active(gateway)) === 0)
    assert.equal(await stored(gateway), '')
    await expectClosedRecordings(gateway, 2)
  })
})
