import { SallyportError } from '@sallyport/core'
import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import type { Store } from '../ports/store.ts'
import type { Tables } from '../ports/tables/tables.ts'
import { migrate } from './migrations.ts'
import { poolState } from './pool-state.ts'

/** Few control-plane calls run at once; a small pool leaves the server's connections to others. */
const connectionsMax = 8
const connectMsMax = 10_000

/** Opens the store in a PostgreSQL database that the operator runs. */
export async function openPostgresStore(databaseUrl: string): Promise<Store> {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: connectionsMax,
    connectionTimeoutMillis: connectMsMax,
  })
  // Without a listener, a server that goes away while a connection is idle would end the process. The next query reports it.
  pool.on('error', () => undefined)
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  try {
    await migrate(db)
    const { rows } = await sql<{
      v: string
    }>`select current_setting('server_version') as v`.execute(db)
    return {
      kind: 'server',
      version: `PostgreSQL ${rows[0]?.v ?? 'of unknown version'}`,
      db,
      pool: () => poolState(pool),
      // A server syncs its own log before it answers a commit.
      durable: async (change) => db.transaction().execute(change),
      commit: async (change) => ({
        value: await db.transaction().execute(change),
        onDisk: Promise.resolve(),
      }),
      close: async () => db.destroy(),
    }
  } catch (cause) {
    await db.destroy()
    throw new SallyportError('SP_INTERNAL', 'the database of the control plane cannot be used', {
      cause,
    })
  }
}
