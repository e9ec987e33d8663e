import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { ident, literal, type MaskFunction } from '@sallyport/core'
import { skipReason, startPostgres, type TestPostgres } from '@sallyport/testkit'
import pg from 'pg'
import { readGuardCatalog, type Ask, type CatalogColumn } from './guard-catalog.ts'
import { maskExpression } from './mask-expression.ts'

/** Types with the values that could trip a mask: the ends of each range, and what looks like something else. */
const types: Readonly<Record<string, readonly string[]>> = {
  text: [
    '',
    'a',
    'abcd',
    'abcde',
    'zoë@example.com',
    'a@b',
    "o'x\\y%_",
    '😀'.repeat(9),
    'x'.repeat(9000),
    '4111 1111 1111 1111',
    '\n\t',
  ],
  'varchar(3)': ['', 'ab', 'abc'],
  'char(12)': ['', 'x', 'a@b.example', '123456789012'],
  name: ['', 'abcdefgh'],
  citext: ['Zoë@Example.COM', 'x'],
  int2: ['0', '-1', '32767', '-32768', '999'],
  int4: ['0', '7', '2147483647', '-2147483648', '1000000'],
  int8: ['0', '9223372036854775807', '-9223372036854775808', '10'],
  numeric: [
    '0',
    '0.001',
    '-5',
    '5.25',
    '123456789012345678901234567890.5',
    'NaN',
    'Infinity',
    '-Infinity',
    '1e-20',
    '1e60',
  ],
  'numeric(4,2)': ['99.99', '-99.99', '0.01', '5'],
  'numeric(6,0)': ['999999', '-1'],
  'numeric(3,3)': ['0.999', '-0.5'],
  float4: ['0', '-0', '1e38', '1e-38', 'NaN', 'Infinity', '12.5'],
  float8: ['0', '1e308', '1e-300', 'NaN', '-Infinity', '123456.789'],
  money: ['12.34', '-92233720368547758.08'],
  bool: ['t', 'f'],
  date: [
    'infinity',
    '-infinity',
    '0001-01-01',
    '4713-01-01 BC',
    '9999-12-31',
    '5874897-12-31',
    '1971-03-04',
  ],
  timestamp: ['infinity', '-infinity', '4713-01-01 BC', '294276-12-31', '1971-03-04 05:06:07.89'],
  timestamptz: ['infinity', '-infinity', '4713-01-02 BC', '294276-12-30', '1971-03-04 05:06:07+09'],
  'timestamptz(0)': ['1999-12-31 23:59:59.9+00'],
  time: ['23:59:59.9'],
  timetz: ['23:59:59+14'],
  interval: ['1 year 2 days', '-178000000 years'],
  uuid: ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
  bytea: ['', '\\x00ff', '\\xdeadbeef'],
  json: ['"a"', '{"a":"\\u0000"}', 'null', '1e999'],
  jsonb: ['"zoë@example.com"', '""', '{"a":1}', '[1]', 'null', '12345', 'true'],
  xml: ['<a>x</a>', ''],
  inet: ['10.1.2.3/8', '::1'],
  cidr: ['10.0.0.0/8'],
  macaddr: ['01:02:03:04:05:06'],
  'bit(5)': ['10101'],
  'varbit(9)': ['1', ''],
  'int4[]': ['{1,2}', '{}'],
  'text[]': ['{a,NULL}'],
  int4range: ['[1,5)', 'empty'],
  tstzrange: ['[1999-01-01,)'],
  point: ['(1,2)'],
  tsvector: ['a b'],
  pg_lsn: ['16/B374D848'],
  mood: ['calm'],
  code: ['abc'],
  pair: ['(1,a)'],
  'mood[]': ['{calm}'],
}

const functions: readonly MaskFunction[] = [
  'redact',
  'null',
  'block',
  'partial',
  'last4',
  'token',
  'hash',
  'fake',
  'round:1',
  'round:7',
  'round:1000',
  'round:999999999',
  'round:day',
  'round:month',
  'round:year',
]

