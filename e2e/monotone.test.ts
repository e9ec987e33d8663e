import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import fc from 'fast-check'
import type { Client } from 'pg'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { startTestGateway } from './test-gateway.ts'

const seed = `create schema sales; create table public.item(n int); create table public.secret(n int);
  create table sales.orders(n int, item int); insert into item values (1); insert into sales.orders values (1, 1)`

const classes = fc.subarray(['read', 'explain', 'write', 'delete', 'ddl'], { minLength: 1 })
const scope = fc.constantFrom(
  '',
  ' schema=public',
  ' schema=sales',
  ' schema=public,sales',
  ' table=item',
  ' table=item,orders',
  ' table=o*',
  ' schema=sales table=*',
  ' rows<=1',
)
const allow = fc.tuple(classes, scope).map(([names, where]) => `shop:${names.join(',')}${where}`)
const grant = fc.array(allow, { minLength: 1, maxLength: 3 })

const table = fc.constantFrom('item', 'secret', 'sales.orders', 'public.item')
const statement = fc.oneof(
  table.map((name) => `select count(*) from ${name}`),
  table.map((name) => `select * from ${name} where n = 1`),
  fc.tuple(table, table).map(([a, b]) => `select 1 from ${a} x join ${b} y on x.n = y.n`),
  table.map((name) => `insert into ${name} (n) values (5)`),
  fc.tuple(table, table).map(([a, b]) => `insert into ${a} (n) select n from ${b}`),
  table.map((name) => `update ${name} set n = n where n = 1`),
  table.map((name) => `delete from ${name} where n = 77`),
  table.map((name) => `explain select * from ${name}`),
  table.map((name) => `with d as (delete from ${name} where n = 78 returning n) select * from d`),
  fc.constant('create table made (n int)'),
  fc.constant('select 1'),
)

suite('through the real data path', { skip: skipReason(), timeout: 240_000 }, () => {
  test('no child may do what an agent above it may not, in a thousand random statements', async () => {
    await using gateway = await startTestGateway({ seed, workers: 2 })
    const family = new AgentFamily(gateway)
    const root = await family.root()
    const chains = await Promise.all(
      fc
        .sample(fc.array(grant, { minLength: 1, maxLength: 4 }), { numRuns: 12, seed: 7 })
        .map(async (grants, number) => await openChain(family, root, grants, number)),
    )
    const allowedAt: number[] = []
    let tried = 0
    for (const [number, text] of fc.sample(statement, { numRuns: 1000, seed: 11 }).entries()) {
      const chain = chains[number % chains.length] ?? []
      const outcomes = await Promise.all(chain.map(async (client) => await mayRun(client, text)))
      tried += 1
      const first = outcomes.indexOf(false)
      if (first === -1) allowedAt.push(outcomes.length)
      else
        assert.deepEqual(
          new Set(outcomes.slice(first)),
          new Set([false]),
          `${text}: ${String(outcomes)}`,
        )
    }
    assert.equal(tried, 1000)
    assert.ok(allowedAt.length >= 50, `only ${allowedAt.length} statements were allowed to a leaf`)
    for (const client of chains.flat()) await client.end()
  })
})

/** Sessions of the agents of one chain, the topmost first. A wider ask is cut, so every chain comes to be. */
async function openChain(
  family: AgentFamily,
  root: TestAgent,
  grants: readonly (readonly string[])[],
  number: number,
): Promise<Client[]> {
  const clients: Client[] = []
  let parent = root
  for (const [depth, asked] of grants.entries()) {
    const name = `agent-${number}-${depth}`
    const child = await family
      .child(parent, name, { allow: asked, cut: true })
      .catch(() => undefined)
    // Nothing of what was asked for is held above.
    if (child === undefined) break
    const client = await family.session(child).catch(() => undefined)
    if (client === undefined) break
    clients.push(client)
    parent = child
  }
  return clients
}

/** Whether the gateway lets it through; what the server itself thinks of it is no matter. */
async function mayRun(client: Client, text: string): Promise<boolean> {
  await client.query('begin')
  try {
    await client.query(text)
    return true
  } catch (error) {
    const { code } = error as { code?: string }
    // 42501 of the gateway is a refusal; a cut result had been let through.
    return code !== '42501'
  } finally {
    await client.query('rollback')
  }
}
