import { readFileSync } from 'node:fs'
import { Client } from 'pg'
import { startTestGateway, type TestGateway } from '../../e2e/test-gateway.ts'
import { Lane } from '../lane.ts'
import { makeWorld, type Secret, type WorldName } from './values.ts'

const corpus = new URL('../../corpus/bypass/postgres/', import.meta.url)

/** A gateway before one server with both worlds of the shop, each a database that others are copied from. */
export interface Shop extends AsyncDisposable {
  readonly gateway: TestGateway
  /** What must not reach a caller: the masked values of both worlds. */
  readonly secrets: readonly Secret[]
  /** Runs SQL as the superuser, past the gateway, and returns the rows as text. */
  admin(database: string, sql: string): Promise<string[][]>
  /** Opens a session in a database, through the gateway or past it. */
  enter(way: 'gateway' | 'direct', database: string): Promise<Lane>
  /** Makes a database anew, as a copy of a world. */
  copy(world: WorldName, database: string): Promise<void>
}

export interface ShopOptions {
  /** Major version of the target; see `postgresBinaries`. */
  readonly server?: string
  readonly policy?: string
  /** Who masks: the gateway, by what a statement reads (the default), or the target. */
  readonly tier?: 'lineage' | 'guard'
  /** Lines of postgresql.conf. */
  readonly config?: readonly string[]
}

export async function startShop(options: ShopOptions = {}): Promise<Shop> {
  await using undo = new AsyncDisposableStack()
  const gateway = await startTestGateway({
    policy: options.policy ?? readFileSync(new URL('policy.yaml', corpus), 'utf8'),
    plainText: true,
    // What other sessions do must not change where a row stands.
    postgresConfig: ['autovacuum = off', `log_statement = 'none'`, ...(options.config ?? [])],
    ...(options.server === undefined ? {} : { server: options.server }),
  })
  undo.defer(async () => await gateway[Symbol.asyncDispose]())
  const { port } = gateway.postgres
  const login = { host: '127.0.0.1', port, user: 'app', password: 'app-password' }
  const server = new Client({ ...login, database: 'postgres' })
  await server.connect()
  undo.defer(async () => await server.end())
  const inTurn = queue()
  const admin = async (database: string, sql: string): Promise<string[][]> => {
    if (database === 'postgres') return await inTurn(async () => await rowsOf(server, sql))
    const client = new Client({ ...login, database })
    await client.connect()
    try {
      return await rowsOf(client, sql)
    } finally {
      await client.end()
    }
  }
  await admin('postgres', 'create database shop_base')
  await admin('shop_base', readFileSync(new URL('schema.sql', corpus), 'utf8'))
  if (options.tier === 'guard') await guardShop(gateway)
  const worlds = { a: makeWorld('a'), b: makeWorld('b') }
  const copy = async (world: WorldName, database: string): Promise<void> => {
    await admin('postgres', `drop database if exists ${database} with (force)`)
    await admin('postgres', `create database ${database} template shop_${world}`)
  }
  for (const world of ['a', 'b'] as const) {
    await admin('postgres', `create database shop_${world} template shop_base`)
    await admin(`shop_${world}`, worlds[world].statements.join(';\n'))
    // Else the first read of a copy would clean its pages, which looks like a write.
    await admin(`shop_${world}`, 'vacuum (freeze)')
  }
  const credential = await gateway.credential()
  const enter = async (way: 'gateway' | 'direct', database: string): Promise<Lane> =>
    way === 'direct'
      ? await Lane.open({ port, user: login.user, password: login.password, database })
      : await Lane.open({
          port: gateway.gateway.ports.postgres,
          user: credential.user,
          password: credential.secret,
          database,
        })
  const owned = undo.move()
  return {
    gateway,
    secrets: [...worlds.a.secrets, ...worlds.b.secrets],
    admin,
    copy,
    enter,
    [Symbol.asyncDispose]: async () => await owned.disposeAsync(),
  }
}

/** The masks are made in the database that the worlds are copied from, and so are in each of them. */
async function guardShop(gateway: TestGateway): Promise<void> {
  const { postgres } = gateway
  const ask = async (method: string, path: string, body: object): Promise<string> => {
    const answer = await gateway.api(method, path, body)
    const text = await answer.text()
    if (!answer.ok || text.includes('"failed"')) throw new Error(`${method} ${path}: ${text}`)
    return text
  }
  await ask('POST', '/v1/connections', {
    name: 'shop',
    host: '127.0.0.1',
    port: postgres.port,
    user: 'app',
    password: 'app-password',
    database: 'shop_base',
    labels: { env: 'prod' },
    tls: 'off',
  })
  const setup = { user: postgres.user, password: postgres.password }
  const request = { action: 'apply', setup, closePublic: true, writes: 'clean' }
  await ask('POST', '/v1/connections/shop/guard', request)
  await ask('PATCH', '/v1/connections/shop', { masking: 'guard' })
}

/** One after the other, in the order of asking. */
function queue(): <Result>(task: () => Promise<Result>) => Promise<Result> {
  let last: Promise<unknown> = Promise.resolve()
  return async (task) => {
    const mine = last.then(task, task)
    last = mine.catch(() => undefined)
    return await mine
  }
}

async function rowsOf(client: Client, sql: string): Promise<string[][]> {
  const result: unknown = await client.query({ text: sql, rowMode: 'array' })
  const last: unknown = Array.isArray(result) ? result.at(-1) : result
  const rows = (last as { rows?: unknown[][] } | undefined)?.rows ?? []
  return rows.map((row) => row.map(String))
}
