import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { PGlite } from '@electric-sql/pglite'
import { SharedSync } from '@sallyport/core'
import { createPgConfig } from '@electric-sql/pglite/node-postgres'
import { Kysely, PostgresDialect, sql } from 'kysely'
import pg from 'pg'
import type { Store } from '../ports/store.ts'
import type { Tables } from '../ports/tables/tables.ts'
import { CheckpointGuard } from './checkpoint-guard.ts'
import { takeDataLock } from './data-lock.ts'
import { migrate } from './migrations.ts'
import { poolState } from './pool-state.ts'
import { PgliteThread } from './pglite-thread.ts'
import { FolderSync } from './sync-folder.ts'

/** PGlite has no process that makes checkpoints: without them its log would grow for ever. In segments of 16 MiB. */
const segmentsMax = 3

/** Opens the embedded database in `<dataDir>/store`, for this process alone. */
export async function openPgliteStore(dataDir: string): Promise<Store> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const lock = await takeDataLock(dataDir)
  try {
    return await openLocked(join(dataDir, 'store'), () => lock.release())
  } catch (error) {
    lock.release()
    throw error
  }
}

async function openLocked(dir: string, release: () => void): Promise<Store> {
  const guard = new CheckpointGuard(dir)
  const sync = new FolderSync(dir)
  await guard.undo()
  // Recovery ends with a checkpoint.
  const lite = await guard.around(async () => {
    const opened = await PgliteThread.open(dir)
    await sync.sync()
    return opened
  })
  // One connection: the database is one backend, and a second one would wait for it forever inside a transaction.
  const pool = new pg.Pool({ ...poolConfig(lite), max: 1, idleTimeoutMillis: 0 })
  const db = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  await migrate(db)
  await sync.sync()
  const synced = new SharedSync(() => sync.sync())
  let checkpoint: Promise<void> | undefined
  const checkpointIfDue = (): void => {
    if (checkpoint !== undefined || sync.segmentsSinceCheckpoint < segmentsMax) return
    checkpoint = guard
      .around(async () => {
        await sql`checkpoint`.execute(db)
        await synced.next()
      })
      // The next commit tries again.
      .catch(() => undefined)
      .finally(() => (checkpoint = undefined))
  }
  const { rows } = await sql<{ v: string }>`select current_setting('server_version') as v`.execute(
    db,
  )
  return {
    kind: 'embedded',
    version: `PGlite (PostgreSQL ${rows[0]?.v ?? 'of unknown version'})`,
    db,
    pool: () => poolState(pool),
    async durable(change) {
      const result = await db.transaction().execute(change)
      await synced.next()
      checkpointIfDue()
      return result
    },
    async commit(change) {
      const value = await db.transaction().execute(change)
      const onDisk = synced.next()
      // Whoever waits for it is told of a failure.
      onDisk.catch(() => undefined)
      return { value, onDisk }
    },
    async close() {
      await synced.next().catch(() => undefined)
      await checkpoint
      await db.destroy()
      await guard.around(async () => {
        await lite.close()
        await sync.sync()
      })
      release()
    },
  }
}

/** The bridge stands in for the driver's connection. Its own type names only the fields that it replaces. */
function poolConfig(lite: PgliteThread): pg.PoolConfig {
  return createPgConfig(lite as unknown as PGlite) as unknown as pg.PoolConfig
}
