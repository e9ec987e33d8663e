import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, suite, test } from 'node:test'
import { PGlite } from '@electric-sql/pglite'
import { pg_trgm } from '@electric-sql/pglite/contrib/pg_trgm'
import { createPgConfig } from '@electric-sql/pglite/node-postgres'
import { Kysely, PostgresDialect, sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import pg from 'pg'
import { searchSessions } from '../recordings/index/query/search-sessions.ts'
import { sessionTerms } from '../recordings/index/terms.ts'
import { migrations } from './migrations.ts'
import { openPgliteStore } from './pglite-store.ts'

const chain = [
  { id: 'a_root', name: 'dana' },
  { id: 'a_child', name: 'it\'s "x" › y' },
]
const long = 'n'.repeat(300)

/** What the version before wrote: words of sessions stood with each command. */
async function writeBefore(dir: string): Promise<void> {
  const lite = await PGlite.create(dir, { extensions: { pg_trgm } })
  const config = createPgConfig(lite) as unknown as pg.PoolConfig
  const pool = new pg.Pool({ ...config, max: 1 })
  const db = new Kysely<unknown>({ dialect: new PostgresDialect({ pool }) })
  const before = Object.fromEntries(Object.entries(migrations).filter(([name]) => name < '0017'))
  const provider = { getMigrations: async () => await Promise.resolve(before) }
  const { error } = await new Migrator({ db, provider }).migrateToLatest()
  assert.equal(error, undefined)
  const insert = async (id: string, path: string[] | null, level: number | null): Promise<void> => {
    const names =
      path === null ? ['dana'] : path.map((each) => chain.find((a) => a.id === each)?.name ?? long)
    await sql`insert into session (id, worker, connection, database, credential, chain, application,
        source, opened_at, path, level)
      values (${id}, 0, 'shop', 'd', 'c', ${JSON.stringify(names)}::jsonb, '', '',
        '2026-11-20T10:00:00Z', ${path}::text[], ${level}::integer)`.execute(db)
  }
  await insert('s_two', ['a_root', 'a_child'], 3)
  await insert('s_long', ['a_long'], 0)
  await insert('s_old', null, null)
  await sql`create table command_2026_11_20 partition of command
    for values from ('2026-11-20 00:00Z') to ('2026-11-21 00:00Z')`.execute(db)
  await sql`insert into command_day (day, commands) values ('2026-11-20', 1)`.execute(db)
  await sql`
    insert into command values ('2026-11-20T10:00:01Z', 's_two', '0-1-1', 1, 'c_1', 'allowed', '{}',
      'read', 'select', '[]', 'select 1', 8, null, null, 0, 0, '{}', '{}', '{}',
      '{c:shop,v:allowed,T:dana,b:select}')`.execute(db)
  await sql`insert into search_term (term) values ('g:a_child'), ('t:a_child')`.execute(db)
  await db.destroy()
  await lite.close()
}

suite('a store of the version before words stood with sessions', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-before-'))
  after(() => rmSync(dir, { recursive: true, force: true }))

  test('has the words of its sessions afterwards, and finds what it found', async () => {
    await writeBefore(join(dir, 'store'))
    const store = await openPgliteStore(dir)
    try {
      const rows = await store.db.selectFrom('session').select(['id', 'terms']).execute()
      const words = new Map(rows.map(({ id, terms }) => [id, terms.toSorted()]))
      const wanted = sessionTerms({ chain, connection: 'shop', level: 3 })
      assert.deepEqual(words.get('s_two'), wanted.toSorted())
      const ofLong = { chain: [{ id: 'a_long', name: long }], connection: 'shop', level: 0 }
      assert.deepEqual(words.get('s_long'), sessionTerms(ofLong).toSorted())
      assert.deepEqual(words.get('s_old'), ['G:dana', 'T:dana', 'U:dana', 'c:shop', 'l:0'])
      const found = async (query: string): Promise<string[]> => {
        const page = await searchSessions(store.db, { query, limit: 5 }, Date.now())
        return page.sessions.map(({ id }) => id)
      }
      for (const query of ['tree:dana verb:select', 'agent:a_child', 'level:L3', 'connection:shop'])
        assert.deepEqual(await found(query), ['s_two'], query)
      assert.deepEqual(await found('agent:dana'), [])
    } finally {
      await store.close()
    }
  })
})