suite('masks in SQL', { skip: skipReason() }, () => {
  let postgres: TestPostgres
  let client: pg.Client
  before(async () => {
    postgres = await startPostgres()
    const { host, port, password } = postgres
    client = new pg.Client({ host, port, user: 'postgres', password, database: 'postgres' })
    await client.connect()
    await client.query(`create extension citext; create type mood as enum ('calm', 'angry'); create type pair as (a int, b text);
      create domain code as text not null check (value ~ '^[a-z]+$');
      create table secret (inner_key bytea, outer_key bytea, days int, shift interval);
      insert into secret values ('\\x01', '\\x02', 400, '34561234 seconds')`)
    for (const [index, type] of Object.keys(types).entries()) {
      await client.query(
        `create table t${index} (v ${type.replace('code', 'text')} ${type === 'char(12)' ? 'collate "C"' : ''})`,
      )
      for (const value of types[type] ?? [])
        await client.query(`insert into t${index} values (${literal(value)})`)
      await client.query(
        type === 'code'
          ? `alter table t${index} alter v type code`
          : `insert into t${index} values (null)`,
      )
    }
  })
  after(async () => {
    await client.end()
    await postgres.stop()
  })
  const ask: Ask = async (sql) => {
    const { rows } = await client.query<(string | null)[]>({
      text: sql,
      rowMode: 'array',
      types: { getTypeParser: () => (value: unknown) => value } as unknown as pg.CustomTypesConfig,
    })
    return rows
  }
  const columns = async (): Promise<Map<string, CatalogColumn>> => {
    await client.query('set search_path = pg_catalog')
    const { relations } = await readGuardCatalog(ask, literal('postgres'))
    await client.query('set search_path = public, pg_catalog')
    return new Map(
      [...relations.values()].flatMap(({ name, columns: [only] }) =>
        only === undefined ? [] : [[name, only]],
      ),
    )
  }

  test('never fail, keep NULL and the type, and fit the column that they stand for', async () => {
    const known = await columns()
    for (const [index, type] of Object.keys(types).entries()) {
      const column = known.get(`t${index}`)
      assert.ok(column !== undefined)
      for (const fn of functions) {
        for (const secrets of [undefined, { table: 'public.secret' }]) {
          const mask = maskExpression(column, fn, secrets)
          const name = `${type} ${fn}`
          const rows = await ask(
            `select v is null, m is null, m::text, v::text, pg_typeof(m)::text from (select t.v, ${mask} as m from t${index} t) s`,
          ).catch((error: unknown) => assert.fail(`${name}: ${String(error)}`))
          for (const [wasNull, isNull, masked] of rows) {
            if (wasNull === 't') assert.equal(isNull, 't', name)
            if (fn === 'redact' && wasNull === 'f' && isNull === 'f') {
              assert.equal(
                masked,
                rows.find((row) => row[1] === 'f')?.[2],
                `${name} depends on the value`,
              )
            }
          }
          // As a view shows it, with its modifier; and every mask is a value that the column takes.
          await ask(`create or replace temp view v as select ${mask} as m from t${index} t`)
          const [shown] = await ask(
            `select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 'v'::regclass`,
          )
          assert.equal(
            shown?.[0],
            type === 'code'
              ? 'text'
              : (
                  await ask(
                    `select format_type(atttypid, atttypmod) from pg_attribute where attrelid = 't${index}'::regclass and attnum = 1`,
                  )
                )[0]?.[0],
            name,
          )
          if (type !== 'code') {
            await ask(`begin`)
            await ask(`insert into t${index} select m from v`).catch((error: unknown) =>
              assert.fail(`${name}: ${String(error)}`),
            )
            await ask(`rollback`)
          }
          await ask('drop view v')
        }
      }
    }
  })

  test('show nothing of a value but what the function says', async () => {
    const known = await columns()
    const at = (type: string): number => Object.keys(types).indexOf(type)
    const masks = async (
      type: string,
      fn: MaskFunction,
      keyed = true,
    ): Promise<(string | null)[]> => {
      const column = known.get(`t${at(type)}`)
      assert.ok(column !== undefined)
      const mask = maskExpression(column, fn, keyed ? { table: 'public.secret' } : undefined)
      const rows = await ask(
        `select m::text from (select ctid, ${mask} as m from t${at(type)} t) s order by ctid`,
      )
      return rows.map(([value]) => value ?? null)
    }
    assert.deepEqual(await masks('text', 'partial'), [
      '•••',
      '•••',
      '•••',
      'a•••e',
      'z**@***.com',
      '•••',
      'o•••_',
      '😀•••😀',
      'x•••x',
      '4•••1',
      '•••',
      null,
    ])
    assert.deepEqual(await masks('text', 'last4'), [
      '•••',
      '•••',
      '•••',
      '•••',
      '•••• .com',
      '•••',
      '•••',
      '•••• 😀😀😀😀',
      '•••• xxxx',
      '•••• 1111',
      '•••',
      null,
    ])
    assert.deepEqual(await masks('int2', 'round:1000'), ['0', '0', '32000', '-32000', '1000', null])
    assert.deepEqual(await masks('int4', 'partial'), [
      '0',
      '0',
      '2000000000',
      '-2000000000',
      '1000000',
      null,
    ])
    assert.deepEqual(await masks('numeric(4,2)', 'round:7'), [
      '98.00',
      '-98.00',
      '0.00',
      '7.00',
      null,
    ])
    assert.deepEqual(await masks('date', 'round:month'), [
      '1970-01-01',
      '1970-01-01',
      '1970-01-01',
      '1970-01-01',
      '1970-01-01',
      '1970-01-01',
      '1971-03-01',
      null,
    ])
    assert.deepEqual(await masks('jsonb', 'partial'), [
      '"z**@***.com"',
      '"•••"',
      'null',
      'null',
      'null',
      'null',
      'null',
      null,
    ])
    for (const [type, fn] of [
      ['text', 'token'],
      ['text', 'hash'],
      ['int4', 'token'],
      ['uuid', 'hash'],
      ['bytea', 'hash'],
      ['date', 'token'],
    ] as const) {
      const values = types[type] ?? []
      const masked = await masks(type, fn)
      assert.deepEqual(await masks(type, fn), masked, `${type} ${fn} is not the same twice`)
      for (const [index, value] of values.entries()) {
        if (value.length > 3) assert.notEqual(masked[index], value, `${type} ${fn}`)
      }
      // Without the secret nothing keyed is made, not even from an empty one.
      const open = new Set((await masks(type, fn, false)).filter((value) => value !== null))
      assert.equal(open.size, 1, `${type} ${fn}`)
    }
  })

  test('call nothing of the database', async () => {
    await client.query(`create function public.length(text) returns int language plpgsql as $$ begin raise exception 'called'; end $$;
      create function public.abs(numeric) returns numeric language plpgsql as $$ begin raise exception 'called'; end $$`)
    const known = await columns()
    const column = known.get(`t${Object.keys(types).indexOf('int4')}`)
    assert.ok(column !== undefined)
    await client.query(`set search_path = public`)
    for (const fn of functions) {
      await ask(
        `select ${maskExpression(column, fn, { table: 'public.secret' })} from ${ident(`t${Object.keys(types).indexOf('int4')}`)} t`,
      )
    }
  })
})
