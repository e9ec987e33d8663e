import assert from 'node:assert/strict'
import { once } from 'node:events'
import { pipeline } from 'node:stream/promises'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, before, suite, test } from 'node:test'
import pg from 'pg'
import postgres from 'postgres'
import { skipReason, until } from '@sallyport/testkit'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: guard}
spec:
  owner: group:test
  rules:
    - name: no-drop
      on: sql
      when: op.verb == "drop"
      effect: block
      message: "Nothing is dropped here."
`

const policyAfter = policy.replace('op.verb == "drop"', 'op.verb in ["drop", "delete"]')

const seed = `
create table items(id int primary key, name text, price numeric, data bytea, tags text[], made timestamptz, doc jsonb);
insert into items select g, 'item ' || g, g * 1.25, decode(lpad(to_hex(g), 4, '0'), 'hex'), array['a', 'b' || g],
  '2024-01-02 03:04:05Z', jsonb_build_object('g', g) from generate_series(1, 500) g;
create table pile(id int, name text);
create table victims(id int);
insert into victims values (1), (2);
`

interface Login {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
}

suite('drivers through the gateway', { skip: skipReason(), timeout: 240_000 }, () => {
  let gateway: TestGateway
  let direct: Login
  let through: Login

  before(async () => {
    gateway = await startTestGateway({ policy, seed })
    const { port, database } = gateway.postgres
    direct = { host: '127.0.0.1', port, user: 'app', password: 'app-password', database }
    const { user, secret } = await gateway.credential()
    through = { ...direct, port: gateway.gateway.ports.postgres, user, password: secret }
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  const ssl = (login: Login): false | { rejectUnauthorized: false } =>
    login === through ? { rejectUnauthorized: false } : false

  const withPg = async <Result>(
    login: Login,
    work: (db: pg.Client) => Promise<Result>,
    more: pg.ClientConfig = {},
  ): Promise<Result> => {
    const db = new pg.Client({ ...login, ssl: ssl(login), ...more })
    await db.connect()
    try {
      return await work(db)
    } finally {
      await db.end()
    }
  }

  const withPostgresJs = async <Result>(
    login: Login,
    work: (sql: postgres.Sql) => Promise<Result>,
    more: postgres.Options<Record<string, never>> = {},
  ): Promise<Result> => {
    const { password, host, port, user, database } = login
    const sql = postgres({
      host,
      port,
      user,
      password,
      database,
      ssl: ssl(login),
      max: 1,
      onnotice: () => undefined,
      ...more,
    })
    try {
      return await work(sql)
    } finally {
      await sql.end({ timeout: 5 })
    }
  }

  /** Runs the same work straight at the server and through the gateway, and compares what it returns. */
  const sameWithPg = async (
    work: (db: pg.Client) => Promise<unknown>,
    more: pg.ClientConfig = {},
  ): Promise<void> => {
    const expected = await withPg(direct, work, more)
    assert.deepEqual(await withPg(through, work, more), expected)
  }

  const sameWithPostgresJs = async (
    work: (sql: postgres.Sql) => Promise<unknown>,
  ): Promise<void> => {
    const expected = await withPostgresJs(direct, work)
    assert.deepEqual(await withPostgresJs(through, work), expected)
  }

  test('pg: simple queries, several statements in one string', async () => {
    await sameWithPg(async (db) => [
      shape(await db.query('select * from items order by id limit 20')),
      shapes(
        await db.query(
          "select 1 as a; select 'x' as b, null as c; select id from items where id < 3",
        ),
      ),
      shape(await db.query('')),
    ])
  })

  test('pg: parameters of every kind', async () => {
    await sameWithPg(async (db) =>
      shape(
        await db.query(
          'select $1::int a, $2::text b, $3::bytea c, $4::text[] d, $5::jsonb e, $6::timestamptz f, $7::numeric g, $8::text h',
          [
            7,
            'ü€😀',
            Buffer.from([0, 255, 1]),
            ['x', 'y"z'],
            { k: [1] },
            new Date(0),
            '1.50',
            null,
          ],
        ),
      ),
    )
  })

  test('pg: binary results', async () => {
    // The option exists in pg, though its types leave it out.
    const binary: pg.ClientConfig & { binary: boolean } = { binary: true }
    await sameWithPg(
      async (db) =>
        shape(
          await db.query(
            'select id, name, data, id::float8 / 3 as third from items where id < $1 order by id',
            [50],
          ),
        ),
      binary,
    )
  })

  test('pg: a named statement is prepared once and run often', async () => {
    await sameWithPg(async (db) => {
      const results: unknown[] = []
      for (let id = 1; id <= 20; id += 1) {
        const query = {
          name: 'by-id',
          text: 'select name, tags from items where id = $1',
          values: [id],
        }
        results.push(shape(await db.query(query)))
      }
      const prepared = await db.query('select name, statement from pg_prepared_statements')
      return [results, shape(prepared)]
    })
  })

  test('pg: rows in portions', async () => {
    await sameWithPg(async (db) => {
      // `rows` makes pg read a portal in portions; its types leave it out.
      const portions: pg.QueryConfig & { rows: number } = {
        text: 'select id from items order by id',
        values: [],
        rows: 7,
      }
      return shape(await db.query(portions))
    })
  })

  test('pg: queries that are queued at once come back in order', async () => {
    await sameWithPg(
      async (db) =>
        await Promise.all(
          Array.from({ length: 200 }, async (_, index) =>
            shape(await db.query('select $1::int as n', [index])),
          ),
        ),
    )
  })

  test("pg: errors are the server's own, field by field", async () => {
    await sameWithPg(async (db) => {
      const texts = ['select 1/0', 'select nothing', 'selct 1', 'insert into items(id) values (1)']
      const errors: unknown[] = []
      for (const sql of texts) {
        errors.push(await failure(db.query(sql)))
        errors.push(await failure(db.query({ text: sql, values: [] })))
      }
      return [errors, shape(await db.query('select 1 as still'))]
    })
  })

  test('pg: transactions commit, roll back and fail as at the server', async () => {
    await sameWithPg(async (db) => {
      const tags: unknown[] = []
      for (const sql of [
        'truncate pile',
        'begin',
        "insert into pile values (1, 'kept')",
        'savepoint s',
        "insert into pile values (2, 'undone')",
        'rollback to s',
        'commit',
        'begin',
        'delete from pile',
        'rollback',
      ]) {
        tags.push((await db.query(sql)).command)
      }
      await db.query('begin')
      const first = await failure(db.query('select 1/0'))
      const second = await failure(db.query('select 1'))
      tags.push(first, second, (await db.query('commit')).command)
      return [tags, shape(await db.query('select * from pile'))]
    })
  })

  test('pg: LISTEN hears NOTIFY of another connection', async () => {
    for (const login of [direct, through]) {
      await withPg(login, async (listener) => {
        await listener.query('listen news')
        const heard = once(listener, 'notification', { signal: AbortSignal.timeout(20_000) })
        await withPg(login, async (db) => await db.query("select pg_notify('news', 'hello')"))
        const [message] = (await heard) as [pg.Notification]
        assert.deepEqual([message.channel, message.payload], ['news', 'hello'])
      })
    }
  })

  test('pg: a cancel request ends the statement, and the session goes on', async () => {
    await withPg(through, async (db) => {
      const sleeping = failure(db.query("select pg_sleep(60), 'cancel-me'"))
      await until('the statement runs', async () =>
        (await running(gateway, 'cancel-me')) ? true : false,
      )
      const keys = db as unknown as { processID: number; secretKey: number }
      const canceller = new pg.Client({ ...through, ssl: ssl(through) })
      const { connection } = canceller as unknown as {
        connection: NodeJS.EventEmitter & {
          connect(port: number, host: string): void
          requestSsl(): void
          cancel(processId: number, key: number): void
        }
      }
      connection.on('connect', () => connection.requestSsl())
      connection.on('sslconnect', () => connection.cancel(keys.processID, keys.secretKey))
      connection.on('error', () => undefined)
      connection.connect(through.port, through.host)
      assert.deepEqual(pick(await sleeping, 'code'), { code: '57014' })
      assert.deepEqual((await db.query('select 5 as five')).rows, [{ five: 5 }])
    })
  })

  test('postgres.js: typed values, pipelined', async () => {
    await sameWithPostgresJs(
      async (sql) =>
        await Promise.all(
          Array.from(
            { length: 100 },
            (_, n) =>
              sql`select ${n}::int as n, ${`t${n}`}::text as t, * from items where id = ${n}`,
          ),
        ).then((results) => results.map((rows) => [...rows])),
    )
  })

  test('postgres.js: a cursor reads a table in portions', async () => {
    await sameWithPostgresJs(async (sql) => {
      const portions: unknown[] = []
      for await (const rows of sql`select id, name from items order by id`.cursor(60)) {
        portions.push([...rows])
      }
      const firstOnly: unknown[] = []
      for await (const rows of sql`select id from items order by id`.cursor(3)) {
        firstOnly.push([...rows])
        break
      }
      return [portions, firstOnly, [...(await sql`select 1 as after`)]]
    })
  })

  test('postgres.js: COPY in and out', async () => {
    await sameWithPostgresJs(async (sql) => {
      await sql`truncate pile`
      const lines = Array.from({ length: 5_000 }, (_, n) => `${n}\tname ${n}\n`)
      await pipeline(Readable.from(lines), await sql`copy pile from stdin`.writable())
      const copied = await text(
        await sql`copy (select * from pile order by id) to stdout`.readable(),
      )
      return [copied, [...(await sql`select count(*)::int, sum(id)::int from pile`)]]
    })
  })

  test('postgres.js: transactions with savepoints', async () => {
    await sameWithPostgresJs(async (sql) => {
      await sql`truncate pile`
      const failed = await failure(
        sql.begin(async (inner) => {
          await inner`insert into pile values (1, 'gone')`
          await inner`select 1/0`
        }),
      )
      await sql.begin(async (inner) => {
        await inner`insert into pile values (2, 'stays')`
        await failure(
          inner.savepoint(async (deeper) => {
            await deeper`insert into pile values (3, 'gone')`
            throw new Error('undo')
          }),
        )
      })
      return [pick(failed, 'code'), [...(await sql`select * from pile`)]]
    })
  })

  test('postgres.js: cancel()', async () => {
    await withPostgresJs(through, async (sql) => {
      const query = sql`select pg_sleep(60), 'cancel-js'`.execute()
      const failed = failure(query)
      await until('the statement runs', async () => await running(gateway, 'cancel-js'))
      query.cancel()
      assert.deepEqual(pick(await failed, 'code'), { code: '57014' })
      assert.deepEqual([...(await sql`select 6 as six`)], [{ six: 6 }])
    })
  })

  test('postgres.js: listen and notify', async () => {
    await withPostgresJs(through, async (sql) => {
      const heard = Promise.withResolvers<string>()
      await sql.listen('events', (payload) => heard.resolve(payload))
      await sql.notify('events', 'payload ✓')
      assert.equal(await heard.promise, 'payload ✓')
    })
  })

  test('a refused statement in BEGIN aborts the transaction: COMMIT rolls back', async () => {
    await withPg(through, async (db) => {
      await db.query('truncate pile')
      await db.query('begin')
      await db.query("insert into pile values (1, 'never')")
      assert.deepEqual(pick(await failure(db.query('drop table victims')), 'code', 'severity'), {
        code: '42501',
        severity: 'ERROR',
      })
      assert.deepEqual(pick(await failure(db.query('select 1')), 'code'), { code: '25P02' })
      assert.equal((await db.query('commit')).command, 'ROLLBACK')
      assert.deepEqual((await db.query('select * from pile')).rows, [])
    })
  })

  test('what follows a failed statement before Sync is dropped as at the server', async () => {
    await sameWithPg(async (db) => {
      const { connection } = db as unknown as {
        connection: NodeJS.EventEmitter &
          Record<'parse' | 'bind' | 'execute', (q: object) => void> & {
            flush(): void
            sync(): void
          }
      }
      const run = (sql: string): void => {
        connection.parse({ text: sql, name: '' })
        connection.bind({})
        connection.execute({})
        connection.flush()
      }
      // The driver sends this query; the rest of its batch is sent by hand, once the error is known.
      const submittable = {
        submit: () => run('select 1/0'),
        handleReadyForQuery: () => undefined,
        handleError: () => undefined,
      }
      const failed = once(connection, 'errorMessage', { signal: AbortSignal.timeout(20_000) })
      db.query(submittable as unknown as pg.Submittable)
      const [error] = (await failed) as [Error & { code: string }]
      const ready = once(connection, 'readyForQuery', { signal: AbortSignal.timeout(20_000) })
      run('select 2')
      connection.sync()
      await ready
      return [error.code, shape(await db.query('select 3 as three'))]
    })
  })

  test('ten connections run a thousand statements, every tenth refused, and none is lost', async () => {
    const pool = new pg.Pool({ ...through, ssl: ssl(through), max: 10 })
    let opened = 0
    pool.on('connect', () => (opened += 1))
    // `pool.query` closes a connection after any error, whoever reports it; a caller that checks one out keeps it.
    const one = async (sql: string, values: unknown[]): Promise<unknown> => {
      const db = await pool.connect()
      try {
        return (await db.query<object>(sql, values)).rows[0]
      } finally {
        db.release()
      }
    }
    const outcomes = await Promise.all(
      Array.from({ length: 1000 }, async (_, n) =>
        n % 10 === 9
          ? pick(await failure(one(`drop table victims -- ${n}`, [])), 'code')
          : await one('select $1::int as n', [n]),
      ),
    )
    await pool.end()
    assert.equal(opened, 10)
    const expected = Array.from({ length: 1000 }, (_, n) =>
      n % 10 === 9 ? { code: '42501' } : { n },
    )
    assert.deepEqual(outcomes, expected)
  })

  test('a policy change is heeded by statements that were prepared before it', async () => {
    await withPg(through, async (db) => {
      const statement = { name: 'del', text: 'delete from victims where id = $1', values: [99] }
      assert.equal((await db.query(statement)).command, 'DELETE')
      await gateway.writePolicy(policyAfter)
      try {
        await until('the new policy refuses the statement', async () => {
          const outcome = await failure(db.query(statement)).catch(() => undefined)
          return outcome !== undefined && pick(outcome, 'code')['code'] === '42501'
        })
        const prepared = await db.query(
          "select name from pg_prepared_statements where name = 'del'",
        )
        assert.equal(prepared.rowCount, 1)
      } finally {
        await gateway.writePolicy(policy)
      }
      await until('the old policy is back', async () => {
        const { rows } = await db.query(statement).catch(() => ({ rows: undefined }))
        return rows !== undefined
      })
    })
  })
})

/** What a caller can see of a result, without the driver's own objects. */
function shape(result: pg.QueryResult): unknown {
  const { command, rowCount, rows, fields } = result
  return {
    command,
    rowCount,
    rows,
    fields: fields.map(({ name, dataTypeID, dataTypeModifier, tableID, columnID, format }) => ({
      name,
      dataTypeID,
      dataTypeModifier,
      tableID,
      columnID,
      format,
    })),
  }
}

/** A string of several statements gives several results. */
function shapes(result: pg.QueryResult): unknown {
  return (Array.isArray(result) ? (result as pg.QueryResult[]) : [result]).map(shape)
}

/** The error that `work` must end in, as plain fields. */
async function failure(work: Promise<unknown>): Promise<Record<string, unknown>> {
  try {
    await work
  } catch (error) {
    if (!(error instanceof Error)) throw error
    const fields = Object.fromEntries(Object.entries(error))
    return { message: error.message, ...fields }
  }
  throw new assert.AssertionError({ message: 'expected a failure' })
}

function pick(value: Record<string, unknown>, ...keys: string[]): Record<string, unknown> {
  return Object.fromEntries(keys.map((key) => [key, value[key]]))
}

/** Whether the server runs a statement that contains `marker` now. */
async function running(gateway: TestGateway, marker: string): Promise<boolean> {
  const count = await gateway.postgres.sql(
    `select count(*) from pg_stat_activity where state = 'active' and query like '%${marker}%' and pid <> pg_backend_pid()`,
  )
  return Number(count.trim()) > 0
}
