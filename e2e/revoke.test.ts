import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'
import { after, before, suite, test } from 'node:test'
import { skipReason, until } from '@sallyport/testkit'
import { encodeQuery } from '@sallyport/wire'
import type { Client } from 'pg'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { psql, workerPids } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'
import { WireCaller } from './wire-caller.ts'

const seed = `create table item(n int, note text);
  insert into item select n, 'note ' || n from generate_series(1, 1000) n`

suite('an agent that is taken away', { skip: skipReason(), timeout: 180_000 }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  before(async () => {
    gateway = await startTestGateway({ seed, workers: 2 })
    family = new AgentFamily(gateway)
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  /** A grandchild with an open session, and the agent in between that will be revoked. */
  const grown = async (): Promise<{ middle: TestAgent; leaf: TestAgent; client: Client }> => {
    const root = await family.root()
    const middle = await family.child(root, 'planner')
    const leaf = await family.child(middle, 'scout')
    return { middle, leaf, client: await family.session(leaf) }
  }
  /** What a client reads when its session ends. */
  const lastWords = (client: Client): Promise<Error & { code?: string; detail?: string }> =>
    new Promise((resolve) => client.once('error', resolve))
  const activeAtTarget = async (mark: string): Promise<string> =>
    await gateway.postgres.sql(
      `select count(*) from pg_stat_activity where state <> 'idle' and query like '%${mark}%' and pid <> pg_backend_pid()`,
    )

  test('idle: the session ends, and says who took it away and why', async () => {
    const { middle, client } = await grown()
    const words = lastWords(client)
    const report = await family.revoke(middle, 'wrong branch')
    assert.equal(report.state, 'closed')
    assert.deepEqual(
      report.sessions.map(({ outcome }) => outcome),
      ['idle'],
    )
    const { code, detail } = await words
    assert.equal(code, '57P01')
    assert.match(detail ?? '', /› planner\) was revoked by .* at .*: "wrong branch"/)
  })

  test('a statement in flight is cancelled at the target', async () => {
    const { middle, client } = await grown()
    const running = client.query('select pg_sleep(60) as in_flight_mark').catch((e: unknown) => e)
    await until(
      'the statement to run',
      async () => (await activeAtTarget('in_flight_mark')) === '1',
    )
    const report = await family.revoke(middle)
    assert.deepEqual(
      report.sessions.map(({ outcome }) => outcome),
      ['terminated'],
    )
    assert.ok((await running) instanceof Error)
    await until(
      'its end at the target',
      async () => (await activeAtTarget('in_flight_mark')) === '0',
    )
  })

  test('in a transaction: what was not committed is rolled back', async () => {
    const { middle, client } = await grown()
    await client.query('begin')
    await client.query("insert into item values (-1, 'never')")
    const words = lastWords(client)
    await family.revoke(middle)
    await words
    await until(
      'the roll back',
      async () => (await gateway.postgres.sql('select count(*) from item where n = -1')) === '0',
    )
  })

  test('while a result streams: it stops, and the target with it', async () => {
    const { middle, leaf } = await grown()
    const url = await family.url(leaf)
    const select = "select n as stream_mark, repeat('x', 1000) from generate_series(1, 50000000) n"
    const reading = psql(url, '-XAt', '-o', '/dev/null', '-c', `\\copy (${select}) to /dev/null`)
    await until('the stream to begin', async () => (await activeAtTarget('stream_mark')) === '1')
    await family.revoke(middle)
    const { err } = await reading
    assert.match(err, /revoked/)
    await until('its end at the target', async () => (await activeAtTarget('stream_mark')) === '0')
  })

  test('while it copies in: nothing of the copy stays', async () => {
    const { middle, leaf } = await grown()
    const url = await family.url(leaf)
    const copying = psql(
      url,
      '-X',
      '-c',
      '\\copy item from program \'for i in $(seq 1 20); do echo "-7\\tcopy"; sleep 0.1; done\'',
    )
    await until('the copy to begin', async () => (await activeAtTarget('item')) === '1')
    await family.revoke(middle)
    await copying
    await until(
      'the roll back',
      async () => (await gateway.postgres.sql('select count(*) from item where n = -7')) === '0',
    )
  })

  test('no credential opens a session any more, new or old, and no handle does anything', async () => {
    const { middle, leaf } = await grown()
    const unused = await family.url(leaf)
    await family.revoke(middle, 'gone')
    const { err, code } = await psql(unused, '-c', 'select 1')
    assert.notEqual(code, 0)
    assert.match(err, /revoked|not valid here/)
    for (const [path, body] of [
      ['/v1/agents/self/credentials', { connection: 'shop' }],
      ['/v1/agents/self/children', { name: 'late', allow: ['shop:read'] }],
    ] as const) {
      const { status, answer } = await family.tryAsk('POST', path, body, leaf.handle)
      assert.equal(status, 401, path)
      assert.match(JSON.stringify(answer), /SP_AGENT_REVOKED/)
    }
  })

  test('the parent and siblings go on', async () => {
    const root = await family.root()
    const one = await family.child(root, 'one')
    const two = await family.child(root, 'two')
    const [inRoot, inTwo] = [await family.session(root), await family.session(two)]
    await family.revoke(one)
    assert.equal((await inRoot.query('select 1 as n')).rows.length, 1)
    assert.equal((await inTwo.query('select 1 as n')).rows.length, 1)
    await inRoot.end()
    await inTwo.end()
  })

  test('connections that race with the revocation: none lives on', async () => {
    const root = await family.root()
    const agents = await Promise.all(
      ['a', 'b', 'c', 'd'].map(async (name) => await family.child(root, name)),
    )
    const urls = await Promise.all(
      Array.from({ length: 40 }, async (_, n) => await family.url(agents[n % 4] ?? root)),
    )
    const opened: Client[] = []
    const { Client: PgClient } = await import('pg')
    const storm = urls.map(async (url, n) => {
      await sleep(n * 10)
      const client = new PgClient({
        connectionString: url.replace('?sslmode=require', ''),
        ssl: { rejectUnauthorized: false },
      })
      client.on('error', () => undefined)
      await client.connect()
      opened.push(client)
    })
    const settled = Promise.allSettled(storm)
    await sleep(150)
    await family.revoke(root)
    await settled
    await sleep(300)
    const alive = await Promise.allSettled(
      opened.map(async (client) => await client.query('select 1')),
    )
    assert.deepEqual(
      alive.filter((one) => one.status === 'fulfilled'),
      [],
    )
    assert.ok(opened.length > 0, 'some connections must have come before the revocation')
    assert.ok(opened.length < urls.length, 'and some after it')
  })

  test('frozen: commands wait, new sessions are refused, and what waited runs when it is released', async () => {
    const { middle, leaf, client } = await grown()
    await family.freeze(middle, 'a look')
    let isDone = false
    const waiting = client.query('select 7 as n').then((result) => {
      isDone = true
      return result
    })
    const minting = await family.tryAsk(
      'POST',
      '/v1/agents/self/credentials',
      { connection: 'shop' },
      leaf.handle,
    )
    assert.match(JSON.stringify(minting.answer), /SP_AGENT_FROZEN/)
    await sleep(300)
    assert.equal(isDone, false)
    await family.unfreeze(middle)
    assert.deepEqual((await waiting).rows, [{ n: 7 }])
    await client.end()
  })

  test('frozen and then revoked: what waited never runs', async () => {
    const { middle, client } = await grown()
    await family.freeze(middle)
    const waiting = client.query("insert into item values (-9, 'held')").catch((e: unknown) => e)
    await sleep(100)
    await family.revoke(middle)
    assert.ok((await waiting) instanceof Error)
    assert.equal(await gateway.postgres.sql('select count(*) from item where n = -9'), '0')
  })

  const killWorkers = async (): Promise<void> => {
    const { workers: before } = await gateway.gateway.status()
    for (const pid of await workerPids(gateway)) process.kill(pid, 'SIGKILL')
    await until('the workers to be back', async () => {
      const { workers } = await gateway.gateway.status()
      return workers.every(
        ({ state, restarts }, n) => state === 'ready' && restarts > (before[n]?.restarts ?? 0),
      )
    })
  }

  test('what ran in a worker that was killed is ended at the target, and the report says that it was asked to', async () => {
    const { middle, leaf, client } = await grown()
    const idle = await family.session(leaf)
    const running = client.query('select pg_sleep(60) as of_killed').catch((e: unknown) => e)
    await until('the statement to run', async () => (await activeAtTarget('of_killed')) === '1')
    await killWorkers()
    await running
    assert.equal(await activeAtTarget('of_killed'), '1')
    const report = await family.revoke(middle)
    assert.equal(report.state, 'partial')
    assert.deepEqual(
      report.sessions.map(({ outcome }) => outcome),
      ['cancel-sent', 'cancel-sent'],
    )
    await until('its end at the target', async () => (await activeAtTarget('of_killed')) === '0')
    await idle.end().catch(() => undefined)
  })

  test('what others run goes on when a worker was killed and an agent is frozen or revoked', async () => {
    const root = await family.root()
    const [one, two] = [await family.child(root, 'one'), await family.child(root, 'two')]
    const [inOne, inTwo] = [await family.session(one), await family.session(two)]
    const ended = Promise.allSettled([
      inOne.query('select pg_sleep(60) as of_frozen'),
      inTwo.query('select pg_sleep(60) as of_sibling'),
    ])
    for (const mark of ['of_frozen', 'of_sibling'])
      await until(`${mark} to run`, async () => (await activeAtTarget(mark)) === '1')
    await killWorkers()
    await ended
    await family.freeze(one)
    assert.equal(await activeAtTarget('of_frozen'), '1')
    await family.revoke(one)
    await until('the end of the one', async () => (await activeAtTarget('of_frozen')) === '0')
    assert.equal(await activeAtTarget('of_sibling'), '1')
    await family.revoke(root)
    await until('the end of the other', async () => (await activeAtTarget('of_sibling')) === '0')
  })

  test('workers that do not answer are named in the report, what they ran is ended, and they close when they hear of it', async () => {
    const { middle, client } = await grown()
    const words = lastWords(client)
    const running = client.query('select pg_sleep(60) as of_silent').catch((e: unknown) => e)
    await until('the statement to run', async () => (await activeAtTarget('of_silent')) === '1')
    const pids = await workerPids(gateway)
    for (const pid of pids) process.kill(pid, 'SIGSTOP')
    try {
      const report = await family.revoke(middle)
      assert.equal(report.state, 'unknown')
      assert.deepEqual(
        report.sessions.map(({ outcome }) => outcome),
        ['cancel-sent'],
      )
      await until('its end at the target', async () => (await activeAtTarget('of_silent')) === '0')
    } finally {
      for (const pid of pids) process.kill(pid, 'SIGCONT')
    }
    assert.match(String(await running), /revoked|cancel/u)
    await words
  })
})

