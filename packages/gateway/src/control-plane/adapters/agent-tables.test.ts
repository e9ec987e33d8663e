import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { PGlite } from '@electric-sql/pglite'
import { createPgConfig } from '@electric-sql/pglite/node-postgres'
import { skipReason, startPostgres } from '@sallyport/testkit'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import pg from 'pg'
import { MemoryLedger } from '../ledger/memory-ledger.fixture.ts'
import { AgentService } from '../agents/agent-service.ts'
import type { Store } from '../ports/store.ts'
import { migrations } from './migrations.ts'
import { openPgliteStore } from './pglite-store.ts'
import { openPostgresStore } from './postgres-store.ts'

const scram = { salt: 'c2FsdA==', iterations: 4096, storedKey: 'a2V5', serverKey: 'a2V5' }

/** What the version before agents had written: one credential that lives, and one that does not. */
async function writeFirstVersion(pool: pg.Pool): Promise<void> {
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  const provider = { getMigrations: async () => ({ '0001_first': migrations['0001_first'] }) }
  const { error } = await new Migrator({ db, provider }).migrateToLatest()
  assert.equal(error, undefined)
  await sql`
    insert into connection values ('orders', 'postgres', '{}', 'db', 5432, 'app', 'orders', 'off',
      null, 'auto', 'masked', '[]', now())`.execute(db)
  await sql`insert into principal values ('user:Dana', 'human', 'Dana', '[]')`.execute(db)
  for (const [name, end] of [
    ['live', `now() + interval '1 hour'`],
    ['over', `now() - interval '1 minute'`],
  ] as const) {
    const expires = sql.raw(end)
    await sql`
      insert into agent values (${`a_${name}`}, null, ${`a_${name}`}, 0, 'Dana', 'user:Dana',
        '[{"connections": ["orders"], "classes": ["read"], "dimensions": {}}]',
        now() - interval '1 hour', ${expires})`.execute(db)
    await sql`
      insert into credential values (${name}, 'orders', ${`a_${name}`}, ${JSON.stringify(scram)},
        'digest', ${expires}, now())`.execute(db)
  }
  await db.destroy()
}

async function checkTakenOver(store: Store): Promise<void> {
  const service = await AgentService.open(store, {
    ledger: new MemoryLedger(),
    onFault: assert.ifError,
  })
  assert.equal(service.get('a_live')?.state, 'active')
  assert.deepEqual(service.get('a_live')?.grant, ['orders:read'])
  assert.deepEqual(service.get('a_live')?.chain, ['Dana'])
  assert.equal(service.get('a_over')?.state, 'expired')
  const { credentials } = service.changesSince(0)
  assert.deepEqual(credentials.map(({ id }) => id).toSorted(), ['live', 'over'])
  assert.deepEqual(credentials[0]?.scram, scram)
  const request = { connection: 'orders', source: '::1', application: '', database: 'orders' }
  const ids = { session: 's_1' as never, credential: 'live' as never, agent: 'a_live' as never }
  assert.equal((await service.admit({ ...request, ...ids }, 0)).kind, 'admitted')
  await service.spawn('a_live', { name: 'x', layers: [], born: 'mint', handle: true })
  await service.stop()
  await store.close()
}

suite('a store of the version before agents', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-before-'))
  after(() => rmSync(dir, { recursive: true, force: true }))

  test('its credentials still open sessions, embedded', async () => {
    const lite = await PGlite.create(join(dir, 'store'))
    const config = createPgConfig(lite) as unknown as pg.PoolConfig
    await writeFirstVersion(new pg.Pool({ ...config, max: 1 }))
    await lite.close()
    await checkTakenOver(await openPgliteStore(dir))
  })

  test('its credentials still open sessions, on a server', { skip: skipReason() }, async () => {
    await using server = await startPostgres()
    const url = `postgresql://postgres:${server.password}@${server.host}:${server.port}/postgres`
    await writeFirstVersion(new pg.Pool({ connectionString: url }))
    await checkTakenOver(await openPostgresStore(url))
  })
})
