import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import {
  encodeBind,
  encodeDescribe,
  encodeExecute,
  encodeParse,
  encodeSync,
  type BackendMessage,
} from '@sallyport/wire'
import { startTestGateway } from './test-gateway.ts'
import { WireCaller } from './wire-caller.ts'

const functions = [
  'redact',
  'null',
  'partial',
  'last4',
  'token',
  'fake',
  'hash',
  'round:10',
  'round:month',
] as const

/** A type as a column declares it, and values of it. */
const types: readonly (readonly [declared: string, ...values: string[]])[] = [
  ['text', 'Anna Meier', '', 'é', 'anna@mail.example', 'DE89370400440532013000'],
  ['varchar(3)', 'abc', 'é'],
  ['varchar(40)', 'anna.meier@mail.example', '4111 1111 1111 1111'],
  ['char(5)', 'abc'],
  ['"char"', 'x'],
  ['name', 'a_name'],
  ['bool', 'true', 'false'],
  ['int2', '-32768', '32767', '7'],
  ['int4', '-2147483648', '2147483647', '4523000'],
  ['int8', '-9223372036854775808', '9223372036854775807', '4111111111111111'],
  ['numeric', '-123456789012345678901234567890.5', 'NaN', '0.001'],
  ['numeric(10,2)', '99999999.99', '-1.10'],
  ['numeric(3,3)', '0.999'],
  ['float4', '3.4028235e38', '1e-45', 'NaN', '-12.5'],
  ['float8', '1.7976931348623157e308', '5e-324', 'Infinity', '0.1'],
  ['money', '-92233720368547758.08', '12.34'],
  ['oid', '4294967295'],
  ['date', '1987-06-05', 'infinity', '0044-03-15 BC', '5874897-12-31'],
  ['timestamp', '1987-06-05 04:03:02.123456', '-infinity', '294276-12-31 23:59:59'],
  ['timestamp(0)', '1987-06-05 04:03:02'],
  ['timestamptz', '1987-06-05 04:03:02.1+02', 'infinity'],
  ['time', '04:03:02.5'],
  ['timetz', '04:03:02.5+02'],
  ['interval', '1 year 2 mons 3 days 04:05:06'],
  ['bytea', '\\xdeadbeef', ''],
  ['uuid', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'],
  ['json', '{"a": [1, "x"]}', '"text"', '12'],
  ['jsonb', '{"a": [1, "x"]}', '"text"', '12', 'true'],
  ['xml', '<a>b</a>'],
  ['inet', '192.168.10.20/24', '2001:db8::1', '::ffff:1.2.3.4'],
  ['cidr', '10.1.0.0/16'],
  ['macaddr', '08:00:2b:01:02:03'],
  ['macaddr8', '08:00:2b:01:02:03:04:05'],
  ['bit(3)', '101'],
  ['varbit(8)', '10101'],
  ['point', '(1,2)'],
  ['line', '{1,2,3}'],
  ['lseg', '[(1,2),(3,4)]'],
  ['box', '(1,2),(3,4)'],
  ['path', '((1,2),(3,4))'],
  ['polygon', '((1,2),(3,4),(5,6))'],
  ['circle', '<(1,2),3>'],
  ['tsvector', "'a':1 'b':2"],
  ['tsquery', "'a' & 'b'"],
  ['jsonpath', '$.a'],
  ['pg_lsn', '16/B374D848'],
  ['text[]', '{anna@mail.example,"a \\"b\\" c",NULL,"{x}"}', '{}', '[2:3][1:1]={{a},{b}}'],
  ['varchar(4)[]', '{abcd,xyz}'],
  ['int4[]', '{1,20000,-300}', '{{1,2},{3,4}}'],
  ['numeric(6,2)[]', '{1234.56,NULL}'],
  ['date[]', '{1987-06-05,infinity}'],
  ['timestamptz[]', '{"1987-06-05 04:03:02+02"}'],
  ['uuid[]', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}'],
  ['jsonb[]', '{"\\"x\\"","{\\"a\\": 1}"}'],
  ['box[]', '{(1,2),(3,4);(5,6),(7,8)}'],
  ['inet[]', '{10.1.2.3}'],
  ['int4range', '[100,2000)', 'empty', '[5,)', '(,7)'],
  ['int8range', '[10,900000)'],
  ['numrange', '[1.5,2.25]', '(-3.75,2)'],
  ['daterange', '[1987-06-05,1987-07-01)', '[1987-06-05,infinity)'],
  ['tsrange', '["1987-06-05 04:03:02","1987-06-05 05:00:00")'],
  ['tstzrange', '["1987-06-05 04:03:02+02","1988-01-01 00:00:00+01"]'],
  ['int4multirange', '{[1,30),[500,900)}', '{}'],
  ['datemultirange', '{[1987-06-05,1987-07-01)}'],
  ['int4range[]', '{"[100,2000)",empty}'],
  ['mood', 'happy', 'so so'],
  ['mood[]', '{happy,"so so",NULL}'],
  ['email', 'anna@mail.example'],
  ['email[]', '{anna@mail.example}'],
  ['short', 'ab'],
  ['pair', '(1,a)'],
  ['daynum', '[10,20)'],
]

const seed = `create type mood as enum ('happy', 'so so', 'sad', 'x"y');
  create domain email as text check (value <> 'nothing'); create domain short as varchar(2);
  create type pair as (n int, t text); create type daynum as range (subtype = int4);`

const schemaOf = (fn: string): string => `f_${fn.replace(':', '_')}`
const tableOf = (fn: string, at: number): string => `${schemaOf(fn)}.t${at}`
const quote = (value: string): string => `'${value.replaceAll("'", "''")}'`

function seedOf(fn: string): string {
  const tables = types.map(([declared, ...values], at) => {
    const rows = [...values.map((value) => `(${quote(value)})`), '(null)'].join(', ')
    const table = tableOf(fn, at)
    return `create table ${table}(n serial, v ${declared}); insert into ${table}(v) values ${rows};
      create table ${table}_back(v ${declared});`
  })
  return [`create schema ${schemaOf(fn)};`, ...tables].join('\n')
}

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: masks}
spec:
  owner: group:test
  rules:
${functions
  .map(
    (fn) => `    - name: ${schemaOf(fn).replaceAll('_', '-')}
      on: sql
      when: "true"
      effect: mask
      mask: [{columns: ["${schemaOf(fn)}.*.v"], with: "${fn}"}]`,
  )
  .join('\n')}
`

suite('masked values of every type', { skip: skipReason(), timeout: 300_000 }, () => {
  const open = new AsyncDisposableStack()
  let masked: WireCaller
  let direct: WireCaller
  before(async () => {
    const gateway = open.use(await startTestGateway({ policy, plainText: true }))
    await gateway.postgres.sql(seed)
    for (const fn of functions) await gateway.postgres.sql(seedOf(fn))
    const { user, secret: password } = await gateway.credential()
    const door = { port: gateway.gateway.ports.postgres, user, password }
    masked = open.use(await WireCaller.open(door))
    const { port } = gateway.postgres
    direct = open.use(await WireCaller.open({ port, user: 'app', password: 'app-password' }))
  })
  after(async () => {
    await open.disposeAsync()
  })

  for (const fn of functions) {
    for (const format of [0, 1] as const) {
      test(`${fn}, ${format === 0 ? 'text' : 'binary'}: the target takes each for a value of its column, and NULL stays NULL`, async () => {
        const refused: string[] = []
        for (const [at, [declared]] of types.entries()) {
          const table = tableOf(fn, at)
          const select = `select v from ${table} order by n`
          const [own, out] = [
            await run(direct, select, [], format),
            await run(masked, select, [], format),
          ]
          assert.equal(out.error, undefined, `${declared}: ${out.error}`)
          assert.equal(out.rows.length, own.rows.length)
          assert.equal(out.rows.at(-1), null, 'NULL stays NULL')
          for (const [index, value] of out.rows.entries()) {
            const back = await run(direct, `insert into ${table}_back values ($1)`, [value], format)
            if (back.error !== undefined)
              refused.push(
                `${declared}: ${String(own.rows[index])} as ${String(value)}: ${back.error}`,
              )
            const isSecret = wide.has(declared) && (own.rows[index]?.length ?? 0) > 12
            if (isSecret && value !== null && fn !== 'round:10' && fn !== 'round:month')
              assert.notDeepEqual(value, own.rows[index], `${declared} is shown`)
          }
        }
        assert.deepEqual(refused, [])
      })
    }
  }
})

/** Types with so many values that no mask can meet the one it hides. */
const wide: ReadonlySet<string> = new Set(
  types.flatMap(([declared]) =>
    /^(?:text|varchar\(40\)|int8|numeric|uuid|json|jsonb|inet|email|timestamptz|text\[\]|uuid\[\])$/.test(
      declared,
    )
      ? [declared]
      : [],
  ),
)

interface Ran {
  readonly rows: readonly (Buffer | null)[]
  readonly error: string | undefined
}

/** One statement through the extended protocol: the first column of its rows. */
async function run(
  caller: WireCaller,
  text: string,
  parameters: readonly (Buffer | null)[],
  format: 0 | 1,
): Promise<Ran> {
  caller.send(
    encodeParse({ statement: '', text, parameterTypes: [] }),
    encodeBind({
      portal: '',
      statement: '',
      parameterFormats: [format],
      parameters,
      resultFormats: [format],
    }),
    encodeDescribe({ target: 'portal', name: '' }),
    encodeExecute({ portal: '', rowsMax: 0 }),
    encodeSync(),
  )
  const rows: (Buffer | null)[] = []
  let error: string | undefined
  for (;;) {
    const message: BackendMessage = await caller.next()
    if (message.kind === 'DataRow') rows.push(message.values[0] ?? null)
    if (message.kind === 'ErrorResponse') error = message.fields.get('M') ?? ''
    if (message.kind === 'ReadyForQuery') return { rows, error }
  }
}