suite('an agent with a target behind TLS', { skip: skipReason(), timeout: 60_000 }, () => {
  test('is taken away with all that it had pipelined', async () => {
    await using gateway = await startTestGateway({ seed, targetTls: true, plainText: true })
    const family = new AgentFamily(gateway)
    const agent = await family.root()
    const { username: user, password } = new URL(await family.url(agent))
    const door = { port: gateway.gateway.ports.postgres, user, password }
    await using caller = await WireCaller.open(door)
    const tail = Array.from({ length: 3 }, () =>
      encodeQuery("insert into item values (-5, 'late')"),
    )
    caller.send(encodeQuery('select pg_sleep(30) as behind_tls'), ...tail)
    const active = "select count(*) from pg_stat_activity where state = 'active' and query like"
    await until(
      'the statement to run',
      async () =>
        (await gateway.postgres.sql(`${active} '%behind_tls%' and pid <> pg_backend_pid()`)) ===
        '1',
    )
    await family.revoke(agent)
    await sleep(500)
    assert.equal(await gateway.postgres.sql('select count(*) from item where n = -5'), '0')
  })

  test('is taken away when its worker was killed', async () => {
    await using gateway = await startTestGateway({ seed, targetTls: true })
    const family = new AgentFamily(gateway)
    const agent = await family.root()
    const client = await family.session(agent)
    const running = client.query('select pg_sleep(60) as killed_tls').catch((e: unknown) => e)
    const active =
      "select count(*) from pg_stat_activity where state = 'active' and query like '%killed_tls%' and pid <> pg_backend_pid()"
    await until('the statement to run', async () => (await gateway.postgres.sql(active)) === '1')
    for (const pid of await workerPids(gateway)) process.kill(pid, 'SIGKILL')
    await running
    const report = await family.revoke(agent)
    assert.deepEqual(
      report.sessions.map(({ outcome }) => outcome),
      ['cancel-sent'],
    )
    await until('its end', async () => (await gateway.postgres.sql(active)) === '0')
  })
})
