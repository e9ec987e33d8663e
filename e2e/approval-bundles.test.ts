import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { Client } from 'pg'
import { skipReason, until } from '@sallyport/testkit'
import type { BundleView } from '@sallyport/gateway'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { ApprovalCalls } from './approval-calls.ts'
import { sallyport } from './command-line.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: ask}
spec:
  owner: group:test
  rules:
    - name: updates
      on: sql
      when: op.verb == "update"
      effect: approve
      approve: {from: [owner], offer: [once, bundle], selfRoot: allow}
      message: "The owner looks."
`
const seed = `
create table inventory(id int primary key, qty int);
insert into inventory select g, 0 from generate_series(1, 100) g;
`

suite('requests that are answered as a bundle', { skip: skipReason(), timeout: 100_000 }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  let calls: ApprovalCalls
  let root: TestAgent
  const clients: Client[] = []
  before(async () => {
    gateway = await startTestGateway({ policy, seed })
    family = new AgentFamily(gateway)
    calls = new ApprovalCalls(gateway)
    root = await family.root()
  })
  after(async () => {
    for (const client of clients) await client.end()
    await gateway[Symbol.asyncDispose]()
  })

  /** A command that waits, of an agent of its own; resolves with how it ended. */
  const held = async (text: string): Promise<{ id: string; end: Promise<string> }> => {
    const agent = await family.child(root, `fixer-${clients.length}`)
    const client = await family.session(agent)
    clients.push(client)
    const end = client.query(text).then(
      () => 'ran',
      (error: Error) => error.message,
    )
    const { id } = await until(`${text} waits`, async () =>
      (await calls.list('pending')).find((each) => each.text === text),
    )
    return { id, end }
  }
  const update = (id: number): string => `update inventory set qty = ${id} where id = ${id}`
  const bundles = async (): Promise<BundleView[]> =>
    (await (await gateway.api('GET', '/v1/approvals/bundles')).json()) as BundleView[]
  const cli = async (...words: string[]): Promise<{ code: number; out: string; err: string }> => {
    using ran = sallyport(gateway, [...words, '-o', 'table'])
    const code = await ran.ended()
    return { code, out: ran.out, err: ran.err }
  }
  const changed = async (where: string): Promise<string> =>
    await gateway.postgres.sql(`select count(*) from inventory where qty > 0 and ${where}`)

  test('twelve similar updates are one bundle, a thirteenth of another shape waits on its own, and what came later is not approved', async () => {
    const twelve: { id: string; end: Promise<string> }[] = []
    for (let id = 1; id <= 12; id += 1) twelve.push(await held(update(id)))
    const other = await held('update inventory set qty = 13 where id = 13 and qty = 0')
    const [bundle, ...more] = await bundles()
    assert.ok(bundle)
    assert.deepEqual([bundle.title, more], ['12 UPDATE on public.inventory', []])
    assert.deepEqual(
      bundle.requests.map(({ id, text }) => [id, text]),
      twelve.map(({ id }, n) => [id, update(n + 1)]),
    )
    const shown = await cli('approvals', 'bundles')
    for (let id = 1; id <= 12; id += 1) assert.ok(shown.out.includes(update(id)), shown.out)
    assert.doesNotMatch(shown.out, /qty = 13/)

    const late = await held(update(14))
    const refused = await cli('approve', '--bundle', bundle.id)
    assert.deepEqual([refused.code === 0, /there is no bundle/.test(refused.err)], [false, true])
    const path = `/v1/approvals/bundles/${bundle.id}/answer`
    const ids = twelve.map(({ id }) => id)
    const yes = { decision: 'approve', ids }
    assert.equal((await gateway.api('POST', path, yes)).status, 403)
    assert.equal(await changed('true'), '0')
    await calls.answer(late.id, 'deny')

    for (const wrong of [
      { ...yes, ids: ids.slice(1) },
      { ...yes, ids: [...ids, other.id] },
    ])
      assert.equal((await gateway.api('POST', path, wrong)).status, 403)
    for (const wrong of [{ decision: 'approve' }, { ...yes, shape: '30m' }, { ...yes, ids: 'all' }])
      assert.equal((await gateway.api('POST', path, wrong)).status, 400)
    const done = await cli('approve', '--bundle', bundle.id, '--note', 'all seen')
    assert.deepEqual([done.code, done.err], [0, ''])
    assert.match(done.out, /approved: 12 UPDATE on public\.inventory/)
    for (const { end } of twelve) assert.equal(await end, 'ran')
    assert.equal(await changed('id <= 12'), '12')
    assert.equal(await changed('id > 12'), '0')
    await calls.answer(other.id, 'deny')
  })

  test('an agent sees the bundle of its tree, and answers none', async () => {
    const all: { id: string; end: Promise<string> }[] = []
    for (let id = 21; id <= 31; id += 1) all.push(await held(update(id)))
    const [bundle] = (await family.ask(
      'GET',
      '/v1/approvals/bundles',
      undefined,
      root.handle,
    )) as BundleView[]
    assert.equal(bundle?.requests.length, 11)
    assert.ok(bundle.requests.every(({ preview }) => preview === undefined))
    const child = await family.child(root, 'outside')
    const none = await family.ask('GET', '/v1/approvals/bundles', undefined, child.handle)
    assert.deepEqual(none, [])
    const path = `/v1/approvals/bundles/${bundle.id}/answer`
    const yes = { decision: 'approve', ids: all.map(({ id }) => id) }
    assert.equal((await family.tryAsk('POST', path, yes, root.handle)).status, 403)
    const denied = await cli('deny', '--bundle', bundle.id, '--note', 'use one statement')
    assert.equal(denied.code, 0, denied.err)
    for (const { end } of all) assert.match(await end, /^denied by \w+: "use one statement"$/)
    assert.equal(await changed('id > 12'), '0')
  })
})
