import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import pg from 'pg'
import { cardNumber, DEMO_ROWS } from './demo-data.ts'
import { startDemoTarget, type DemoTarget } from './demo-target.ts'

let target: DemoTarget
let dataDir: string

before(async () => {
  dataDir = await mkdtemp(join(tmpdir(), 'sallyport-demo-'))
  target = await startDemoTarget({ dataDir, port: 0 })
})

after(async () => {
  await target.close()
  await rm(dataDir, { recursive: true })
})

async function connect(password = target.password): Promise<pg.Client> {
  const { host, port, user, database } = target
  const session = new pg.Client({ host, port, user, database, password })
  // A session that a test ends on purpose reports it here as well.
  session.on('error', () => {})
  await session.connect()
  return session
}

async function count(session: pg.Client, sql: string): Promise<number> {
  const { rows } = await session.query<{ n: string }>(`select count(*) as n from ${sql}`)
  return Number(rows[0]?.n)
}

test('the shop holds the orders that its pages promise', async () => {
  const session = await connect()
  assert.equal(await count(session, 'orders'), DEMO_ROWS.orders)
  assert.equal(await count(session, `orders where status = 'stale'`), DEMO_ROWS.staleOrders)
  assert.equal(await count(session, 'customers'), DEMO_ROWS.customers)
  await session.end()
})

test('a wrong password is refused', async () => {
  await assert.rejects(connect('wrong'), { code: '28P01' })
})

test('a transaction of one session keeps the others waiting and invisible to it', async () => {
  const [first, second] = [await connect(), await connect()]
  await first.query('begin; update orders set total = 7 where id = 1')
  const seen = second.query<{ total: string }>('select total from orders where id = 1')
  await first.query('rollback')
  assert.notEqual((await seen).rows[0]?.total, '7.00')
  await Promise.all([first.end(), second.end()])
})

test('a session that drops inside a transaction rolls back and lets the next one in', async () => {
  const [first, second] = [await connect(), await connect()]
  await first.query('begin; delete from order_items')
  const seen = count(second, 'order_items')
  const { stream } = (first as unknown as { connection: { stream: { destroy(): void } } })
    .connection
  stream.destroy()
  assert.equal(await seen, 2000)
  await second.end()
})

test('settings and prepared statements of two sessions stay apart', async () => {
  const [first, second] = [await connect(), await connect()]
  const zone = async (session: pg.Client): Promise<unknown> =>
    (await session.query<Record<string, string>>('show timezone')).rows[0]?.['TimeZone']
  await first.query(`set timezone = 'Asia/Tokyo'`)
  const before = await zone(second)
  assert.notEqual(before, 'Asia/Tokyo')
  assert.equal(await zone(first), 'Asia/Tokyo')
  const one = await first.query<{ v: number }>({ name: 'same', text: 'select 1 as v' })
  const two = await second.query<{ v: number }>({ name: 'same', text: 'select 2 as v' })
  assert.deepEqual([one.rows[0]?.v, two.rows[0]?.v], [1, 2])
  await Promise.all([first.end(), second.end()])
})

test('an error leaves the session usable', async () => {
  const session = await connect()
  await assert.rejects(session.query('select 1/0'), { code: '22012' })
  await assert.rejects(session.query('select $1::int / 0', [1]), { code: '22012' })
  assert.equal(await count(session, 'customers'), DEMO_ROWS.customers)
  await session.end()
})

test('a COPY whose caller gives up fails alone', async () => {
  const session = await connect()
  // The driver answers every CopyInResponse with CopyFail.
  await assert.rejects(session.query('copy order_items from stdin'), { code: '57014' })
  assert.equal(await count(session, 'customers'), DEMO_ROWS.customers)
  await session.end()
})

test('card numbers pass the Luhn check', () => {
  assert.equal(cardNumber(1), '4111111110079194')
  const sum = Array.from(cardNumber(77)).reduce((total, digit, index) => {
    const value = index % 2 === 0 ? Number(digit) * 2 : Number(digit)
    return total + (value > 9 ? value - 9 : value)
  }, 0)
  assert.equal(sum % 10, 0)
})
