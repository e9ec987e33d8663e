import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { connect as connectTcp, type Socket } from 'node:net'
import { after, before, suite, test } from 'node:test'
import type { Client } from 'pg'
import { skipReason, until } from '@sallyport/testkit'
import {
  listSessions,
  readRecordings,
  sessionEntries,
} from '../packages/gateway/src/control-plane/recordings/recordings.ts'
import { connect, workerPids, workersMemory } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'
import { TrickleRelay } from './trickle-relay.ts'

const seed = 'create table t(v text);'

suite('one session in trouble', { skip: skipReason() }, () => {
  let gateway: TestGateway
  before(async () => {
    gateway = await startTestGateway({ seed })
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  const backends = async (application: string): Promise<number> =>
    Number(
      await gateway.postgres.sql(
        `select count(*) from pg_stat_activity where application_name = '${application}'`,
      ),
    )
  /** The socket under a driver's session. */
  const socketOf = (client: Client): Socket =>
    (client as unknown as { connection: { stream: Socket } }).connection.stream
  const noRestarts = async (): Promise<void> => {
    const { workers } = await gateway.gateway.status()
    assert.deepEqual(
      workers.map(({ restarts, state }) => ({ restarts, state })),
      workers.map(() => ({ restarts: 0, state: 'ready' })),
    )
  }

  test('a caller that leaves in the middle of a result frees the target, and others go on', async () => {
    const neighbour = await connect(gateway)
    const leaver = await connect(gateway, 'leaver')
    leaver.query("select repeat('x', 1000) from generate_series(1, 1000000)").catch(() => undefined)
    const socket = socketOf(leaver)
    await new Promise((resolve) => socket.once('data', resolve))
    socket.destroy()
    assert.equal((await neighbour.query('select 1 as one')).rows[0].one, 1)
    await until('the target session ends', async () => (await backends('leaver')) === 0)
    await neighbour.end()
    await noRestarts()
  })

  test('a caller that leaves while a statement runs takes the session with it', async () => {
    const leaver = await connect(gateway, 'sleeper')
    leaver.query('select pg_sleep(2)').catch(() => undefined)
    await until(
      'the statement runs',
      async () =>
        Number(
          await gateway.postgres.sql(
            "select count(*) from pg_stat_activity where application_name = 'sleeper' and state = 'active'",
          ),
        ) === 1,
    )
    socketOf(leaver).destroy()
    await until('the target session ends', async () => (await backends('sleeper')) === 0)
  })

  test('a caller that does not read costs bounded memory, and others go on', async () => {
    const memoryBefore = await workersMemory(gateway)
    const slow = await connect(gateway, 'slow')
    const socket = socketOf(slow)
    const done = slow.query("select repeat('x', 100000) as v from generate_series(1, 2000)")
    await new Promise((resolve) => socket.once('data', resolve))
    socket.pause()
    const neighbour = await connect(gateway)
    for (let each = 0; each < 300; each += 1) {
      assert.equal((await neighbour.query('select $1::int as n', [each])).rows[0].n, each)
    }
    const grown = (await workersMemory(gateway)) - memoryBefore
    assert.ok(grown < 150, `grew by ${Math.round(grown)} MiB`)
    socket.resume()
    assert.equal((await done).rowCount, 2000)
    await slow.end()
    await neighbour.end()
  })

  test('a caller that reads one byte a second costs bounded memory, and gets the whole answer when it goes on', async () => {
    await using relay = await TrickleRelay.before(gateway.gateway.ports.postgres)
    const slow = await connect(gateway, 'trickle', relay.port)
    const memoryBefore = await workersMemory(gateway)
    relay.turnSlow()
    const done = slow.query("select repeat('x', 100000) as v from generate_series(1, 2000)")
    const neighbour = await connect(gateway)
    await until('three bytes are read', async () => {
      assert.equal((await neighbour.query('select 7 as n')).rows[0].n, 7)
      return relay.trickled >= 3
    })
    const grown = (await workersMemory(gateway)) - memoryBefore
    assert.ok(grown < 150, `grew by ${Math.round(grown)} MiB`)
    relay.turnFast()
    assert.equal((await done).rowCount, 2000)
    await slow.end()
    await neighbour.end()
  })

  test('a target that ends in the middle of a result is told apart', async () => {
    const client = await connect(gateway, 'victim')
    const running = client.query('select pg_sleep(30)')
    running.catch(() => undefined)
    await until('the victim is terminated', async () =>
      (
        await gateway.postgres.sql(
          "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'victim' and state = 'active'",
        )
      ).includes('t'),
    )
    await assert.rejects(running, /terminating connection due to administrator command|Sallyport/)
    await noRestarts()
    const rows = await connect(gateway, 'victim2')
    const streaming = rows.query("select repeat('x', 1000) from generate_series(1, 3000000)")
    streaming.catch(() => undefined)
    await new Promise((resolve) => socketOf(rows).once('data', resolve))
    await gateway.postgres.sql(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'victim2'",
    )
    await assert.rejects(streaming, /terminating connection|Sallyport/)
    await noRestarts()
  })

  test('a socket that is half closed ends its session', async () => {
    const client = await connect(gateway, 'half')
    assert.equal(await backends('half'), 1)
    socketOf(client).end()
    await until('the target session ends', async () => (await backends('half')) === 0)
  })

  test('callers that leave during the login leave nothing behind', async () => {
    for (let each = 0; each < 20; each += 1) {
      const { user, secret } = await gateway.credential()
      const { Client: Driver } = await import('pg')
      const client = new Driver({
        host: '127.0.0.1',
        port: gateway.gateway.ports.postgres,
        user,
        password: secret,
        database: 'postgres',
        application_name: 'fickle',
        ssl: { rejectUnauthorized: false },
      })
      client.on('error', () => undefined)
      const connecting = client.connect().catch(() => undefined)
      await new Promise((resolve) => setTimeout(resolve, each * 2))
      client.end().catch(() => undefined)
      socketOf(client).destroy()
      await Promise.race([connecting, new Promise((resolve) => setTimeout(resolve, 500))])
    }
    await until('no target session is left', async () => (await backends('fickle')) === 0)
    const raw = connectTcp(gateway.gateway.ports.postgres, '127.0.0.1')
    raw.on('error', () => undefined)
    raw.end()
    await noRestarts()
  })
})

suite('two workers', { skip: skipReason() }, () => {
  test('a cancel request works whichever worker it arrives at', async () => {
    await using gateway = await startTestGateway({ workers: 2 })
    const workersSeen = new Set<number>()
    // Every try has the same chance to arrive at the other worker.
    for (let each = 0; each < 12; each += 1) {
      const client = await connect(gateway)
      const running = client.query('select pg_sleep(60)')
      running.catch(() => undefined)
      const { processID, secretKey } = client as unknown as {
        processID: number
        secretKey: number
      }
      await until(
        'the statement runs',
        async () =>
          (
            await gateway.postgres.sql(
              "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'",
            )
          ).trim() === '1',
      )
      const request = Buffer.alloc(16)
      request.writeUInt32BE(16, 0)
      request.writeUInt32BE(80877102, 4)
      request.writeInt32BE(processID, 8)
      request.writeInt32BE(secretKey, 12)
      const socket = connectTcp(gateway.gateway.ports.postgres, '127.0.0.1')
      socket.on('error', () => undefined)
      socket.end(request)
      await assert.rejects(running, /canceling statement due to user request/)
      await client.end()
    }
    const { sessions } = await listSessions(gateway.gateway.recorded)
    for (const { opened } of sessions) workersSeen.add(opened.worker)
    assert.equal(workersSeen.size, 2, 'the kernel spread the sessions')
  })
})

suite('a worker that is killed', { skip: skipReason() }, () => {
  const rounds = Number(process.env['SALLYPORT_TEST_KILLS'] ?? 5)
  const appsOfLoad = 'load'

  test(`everything that ran is recorded after ${rounds} kills`, async (t) => {
    await using gateway = await startTestGateway({
      workers: 2,
      durability: 'auto',
      seed,
      postgresConfig: ["log_line_prefix = '%a|'"],
    })
    let answered = 0
    for (let round = 0; round < rounds; round += 1) {
      const clients = await Promise.all(
        Array.from({ length: 6 }, async () => await connect(gateway, appsOfLoad)),
      )
      const loads = clients.map(async (client, index) => {
        for (let each = 0; ; each += 1) {
          const marker = `m-${round}-${index}-${each}-end`
          const isLost = await client
            .query(
              each % 3 === 0
                ? `insert into t values ('${marker}')`
                : { text: `select '${marker}' as m, $1::int as n`, values: [each] },
            )
            .then(() => false)
            .catch(() => true)
          if (isLost) return
          answered += 1
        }
      })
      const before = answered
      await until('the load runs', () => answered > before + 60)
      const pids = await workerPids(gateway)
      for (const pid of pids) process.kill(pid, 'SIGKILL')
      await Promise.all(loads)
      await until('the workers are back', async () => {
        const now = await workerPids(gateway)
        return now.length === 2 && now.every((pid) => !pids.includes(pid))
      })
    }
    const recovered = await until('every lost session is closed', async () => {
      const list = await listSessions(gateway.gateway.recorded)
      return list.sessions.every(({ closed }) => closed !== undefined) ? list : false
    })
    assert.deepEqual(recovered.problems, [])
    assert.equal(recovered.sessions.length, rounds * 6)
    for (const session of recovered.sessions) {
      assert.equal(session.closed, 'aborted')
      assert.ok(session.verified)
    }
    const recorded = new Set<string>()
    for await (const item of readRecordings(gateway.gateway.recorded)) {
      if (item.kind !== 'entry' || item.entry.kind !== 'command') continue
      recorded.add(Buffer.from(item.entry.text).toString())
    }
    const log = await readFile(gateway.postgres.logFile, 'utf8')
    const executed = log.split('\n').flatMap((line) => {
      const found = /^load\|LOG: {2}(?:statement|execute [^:]*): (.*)$/.exec(line)
      return found?.[1] === undefined ? [] : [found[1]]
    })
    assert.ok(executed.length >= answered, `${executed.length} logged, ${answered} answered`)
    assert.deepEqual(
      executed.filter((text) => !recorded.has(text)),
      [],
    )
    t.diagnostic(`${executed.length} statements in the server's log, all recorded`)
  })

  test('its sessions are shown as ended, and as aborted in the recording', async () => {
    await using gateway = await startTestGateway({ workers: 1, durability: 'process', seed })
    const client = await connect(gateway, 'lost')
    await client.query('select 4711')
    const [pid] = await workerPids(gateway)
    assert.ok(pid !== undefined)
    process.kill(pid, 'SIGKILL')
    await until('the worker is back', async () => {
      const [now] = await workerPids(gateway)
      return now !== undefined && now !== pid
    })
    const later = await connect(gateway, 'later')
    const sessions = await until('the lost session is closed', async () => {
      const list = await listSessions(gateway.gateway.recorded)
      return list.sessions[0]?.closed === undefined ? false : list.sessions
    })
    assert.deepEqual(
      sessions.map(({ closed, commands }) => ({ closed, commands })),
      [
        { closed: 'aborted', commands: 1 },
        { closed: undefined, commands: 0 },
      ],
    )
    const entries: string[] = []
    for await (const item of sessionEntries(gateway.gateway.recorded, sessions[0]?.id ?? '')) {
      entries.push(item.kind === 'entry' && item.verified ? item.entry.kind : item.kind)
    }
    assert.equal(entries.at(-1), 'session.closed')
    assert.ok(!entries.includes('problem'))
    const shown = (await (await gateway.api('GET', '/v1/sessions')).json()) as {
      application: string
      closedAt?: string
    }[]
    assert.ok(shown.find(({ application }) => application === 'lost')?.closedAt !== undefined)
    await later.end()
  })
})
