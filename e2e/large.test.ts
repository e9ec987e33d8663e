import assert from 'node:assert/strict'
import { after, before, suite, test, type TestContext } from 'node:test'
import type { Client } from 'pg'
import { skipReason } from '@sallyport/testkit'
import { BulkCaller, bulkLogin, openClient } from './bulk-caller.ts'
import { isLarge, workersMemory } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const mebibyte = 1024 * 1024

/** Rows of the transfers hold this many bytes of values. */
const rowBytes = 1000

const transferMegabytes = isLarge ? 1000 : 256

/** A worker may grow by this much while a transfer passes: its heap comes to working size, and what is under way is held. */
const growthMaxMiB = 128

/** Idle sessions may grow every worker's heap once by this much, whatever their number. */
const heapGrowthMiB = 32

const masks = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: masks}
spec:
  owner: group:test
  rules:
    - name: mask-secret
      on: sql
      when: "true"
      effect: mask
      mask:
        - {columns: ["*.secret"], with: redact}
`

const seed = `
  create unlogged table people(id int, secret text, open text);
  create unlogged table arrived(id int, secret text, open text);
  insert into people select i, 'clear-' || i, repeat('x', ${rowBytes - 10})
    from generate_series(1, 1000) i;`

for (const tls of [false, true]) {
  const secured = tls ? 'over TLS' : 'in plain text'

  suite(`transfers ${secured} in bounded memory`, { skip: skipReason() }, () => {
    let gateway: TestGateway
    let caller: BulkCaller
    let clearSeen = 0
    before(async () => {
      gateway = await startTestGateway({ seed, policy: masks, plainText: true })
      caller = await BulkCaller.open(gateway, await bulkLogin(gateway, tls), (chunk) => {
        if (chunk.includes('clear-')) clearSeen += 1
      })
    })
    after(async () => {
      caller.end()
      await gateway[Symbol.asyncDispose]()
    })

    for (const column of ['open', 'secret, open']) {
      test(`a result of ${transferMegabytes} MB: ${column}`, async (t) => {
        const outcome = await bounded(t, gateway, `select ${column} ${secured}`, async () =>
          caller.query(`select ${column} from people, generate_series(1, ${transferMegabytes})`),
        )
        const rows = transferMegabytes * 1000
        assert.deepEqual([outcome.error, outcome.rows, clearSeen], [undefined, rows, 0])
        assert.ok(outcome.bytes > rows * (rowBytes - 10), `${outcome.bytes} bytes`)
      })
    }

    test(`a COPY of ${transferMegabytes} MB from the caller, and back with a mask`, async (t) => {
      const row = `7\tclear-7\t${'y'.repeat(rowBytes - 11)}\n`
      const piece = Buffer.from(row.repeat(64))
      const pieces = Math.ceil((transferMegabytes * 1000) / 64)
      const sent = await bounded(t, gateway, `COPY in ${secured}`, async () =>
        caller.copyIn('copy arrived from stdin', repeated(piece, pieces)),
      )
      assert.equal(sent.error, undefined)
      const counted = await gateway.postgres.sql('select count(*), sum(length(open)) from arrived')
      assert.equal(counted.trim(), `${pieces * 64}|${pieces * 64 * (rowBytes - 11)}`)
      const back = await bounded(t, gateway, `masked COPY out ${secured}`, async () =>
        caller.query('copy arrived to stdout'),
      )
      assert.deepEqual([back.error, clearSeen], [undefined, 0])
      assert.ok(back.bytes > pieces * 64 * (rowBytes - 11), `${back.bytes} bytes`)
    })
  })
}

suite('large messages', { skip: skipReason() }, () => {
  let gateway: TestGateway
  before(async () => {
    gateway = await startTestGateway({ seed, plainText: true })
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  test('a statement over the limit of 64 MiB ends its session with its code, and no other', async (t) => {
    const neighbour = await openClient(gateway, await bulkLogin(gateway, true))
    const caller = await BulkCaller.open(gateway, await bulkLogin(gateway, false))
    const outcome = await bounded(t, gateway, 'a statement over the limit', async () =>
      caller.query(`select '${'x'.repeat(64 * mebibyte)}'`),
    )
    assert.match(outcome.error ?? '', /SP_MESSAGE_TOO_LARGE/)
    assert.equal((await neighbour.query('select 1 as one')).rows[0].one, 1)
    await neighbour.end()
  })

  test('a statement too long to be judged is refused, and its session goes on', async (t) => {
    const caller = await BulkCaller.open(gateway, await bulkLogin(gateway, false))
    const outcome = await bounded(
      t,
      gateway,
      'a statement of 60 MiB',
      async () => caller.query(`select '${'x'.repeat(60 * mebibyte)}'`),
      copiesOfMessage * 60,
    )
    assert.match(outcome.error ?? '', /SP_EFFECT_UNKNOWN/)
    assert.equal((await caller.query('select 1')).rows, 1)
    caller.end()
  })

  test('a value of 60 MiB arrives', async (t) => {
    const client = await openClient(gateway, await bulkLogin(gateway, true))
    const value = 'v'.repeat(60 * mebibyte)
    const { rows } = await bounded(
      t,
      gateway,
      'a parameter of 60 MiB',
      async () => client.query('select length($1::text) as n', [value]),
      copiesOfMessage * 60,
    )
    assert.equal(rows[0].n, 60 * mebibyte)
    await client.end()
  })
})

/** While a message arrives and is judged, recorded and passed on, so many copies of it may stand side by side. */
const copiesOfMessage = 8

suite('many idle sessions', { skip: skipReason() }, () => {
  const idle = isLarge ? 2000 : 200
  const workers = isLarge ? 3 : 1
  /** Enough to bring a worker's heap to working size before anything is measured. */
  const earlier = 100

  for (const { tls, kibibytesMax } of [
    { tls: false, kibibytesMax: 32 },
    { tls: true, kibibytesMax: 96 },
  ]) {
    test(`${idle} sessions ${tls ? 'over TLS' : 'in plain text'} cost little and stay usable`, async (t) => {
      await using gateway = await startTestGateway({
        workers,
        plainText: true,
        postgresConfig: [`max_connections = ${idle + earlier + 20}`],
      })
      const login = await bulkLogin(gateway, tls)
      const clients: Client[] = []
      const openUpTo = async (count: number): Promise<void> => {
        while (clients.length < count) {
          const batch = Array.from({ length: 10 }, async () => await openClient(gateway, login))
          clients.push(...(await Promise.all(batch)))
        }
      }
      await openUpTo(earlier)
      const memoryBefore = await workersMemory(gateway)
      await openUpTo(earlier + idle)
      const grown = (await workersMemory(gateway)) - memoryBefore
      t.diagnostic(`${idle} sessions: ${Math.round((grown / idle) * 1024)} KiB each`)
      const grownMax = heapGrowthMiB * workers + (idle * kibibytesMax) / 1024
      assert.ok(grown < grownMax, `grew by ${Math.round(grown)} of ${Math.round(grownMax)} MiB`)
      for (const client of clients) {
        assert.equal((await client.query('select 1 as one')).rows[0].one, 1)
      }
      await Promise.all(clients.map(async (client) => await client.end()))
    })
  }
})

/** Runs `act` and holds the growth of the workers against a bound. */
async function bounded<T>(
  t: TestContext,
  gateway: TestGateway,
  what: string,
  act: () => Promise<T>,
  boundMiB = growthMaxMiB,
): Promise<T> {
  const memoryBefore = await workersMemory(gateway)
  let peak = memoryBefore
  const look = async (): Promise<void> => {
    peak = Math.max(peak, await workersMemory(gateway))
  }
  const watch = setInterval(() => void look(), 50)
  const startedMs = Date.now()
  try {
    const outcome = await act()
    const tookMs = Date.now() - startedMs
    await look()
    const memoryAfter = await workersMemory(gateway)
    const [from, to, now] = [memoryBefore, peak, memoryAfter].map(Math.round)
    t.diagnostic(`${what}: ${from} MiB before, ${to} at the peak, ${now} after, ${tookMs} ms`)
    assert.ok(peak - memoryBefore < boundMiB, `${what}: grew by ${Math.round(peak - memoryBefore)}`)
    return outcome
  } finally {
    clearInterval(watch)
  }
}

function* repeated(piece: Buffer, times: number): Generator<Buffer> {
  for (let each = 0; each < times; each += 1) yield piece
}
