import assert from 'node:assert/strict'
import { copyFile, cp, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { sql } from 'kysely'
import type { Store } from '../ports/store.ts'
import { openPgliteStore } from './pglite-store.ts'

async function settings(store: Store): Promise<string[]> {
  const rows = await store.db.selectFrom('setting').select('name').orderBy('name').execute()
  return rows.map(({ name }) => name).filter((name) => name.startsWith('test-'))
}

async function write(store: Store, name: string): Promise<void> {
  await store.durable(async (tx) => {
    await tx.insertInto('setting').values({ name, value: '1' }).execute()
  })
}

suite('checkpoints of the embedded store', () => {
  test('where the power fails after pg_control was written and before the data was, nothing is lost', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sallyport-checkpoint-'))
    const store = await openPgliteStore(dir)
    await write(store, 'test-before')
    // The data files as they are on the disk now, and after the checkpoint only its log and its control file.
    const failed = await mkdtemp(join(tmpdir(), 'sallyport-checkpoint-'))
    await cp(join(dir, 'store'), join(failed, 'store'), { recursive: true })
    await sql`checkpoint`.execute(store.db)
    await write(store, 'test-behind')
    const [from, to] = [join(dir, 'store'), join(failed, 'store')]
    await copyFile(join(to, 'global/pg_control'), join(to, 'pg_control.before'))
    await copyFile(join(from, 'global/pg_control'), join(to, 'global/pg_control'))
    await cp(join(from, 'pg_wal'), join(to, 'pg_wal'), { recursive: true })
    await store.close()

    const after = await openPgliteStore(failed)
    assert.deepEqual(await settings(after), ['test-before', 'test-behind'])
    await after.close()
    assert.deepEqual(
      (await readdir(to)).filter((name) => name.startsWith('pg_control')),
      [],
    )
    for (const each of [dir, failed]) await rm(each, { recursive: true })
  })

  test('the log does not grow for ever, and what was written is there after a restart', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'sallyport-checkpoint-'))
    const store = await openPgliteStore(dir)
    await sql`create table filler (n int, text text)`.execute(store.db)
    // About 7 MiB of log each, 280 MiB in all.
    for (let n = 0; n < 40; n += 1)
      await store.durable(async (tx) => {
        await sql`insert into filler select ${n}, repeat(md5(i::text), 18) from generate_series(1, 10000) i`.execute(
          tx,
        )
      })
    const segments = (await readdir(join(dir, 'store/pg_wal'))).filter((name) =>
      /^[0-9A-F]{24}$/u.test(name),
    )
    assert.ok(segments.length <= 14, String(segments.length))
    await store.close()
    const after = await openPgliteStore(dir)
    const { rows } = await sql<{
      count: string
    }>`select count(*)::text as count from filler`.execute(after.db)
    assert.equal(rows[0]?.count, '400000')
    await after.close()
    await rm(dir, { recursive: true })
  })
})
