import assert from 'node:assert/strict'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { ApprovalCalls } from './approval-calls.ts'
import { TestService } from './service-root.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = (when: string): string => `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: ask}
spec:
  owner: group:test
  rules:
    - name: deletes
      on: sql
      when: ${when}
      effect: approve
      approve: {from: [owner], selfRoot: allow}
      message: "The owner looks."
`
const deletes = policy('\'"delete" in op.classes\'')

suite('who changed the rule or the grant does not approve by it', { skip: skipReason() }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  let calls: ApprovalCalls
  let service: TestService
  before(async () => {
    gateway = await startTestGateway({
      policy: deletes,
      seed: 'create table t(id int)',
      prepare: async (dataDir) => {
        service = await TestService.prepare(dataDir, 'jobs')
      },
    })
    family = new AgentFamily(gateway)
    calls = new ApprovalCalls(gateway)
  })
  after(async () => await gateway[Symbol.asyncDispose]())

  /** What the owner's yes to a command of this agent comes to; who may not say yes may still say no. */
  const approve = async (agent: TestAgent, id: number): Promise<string> => {
    const client = await family.session(agent)
    const text = `delete from t where id = ${id}`
    const ran = client.query(text).then(
      () => 'ran',
      (error: Error) => error.message,
    )
    const held = await calls.waiting(new RegExp(`${text}$`))
    const said = await calls.tryAnswer(held.id, 'approve')
    const { error } = (await said.json()) as { error?: { code: string; message: string } }
    if (error !== undefined) await calls.answer(held.id, 'deny', 'no')
    const end = await ran
    await client.end()
    assert.equal(end === 'ran', error === undefined, end)
    return error === undefined ? end : `${error.code} ${error.message}`
  }

  test('an agent that the owner made or renewed in the tree of a service, but not one that the tree made', async () => {
    const root = await service.root(gateway)
    assert.equal(await approve(root, 1), 'ran')
    const own = await family.child(root, 'own')
    assert.equal(await approve(own, 2), 'ran')
    const path = `/v1/agents/${root.id}/children`
    const made = (await family.ask('POST', path, { name: 'made', allow: ['shop:*'] })) as {
      agent: { id: string }
      handle: string
    }
    const child = { id: made.agent.id, handle: made.handle, cut: [] }
    const refused = /^SP_APPROVAL_REFUSED changed-the-grant: .* made a_\w+, so that somebody else/
    assert.match(await approve(child, 3), refused)
    // Nor what it made, which holds what it was given.
    assert.match(await approve(await family.child(child, 'below'), 4), refused)
    await family.ask('POST', `/v1/agents/${own.id}/renew`, { ttl: '50m' })
    assert.match(await approve(own, 5), /changed-the-grant: .* put off the end of a_/)
    assert.equal(await approve(root, 6), 'ran')
  })

  test('what the owner made for themself is for `selfRoot`', async () => {
    const root = await family.root()
    assert.equal(await approve(root, 7), 'ran')
    assert.equal(await approve(await family.child(root, 'child'), 8), 'ran')
  })

  test('a version that the owner has put in force again, but not a file that somebody edited', async () => {
    const root = await family.root()
    await calls.load(policy('op.verb == "delete"'))
    assert.equal(await approve(root, 9), 'ran')
    const versions = (await (await gateway.api('GET', '/v1/policies/versions')).json()) as {
      version: number
      author: string
    }[]
    const before = versions[1]?.version ?? 0
    const reverted = await gateway.api('POST', `/v1/policies/versions/${before}/revert`)
    assert.equal(reverted.status, 201)
    const said =
      /^SP_APPROVAL_REFUSED changed-the-rule: .* changed the policy of ask\/deletes by version/
    assert.match(await approve(root, 10), said)
    // The version of the folder stays the one of the owner, whatever its files are touched.
    await gateway.writePolicy(`${deletes}\n# touched\n`)
    assert.match(await approve(root, 11), said)
  })
})
