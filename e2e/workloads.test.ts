import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { suite, test } from 'node:test'
import { Client, type QueryResult } from 'pg'
import { skipReason } from '@sallyport/testkit'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

/** A statement of a recorded application, with what an operator may expect of it. */
interface Statement {
  readonly name: string
  readonly sql: string
  /** By the rule's `inference`: `same`, `masked` and the columns that differ, or the code of a refusal. */
  readonly expected: Readonly<Record<Inference, string>>
}

type Inference = 'observe' | 'block'

/** Reads `-- name:`, `-- observe:`, `-- block:` and the statement behind them. */
function statementsOf(file: string): Statement[] {
  const text = readFileSync(file, 'utf8')
  return text
    .split(/^-- name: /mu)
    .slice(1)
    .map((part) => {
      const lines = part.trim().split('\n')
      const said = (key: string): string =>
        lines
          .find((line) => line.startsWith(`-- ${key}: `))
          ?.slice(key.length + 5)
          .replace(/ \(.*$/u, '') ?? 'same'
      return {
        name: lines[0] ?? '',
        sql: lines
          .slice(1)
          .filter((line) => !line.startsWith('-- '))
          .join('\n'),
        expected: { observe: said('observe'), block: said('block') },
      }
    })
}

const policy = (
  inference: Inference,
  columns: readonly string[],
): string => `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: privacy}
spec:
  owner: group:test
  defaults: {unmatched: allow, unknown: allow}
  rules:
    - name: people
      on: sql
      when: "true"
      effect: mask
      inference: ${inference}
      mask:
        - {columns: ${JSON.stringify(columns)}, with: partial}
`

/** Runs a statement and takes back what it wrote: the other side is to see the same. */
async function rolledBack(client: Client, sql: string): Promise<QueryResult> {
  await client.query('begin')
  try {
    return await client.query({ text: sql, rowMode: 'array' })
  } finally {
    await client.query('rollback')
  }
}

/** How the answer through the gateway differs from the direct one, in one word or two. */
async function outcome(
  direct: Client,
  through: Client,
  sql: string,
  isEmptyFine: boolean,
): Promise<string> {
  const expected = await rolledBack(direct, sql)
  if (expected.rows.length === 0 && !isEmptyFine) return 'finds no row'
  let answer: QueryResult
  try {
    answer = await rolledBack(through, sql)
  } catch (error) {
    return (
      /SP_[A-Z_]+/u.exec(`${Object(error).hint} ${Object(error).routine} ${String(error)}`)?.[0] ??
      String(error)
    )
  }
  assert.deepEqual([answer.rowCount, answer.command], [expected.rowCount, expected.command])
  const differing = expected.fields.filter(
    ({ name }, at) =>
      // A sequence goes on, whether or not its value is taken back.
      !(expected.command === 'INSERT' && name === 'id') &&
      expected.rows.some(
        (row, index) => String(Object(row)[at]) !== String(Object(answer.rows[index])[at]),
      ),
  )
  return differing.length === 0 ? 'same' : `masked ${differing.map(({ name }) => name).join(', ')}`
}

const connect = async (gateway: TestGateway, isDirect: boolean): Promise<Client> => {
  const { user, secret } = await gateway.credential('shop:*')
  const client = new Client({
    host: '127.0.0.1',
    database: gateway.postgres.database,
    ...(isDirect
      ? { port: gateway.postgres.port, user: 'app', password: 'app-password' }
      : { port: gateway.gateway.ports.postgres, user, password: secret }),
  })
  client.on('error', () => undefined)
  await client.connect()
  return client
}

suite('recorded workloads', { skip: skipReason() }, () => {
  for (const [name, columns] of [
    ['tpch', ['customer.c_name', 'customer.c_address', 'customer.c_phone', 'customer.c_comment']],
    [
      'django',
      [
        'auth_user.first_name',
        'auth_user.last_name',
        'auth_user.email',
        'shop_customer.name',
        'shop_customer.email',
        'shop_customer.phone',
      ],
    ],
  ] as const) {
    const statements = statementsOf(`corpus/benign/${name}/queries.sql`)
    const seed = readFileSync(`corpus/benign/${name}/schema.sql`, 'utf8')
    for (const inference of ['observe', 'block'] as const) {
      test(`${name}, inference ${inference}`, async (t) => {
        await using gateway = await startTestGateway({
          policy: policy(inference, columns),
          seed,
          plainText: true,
        })
        const [direct, through] = [await connect(gateway, true), await connect(gateway, false)]
        const found = new Map<string, string>()
        for (const { name: each, sql } of statements)
          found.set(each, await outcome(direct, through, sql, name === 'django'))
        await direct.end()
        await through.end()
        t.diagnostic([...found].map(([query, how]) => `${query}: ${how}`).join('\n'))
        assert.deepEqual(
          Object.fromEntries(found),
          Object.fromEntries(statements.map((each) => [each.name, each.expected[inference]])),
        )
      })
    }
  }
})
