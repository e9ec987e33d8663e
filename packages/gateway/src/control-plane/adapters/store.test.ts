import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync, writeFileSync, chmodSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { sql } from 'kysely'
import { SallyportError } from '@sallyport/core'
import type { Store } from '../ports/store.ts'
import { openPgliteStore } from './pglite-store.ts'
import { openPostgresStore } from './postgres-store.ts'

const bin = ['18', '17', '16', '15']
  .map((v) => `/usr/lib/postgresql/${v}/bin`)
  .find((dir) => existsSync(`${dir}/initdb`))

/** PostgreSQL refuses to run as root. */
function run(command: string, args: readonly string[]): void {
  if (process.getuid?.() !== 0) execFileSync(command, args, { stdio: 'ignore' })
  else
    execFileSync(
      'setpriv',
      ['--reuid=postgres', '--regid=postgres', '--clear-groups', command, ...args],
      { stdio: 'ignore' },
    )
}

suite('the embedded store', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-store-'))
  after(() => rmSync(dir, { recursive: true, force: true }))
  sharedTests(() => openPgliteStore(dir))

  test('refuses a folder that a living process holds, and names the process', async () => {
    const store = await openPgliteStore(dir)
    await assert.rejects(openPgliteStore(dir), (error: unknown) => {
      assert.ok(error instanceof SallyportError)
      assert.equal(error.code, 'SP_STORE_LOCKED')
      assert.match(error.message, new RegExp(`process ${process.pid}$`))
      return true
    })
    await store.close()
    assert.equal(existsSync(join(dir, 'lock')), false)
  })

  test('a statement that computes for long holds up nothing else of this process', async () => {
    const store = await openPgliteStore(dir)
    let isAnswered = false
    const answer = sql`select count(*) from generate_series(1, 2000000)`.execute(store.db)
    const answered = answer.finally(() => (isAnswered = true))
    let turns = 0
    while (!isAnswered) {
      turns += 1
      await new Promise((resolve) => setTimeout(resolve, 1))
    }
    await answered
    assert.ok(turns > 20, String(turns))
    await store.close()
    await assert.rejects(sql`select 1`.execute(store.db))
  })

  test('says why a folder cannot be opened, and frees it', async () => {
    const other = mkdtempSync(join(tmpdir(), 'sallyport-store-'))
    writeFileSync(join(other, 'store'), 'no folder')
    await assert.rejects(openPgliteStore(other), /store/)
    assert.equal(existsSync(join(other, 'lock')), false)
    rmSync(other, { recursive: true })
  })

  test('takes over the lock of a process that is gone', async () => {
    writeFileSync(join(dir, 'lock'), '4194999 1\n')
    const store = await openPgliteStore(dir)
    assert.match(readFileSync(join(dir, 'lock'), 'utf8'), new RegExp(`^${process.pid} `))
    await store.close()
  })
})

suite(
  'the store on a server',
  { skip: bin === undefined ? 'needs the Debian package postgresql' : false },
  () => {
    const dir = mkdtempSync(join(tmpdir(), 'sallyport-server-'))
    const data = join(dir, 'data')
    before(() => {
      chmodSync(dir, 0o777)
      run(`${bin}/initdb`, ['-D', data, '-U', 'sallyport', '-A', 'trust', '--no-sync'])
      run(`${bin}/pg_ctl`, [
        '-D',
        data,
        '-w',
        '-l',
        join(dir, 'log'),
        '-o',
        `-c listen_addresses= -k ${dir}`,
        'start',
      ])
    })
    after(() => {
      run(`${bin}/pg_ctl`, ['-D', data, '-m', 'immediate', 'stop'])
      rmSync(dir, { recursive: true, force: true })
    })
    sharedTests(() =>
      openPostgresStore(`postgresql://sallyport@/postgres?host=${encodeURIComponent(dir)}`),
    )
  },
)

function sharedTests(open: () => Promise<Store>): void {
  test('keeps what was committed over a restart', async () => {
    const written = await open()
    await written.durable(async (tx) => {
      await tx
        .insertInto('setting')
        .values({ name: 'kept', value: JSON.stringify([1, { a: 'b' }]) })
        .execute()
    })
    await written.close()
    const read = await open()
    const row = await read.db
      .selectFrom('setting')
      .selectAll()
      .where('name', '=', 'kept')
      .executeTakeFirst()
    assert.deepEqual(row?.value, [1, { a: 'b' }])
    await read.close()
  })

  test('a change that throws leaves nothing behind', async () => {
    const store = await open()
    const failing = store.durable(async (tx) => {
      await tx.insertInto('setting').values({ name: 'half', value: '1' }).execute()
      throw new Error('halfway')
    })
    await assert.rejects(failing, /halfway/)
    const rows = await store.db
      .selectFrom('setting')
      .selectAll()
      .where('name', '=', 'half')
      .execute()
    assert.deepEqual(rows, [])
    await store.close()
  })

  test('changes that come at once all commit', async () => {
    const store = await open()
    const names = Array.from({ length: 20 }, (_, index) => `n${index}`)
    await Promise.all(
      names.map((name) =>
        store.durable((tx) => tx.insertInto('setting').values({ name, value: '1' }).execute()),
      ),
    )
    const rows = await store.db
      .selectFrom('setting')
      .select('name')
      .where('name', 'in', names)
      .execute()
    assert.equal(rows.length, names.length)
    await store.close()
  })
}
