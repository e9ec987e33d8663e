import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import type { Client } from 'pg'
import { skipReason, until } from '@sallyport/testkit'
import { AgentFamily } from './agent-family.ts'
import { ApprovalCalls } from './approval-calls.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: ask}
spec:
  owner: group:test
  rules:
    - name: deletes
      on: sql
      when: '"delete" in op.classes'
      effect: approve
      approve: {from: [owner], selfRoot: allow}
      message: "The owner looks."
`

suite('who is asked often', { skip: skipReason(), timeout: 100_000 }, () => {
  let gateway: TestGateway
  let calls: ApprovalCalls
  let client: Client
  before(async () => {
    gateway = await startTestGateway({
      policy,
      seed: 'create table t(id int)',
      approvalsPerMinute: 2,
    })
    calls = new ApprovalCalls(gateway)
    assert.ok((await gateway.api('PATCH', '/v1/connections/shop', { notices: 'always' })).ok)
    const family = new AgentFamily(gateway)
    client = await family.session(await family.root())
  })
  after(async () => {
    await client?.end()
    await gateway[Symbol.asyncDispose]()
  })

  test('approves so many a minute and no more, and the tree that asks reads that it asks often', async () => {
    const notices: string[] = []
    client.on('notice', ({ message }) => notices.push(message ?? ''))
    const run = async (id: number, decision: 'approve' | 'deny'): Promise<number> => {
      const ran = client.query(`delete from t where id = ${id}`).catch(() => undefined)
      const held = await calls.waiting(new RegExp(`id = ${id}$`))
      const { status } = await calls.tryAnswer(held.id, decision)
      if (status !== 200) await calls.answer(held.id, 'deny')
      await ran
      return status
    }
    assert.deepEqual([await run(1, 'approve'), await run(2, 'approve')], [200, 200])
    assert.equal(await run(3, 'approve'), 403)
    for (let id = 4; id <= 10; id += 1) assert.equal(await run(id, 'deny'), 200)
    assert.equal(
      notices.some((text) => text.includes('requests of this tree')),
      false,
    )
    const eleventh = client.query('delete from t where id = 11').catch(() => undefined)
    const { id } = await calls.waiting(/id = 11$/)
    await until('it is told', () =>
      notices.some((text) => text.includes('11 requests of this tree within 10 min')),
    )
    assert.equal((await calls.get(id)).often, 11)
    await calls.answer(id, 'deny')
    await eleventh
  })
})
