import assert from 'node:assert/strict'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import fc from 'fast-check'
import type { Client } from 'pg'
import { skipReason, until } from '@sallyport/testkit'
import type { LedgerPage } from '@sallyport/gateway'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { ApiWalk } from './api-walk.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: ask}
spec:
  owner: group:test
  rules:
    - name: deletes
      on: sql
      when: op.verb == "delete"
      effect: approve
      approve: {from: [owner], offer: [once, shape-30m], shape: {maxRows: 20}, selfRoot: allow}
      message: "The owner looks."
    - name: updates
      on: sql
      when: op.verb == "update"
      effect: approve
      approve: {from: [owner], offer: [once, bundle], selfRoot: allow}
      message: "The owner looks."
    - name: no-drop
      on: sql
      when: op.verb == "drop"
      effect: block
      message: "Nothing is dropped."
`
const exportFile = (file: string): string => `apiVersion: sallyport.dev/v1
kind: Export
metadata: {name: all}
spec: {type: file, path: ${file}}
`
const glass = `apiVersion: sallyport.dev/v1
kind: BreakGlass
metadata: {name: oncall}
spec: {to: [owner], connections: [shop], max: 30m, review: ["group:security"]}
`
const seed = `
create table orders(id int primary key, status text);
insert into orders select g, 'new' from generate_series(1, 1000) g;
analyze;
`

/** The fact that a change leaves, or why it leaves none. */
const facts: Readonly<Record<string, { readonly fact: string } | { readonly none: string }>> = {
  'POST /v1/connections': { fact: 'connection.added' },
  'PATCH /v1/connections/{name}': { fact: 'connection.changed' },
  'DELETE /v1/connections/{name}': { fact: 'connection.removed' },
  'POST /v1/connections/{name}/test': { none: 'it tries, and changes nothing' },
  'POST /v1/connections/{name}/guard': { fact: 'guard.run' },
  'POST /v1/credentials': { fact: 'credential.issued' },
  'POST /v1/agents': { fact: 'agent.born' },
  'POST /v1/tickets/redeem': { fact: 'agent.born' },
  'POST /v1/agents/{id}/children': { fact: 'agent.born' },
  'POST /v1/agents/{id}/tickets': { fact: 'agent.ticket' },
  'POST /v1/agents/{id}/credentials': { fact: 'credential.issued' },
  'POST /v1/agents/{id}/narrow': { fact: 'agent.narrowed' },
  'POST /v1/agents/{id}/renew': { fact: 'agent.renewed' },
  'POST /v1/agents/{id}/beat': { none: 'it says that an agent lives, every few seconds' },
  'POST /v1/agents/{id}/end': { fact: 'agent.ended' },
  'POST /v1/agents/{id}/revoke': { fact: 'agent.revoked' },
  'POST /v1/agents/{id}/freeze': { fact: 'agent.frozen' },
  'POST /v1/agents/{id}/unfreeze': { fact: 'agent.unfrozen' },
  'POST /v1/policies/versions/{number}/revert': { fact: 'policies.loaded' },
  'POST /v1/policies/simulate': { fact: 'policies.simulated' },
  'POST /v1/policies/explain': { none: 'a command that nobody sends changes nothing' },
  'POST /v1/channels/{name}/test': { fact: 'channel.tested' },
  'DELETE /v1/channels/links/{team}/{user}': { fact: 'channel.unlinked' },
  'POST /v1/approvals/callback/{channel}': { fact: 'channel.answered' },
  'POST /v1/break-glass': { fact: 'breakglass.opened' },
  'POST /v1/break-glass/{id}/end': { fact: 'breakglass.ended' },
  'POST /v1/approvals/shapes/{id}/withdraw': { fact: 'approval.shape-ended' },
  'POST /v1/approvals/bundles/{id}/answer': { fact: 'approval.answered' },
  'POST /v1/approvals/{id}/answer': { fact: 'approval.answered' },
  'POST /v1/approvals/{id}/count': { fact: 'approval.counted' },
  'POST /v1/reindex': { fact: 'index.rebuilt' },
  'POST /v1/retention': { none: 'one fact for each recording, and none is due here' },
  'POST /v1/holds': { fact: 'hold.added' },
  'DELETE /v1/holds/{id}': { fact: 'hold.removed' },
  'POST /v1/incidents': { fact: 'incident.opened' },
  'POST /v1/incidents/{id}/close': { fact: 'incident.closed' },
  'POST /v1/keys/rotate': { fact: 'key.rotated' },
  'POST /v1/event-exports/{name}/test': { fact: 'export.tested' },
}

/** Who does not sign it reads nothing of what it takes. */
const signedCall = 'POST /v1/approvals/callback/{channel}'

/** Answered in a test of its own: what has to be there first is more than all the rest. */
const elsewhere: Readonly<Record<string, string>> = {
  'POST /v1/channels/{name}/test': 'channels have a receiver in their own tests',
  'DELETE /v1/channels/links/{team}/{user}': 'accounts are linked in the tests of channels',
  'POST /v1/approvals/callback/{channel}': 'what calls it back is signed, in the tests of channels',
}

suite('the API and its document', { skip: skipReason(), timeout: 200_000 }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  let walk: ApiWalk
  let root: TestAgent
  const clients: Client[] = []

  before(async () => {
    gateway = await startTestGateway({
      policy,
      seed,
      prepare: async (dataDir) => {
        await mkdir(join(dataDir, 'exports'), { mode: 0o700 })
        const text = exportFile(join(dataDir, 'events.ndjson'))
        await writeFile(join(dataDir, 'exports', 'all.yaml'), text)
        await mkdir(join(dataDir, 'identity'), { mode: 0o700 })
        await writeFile(join(dataDir, 'identity', 'glass.yaml'), glass)
      },
    })
    family = new AgentFamily(gateway)
    const token = (await readFile(join(gateway.dataDir, 'owner.token'), 'utf8')).trim()
    walk = await ApiWalk.open(gateway, token)
    root = await family.root()
  })
  after(async () => {
    for (const client of clients) await client.end()
    await gateway[Symbol.asyncDispose]()
  })

  const held = async (text: string, name: string): Promise<{ id: string; done: Promise<void> }> => {
    const client = await family.session(await family.child(root, name))
    clients.push(client)
    const done = client.query(text).then(
      () => undefined,
      () => undefined,
    )
    const { id } = await until(`${text} waits`, async () => {
      const all = await walk.call<{ id: string; text: string }[]>('GET /v1/approvals')
      return all.find((each) => each.text === text)
    })
    return { id, done }
  }
  const told = async (what: string): Promise<number> => {
    const query = { q: `what:${what}`, limit: 1000 }
    return (await walk.call<LedgerPage>('GET /v1/ledger', { query })).facts.length
  }
  /** As `call`, and its fact is in the ledger afterwards. */
  const change = async <Answer = unknown>(
    call: string,
    parts: Parameters<ApiWalk['call']>[1] = {},
  ): Promise<Answer> => {
    const rule = facts[call]
    assert.ok(rule, `${call} is in no list of facts`)
    if ('none' in rule) return await walk.call<Answer>(call, parts)
    const before = await told(rule.fact)
    const answer = await walk.call<Answer>(call, parts)
    await until(`${call} left ${rule.fact}`, async () => (await told(rule.fact)) > before)
    return answer
  }

  test('connections, credentials and the gateway itself', async () => {
    const name = 'second'
    const { port, database } = gateway.postgres
    const place = { host: '127.0.0.1', port, user: 'app', password: 'app-password', tls: 'off' }
    await change('POST /v1/connections', { body: { name, database, ...place } })
    await walk.call('GET /v1/connections')
    await walk.call('GET /v1/connections/{name}', { params: { name } })
    const body = { notices: 'always', trustedFunctions: ['app.score', 'app.score'] }
    const set = await change('PATCH /v1/connections/{name}', { params: { name }, body })
    assert.deepEqual((set as { trustedFunctions: unknown }).trustedFunctions, ['app.score'])
    await change('POST /v1/connections/{name}/test', { params: { name } })
    const plan = { params: { name }, body: { action: 'plan' } }
    await change('POST /v1/connections/{name}/guard', plan)
    await change('POST /v1/credentials', { body: { connection: name, ttlMs: 60_000 } })
    await change('DELETE /v1/connections/{name}', { params: { name } })
    for (const call of ['GET /healthz', 'GET /v1/openapi.json'])
      await walk.call(call, { token: null })
    await walk.call('GET /v1/status')
    await walk.call('GET /v1/keys')
    await change('POST /v1/keys/rotate')
    await walk.call('GET /v1/event-exports')
    await change('POST /v1/event-exports/{name}/test', { params: { name: 'all' } })
    await walk.call('GET /v1/channels')
    await walk.call('GET /v1/channels/links')
    await walk.call('GET /v1/channels/log', { query: { limit: 5 } })
    assert.equal(
      (await walk.send('POST /v1/channels/{name}/test', { params: { name: 'none' } })).status,
      404,
    )
  })

  test('agents', async () => {
    const events = walk.call('GET /v1/events', { lines: 1 })
    const made = await change<{ agent: { id: string }; handle: string }>('POST /v1/agents', {
      body: { allow: ['shop:*'], ttl: '1h', budget: { commands: 100 } },
      headers: { 'idempotency-key': 'one' },
    })
    await events
    const params = { id: made.agent.id }
    const self = { params: { id: 'self' }, token: made.handle }
    await walk.call('GET /v1/agents')
    for (const path of ['', '/tree', '/budget', '/connections', '/lineage'])
      await walk.call(`GET /v1/agents/{id}${path}`, self)
    const born = { body: { name: 'kid', declared: { run: '7' }, purpose: 'a look' } }
    const kid = await change<{ agent: { id: string } }>('POST /v1/agents/{id}/children', {
      ...self,
      ...born,
    })
    const { ticket } = await change<{ ticket: string }>('POST /v1/agents/{id}/tickets', {
      ...self,
      body: { name: 'far', ticketTtl: '5m' },
    })
    await change('POST /v1/tickets/redeem', { token: null, body: { ticket } })
    const spent = await walk.send('POST /v1/tickets/redeem', { token: null, body: { ticket } })
    assert.equal(spent.status, 400)
    await change('POST /v1/agents/{id}/credentials', { ...self, body: { connection: 'shop' } })
    const child = { params: { id: kid.agent.id } }
    await change('POST /v1/agents/{id}/narrow', { ...child, body: { allow: ['shop:read'] } })
    await change('POST /v1/agents/{id}/renew', { ...child, body: { ttl: '30m' } })
    await change('POST /v1/agents/{id}/beat', { params })
    const frozen = await change<{ epoch: number }>('POST /v1/agents/{id}/freeze', {
      ...child,
      body: { reason: 'a look' },
    })
    await walk.call('GET /v1/revocations/{epoch}', { params: { epoch: frozen.epoch } })
    await change('POST /v1/agents/{id}/unfreeze', child)
    await change('POST /v1/agents/{id}/revoke', { ...child, query: { wait: 'none' } })
    await change('POST /v1/agents/{id}/end', { params })
    assert.equal((await walk.send('GET /v1/agents/{id}', self)).status, 401)
  })

  test('approvals', async () => {
    const stream = walk.call('GET /v1/approvals/events', { lines: 1 })
    const one = await held('delete from orders where id = 1', 'first')
    await stream
    const params = { id: one.id }
    await walk.call('GET /v1/approvals', { query: { state: 'all' } })
    await walk.call('GET /v1/approvals/{id}', { params })
    await change('POST /v1/approvals/{id}/count', { params })
    const yes = { decision: 'approve', note: 'seen', shape: '30m' }
    await change('POST /v1/approvals/{id}/answer', { params, body: yes })
    await one.done
    await walk.call('GET /v1/approvals/shapes')
    await walk.call('GET /v1/approvals/stats')
    await change('POST /v1/approvals/shapes/{id}/withdraw', { params })
    const many = []
    for (let n = 1; n <= 11; n += 1)
      many.push(await held(`update orders set status = 'x' where id = ${n}`, `many-${n}`))
    const [bundle] = await until('they are a bundle', async () => {
      const found = await walk.call<{ id: string }[]>('GET /v1/approvals/bundles')
      return found.length > 0 && found
    })
    const ids = many.map(({ id }) => id)
    const no = { decision: 'deny', note: 'no', ids }
    const all = { params: { id: bundle?.id ?? '' }, body: no }
    await change('POST /v1/approvals/bundles/{id}/answer', all)
    for (const { done } of many) await done
  })

  test('broken glasses', async () => {
    const asked = { reason: 'nobody answers', connections: ['shop'], for: '5m' }
    const begun = await change<{ glass: { id: string } }>('POST /v1/break-glass', { body: asked })
    await walk.call('GET /v1/break-glass')
    await change('POST /v1/break-glass/{id}/end', { params: { id: begun.glass.id } })
  })

  test('recordings, incidents and policies', async () => {
    const client = await family.session(await family.child(root, 'reader'))
    clients.push(client)
    await client.query('select 1')
    await client.query('drop table orders').catch(() => undefined)
    const sessions = await walk.call<{ id: string; blocked: number }[]>('GET /v1/sessions')
    const session = sessions[0]?.id ?? assert.fail('no session')
    await until('it can be searched', async () => {
      const page = await walk.call<{ sessions: unknown[] }>('GET /v1/sessions', {
        query: { q: 'verdict:blocked', limit: 5 },
      })
      return page.sessions.length > 0
    })
    for (const as of ['ndjson', 'text', 'steps', 'csv', 'cast', 'html'])
      await walk.call('GET /v1/sessions/{session}', { params: { session }, query: { as } })
    const watched = walk.call('GET /v1/watch', { query: { of: session, as: 'steps' }, lines: 2 })
    await until('it is watched', async () => (await told('session.watched')) > 0)
    await client.query('select 2')
    await watched
    await walk.call('GET /v1/exports', { query: { session: [session, session.slice(0, 10)] } })
    await change('POST /v1/reindex')
    await until('the index is whole', async () => {
      const { search } = await walk.call<{ search: { rebuilding?: object } }>('GET /v1/status')
      return search.rebuilding === undefined
    })
    await walk.call('GET /v1/retention')
    await change('POST /v1/retention')
    const hold = await change<{ id: string }>('POST /v1/holds', {
      body: { subject: session, reason: 'case 1' },
    })
    await walk.call('GET /v1/holds')
    await change('DELETE /v1/holds/{id}', { params: { id: hold.id }, query: { reason: 'closed' } })

    const opened = { title: 'dropped', of: session, since: '1h' }
    const { id } = await change<{ id: string }>('POST /v1/incidents', { body: opened })
    await walk.call('GET /v1/incidents')
    await walk.call('GET /v1/incidents/{id}', { params: { id } })
    for (const as of ['json', 'markdown', 'zip'])
      await walk.call('GET /v1/incidents/{id}/report', { params: { id }, query: { as } })
    const note = { params: { id }, body: { note: 'nothing was lost' } }
    await change('POST /v1/incidents/{id}/close', note)

    await walk.call('GET /v1/policies/groups')
    const versions = await walk.call<{ version: number }[]>('GET /v1/policies/versions')
    const number = versions[0]?.version ?? 0
    await walk.call('GET /v1/policies/versions/{number}', { params: { number } })
    const files = await walk.call<object[]>('GET /v1/policies/files')
    const simulated = { body: { files, since: '1h' } }
    await change('POST /v1/policies/simulate', simulated)
    const tried = { connection: 'shop', agent: root.id, command: 'drop table orders' }
    await change('POST /v1/policies/explain', { body: tried })
    await walk.call('GET /v1/policies/recorded/{what}', { params: { what: session } })
    await walk.call('GET /v1/decisions/{what}', { params: { what: `${session}#1` } })
    await gateway.writePolicy(policy.replace('The owner looks.', 'The owner looks again.'))
    await until('a second version is there', async () => {
      const now = await walk.call<{ version: number }[]>('GET /v1/policies/versions')
      return now.length > versions.length
    })
    await change('POST /v1/policies/versions/{number}/revert', { params: { number } })
  })

  test('every operation was answered as its document says', () => {
    const missing = [...walk.operations.keys()].filter((call) => !walk.answered.has(call))
    assert.deepEqual(missing.toSorted(), Object.keys(elsewhere).toSorted())
  })

  test('every operation that changes something is in the list of facts, and no other', () => {
    const changes = [...walk.operations.keys()].filter((call) => !call.startsWith('GET '))
    assert.deepEqual(changes.toSorted(), Object.keys(facts).toSorted())
  })

  test('without a token nothing opens but what anybody may ask; an agent is no owner', async () => {
    for (const [call, { security }] of walk.operations) {
      const params = {
        id: root.id,
        channel: 'c',
        team: 'T1',
        user: 'U1',
        name: 'shop',
        session: 's_1',
        epoch: '1',
        number: '1',
        what: 'd_1',
      }
      if (security.length === 0) continue
      const nobody = await walk.send(call, { params, token: null })
      assert.equal(nobody.status, 401, call)
      if (security.length > 1) continue
      const { status } = await walk.send(call, { params, token: root.handle })
      assert.ok(status === 401 || status === 403, `${call}: ${status}`)
    }
  })

  test('whatever is sent, no answer is a fault, and no field that is not known is taken', async () => {
    const { id } = await family.child(root, 'target')
    const params = {
      id,
      channel: 'c',
      team: 'T1',
      user: 'U1',
      name: 'none',
      session: 's_0',
      epoch: '0',
      number: '1',
      what: 'x',
    }
    const bodies = [...walk.operations.keys()].filter((call) => /^(?:POST|PATCH)/u.test(call))
    const key = fc.oneof(
      fc.constantFrom('__proto__', 'constructor', 'name', 'allow', 'reason', 'host', 'decision'),
      fc.string({ maxLength: 12 }),
    )
    const value = fc.oneof(
      fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<unknown>,
      fc.constantFrom<unknown>('x'.repeat(70_000), -1, 1e308, '\0', '\ud800', [[]], { a: null }),
    )
    const body = fc.oneof(
      fc.dictionary(key, value, { maxKeys: 6 }).map((fields) => JSON.stringify(fields)),
      fc.jsonValue().map((each) => JSON.stringify(each)),
      fc.constantFrom(
        '{',
        'null',
        '[]',
        '"',
        '{"a":1,"a":2}',
        '{"name":"a","name":"b"}',
        '\ufeff{}',
      ),
    )
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...bodies), body, async (call, sent) => {
        const { status } = await walk.send(call, { params, body: sent })
        assert.notEqual(status, 500)
      }),
      { numRuns: 500, endOnFailure: true },
    )
    for (const call of bodies.filter((each) => each !== signedCall)) {
      const { status, answer } = await walk.send(call, { params, body: { nosuchfield: 1 } })
      assert.equal(status, 400, `${call}: ${JSON.stringify(answer)}`)
      assert.match(JSON.stringify(answer), /nosuchfield/u, call)
    }
    for (const call of walk.operations.keys()) {
      const { status } = await walk.send(call, { params, query: { nosuchfield: '1' } })
      assert.equal(status, call === signedCall ? 401 : 400, call)
    }
    const faults = gateway.events.filter(({ kind }) => kind === 'fault')
    assert.deepEqual(faults, [])
  })
})
