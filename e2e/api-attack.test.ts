import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { skipReason } from '@sallyport/testkit'
import { GatewayApi } from '../packages/cli/src/gateway-api.ts'
import { ProofKey } from '../packages/cli/src/proof-key.ts'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const self = '/v1/agents/self'
const me = { params: { id: 'self' } }
const exchangeType = 'urn:ietf:params:oauth:grant-type:token-exchange'
const jwtType = 'urn:ietf:params:oauth:grant-type:jwt-bearer'
/** A zero byte, half of a letter, an escape, a mark that turns the direction. */
const unfit = ['a\u0000b', 'a\ud800b', '\u001b[2J', 'a\u202eb']

suite('attacks on the API', { skip: skipReason(), timeout: 120_000 }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  let root: TestAgent
  before(async () => {
    gateway = await startTestGateway()
    family = new AgentFamily(gateway)
  })
  after(async () => {
    assert.deepEqual(
      gateway.events.filter(({ kind }) => kind === 'fault'),
      [],
      'no request makes the gateway fail',
    )
    await gateway[Symbol.asyncDispose]()
  })
  const family3 = async (): Promise<{ a: TestAgent; b: TestAgent; below: TestAgent }> => {
    root = await family.root()
    const a = await family.child(root, 'a')
    return { a, b: await family.child(root, 'b'), below: await family.child(a, 'below') }
  }
  const code = async (
    method: string,
    path: string,
    body: unknown,
    handle: string,
  ): Promise<string> => {
    const { status, answer } = await family.tryAsk(method, path, body, handle)
    const { error } = answer as { error?: { code: string } }
    return `${status} ${error?.code ?? ''}`.trim()
  }
  const url = (path: string): string => `http://127.0.0.1:${gateway.gateway.ports.api}${path}`
  const token = async (form: Record<string, string>): Promise<Record<string, unknown>> => {
    const answer = await fetch(url('/oauth/token'), {
      method: 'POST',
      body: new URLSearchParams(form),
    })
    return (await answer.json()) as Record<string, unknown>
  }

  test('a stolen handle that is bound to a key is worth nothing: not as a bearer, not as a subject token, not with a proof that was seen', async () => {
    const key = ProofKey.make()
    const owner = (await readFile(join(gateway.dataDir, 'owner.token'), 'utf8')).trim()
    const { handle, agent } = await new GatewayApi(url(''), owner).born(key, 'POST /v1/agents', {
      body: { allow: ['shop:*'] },
    })
    const mine = new GatewayApi(url(''), handle, key)
    assert.equal((await mine.call('GET /v1/agents/{id}', me)).id, agent.id)
    const child = await mine.call('POST /v1/agents/{id}/children', {
      ...me,
      body: { name: 'kid' },
    })
    for (const stolen of [handle, child.handle]) {
      assert.equal(await code('GET', self, undefined, stolen), '401 SP_LOGIN_REFUSED')
      assert.equal(await code('POST', `${self}/revoke`, {}, stolen), '401 SP_LOGIN_REFUSED')
      assert.equal(
        await code('POST', `${self}/credentials`, { connection: 'shop' }, stolen),
        '401 SP_LOGIN_REFUSED',
      )
      const thief = new GatewayApi(url(''), stolen, ProofKey.make())
      await assert.rejects(thief.call('GET /v1/agents/{id}', me), { code: 'SP_LOGIN_REFUSED' })
    }
    const exchange = {
      grant_type: exchangeType,
      subject_token: handle,
      subject_token_type: 'urn:sallyport:token-type:agent',
      name: 'x',
    }
    assert.equal((await token(exchange))['error'], 'invalid_grant')
    const from = async (dpop: string): Promise<Record<string, unknown>> => {
      const body = new URLSearchParams(exchange)
      const answer = await fetch(url('/oauth/token'), { method: 'POST', headers: { dpop }, body })
      return (await answer.json()) as Record<string, unknown>
    }
    const foreign = await from(ProofKey.make().proof('POST', url('/oauth/token')))
    assert.equal(foreign['error'], 'invalid_grant')
    const proof = key.proof('POST', url('/oauth/token'))
    assert.equal((await from(proof))['token_type'], 'DPoP')
    assert.equal((await from(proof))['error'], 'invalid_dpop_proof')
    // The header of a request that somebody saw.
    const seen = { authorization: `DPoP ${handle}`, dpop: key.proof('GET', url(self), handle) }
    const replay = async (): Promise<number> => (await fetch(url(self), { headers: seen })).status
    const together = await Promise.all(Array.from({ length: 8 }, replay))
    assert.equal(together.filter((status) => status === 200).length, 1)
    assert.equal(together.filter((status) => status === 401).length, 7)
    await mine.call('POST /v1/agents/{id}/end', me)
  })

  test('parents, siblings and other trees read like nothing on every route', async () => {
    const { a, b } = await family3()
    const stranger = await family.root()
    const nobody = 'a_0000000000000'
    const posts = 'children tickets credentials narrow renew end revoke freeze beat'.split(' ')
    for (const id of [root.id, b.id, stranger.id, stranger.id.slice(0, 9)]) {
      for (const path of ['', '/tree', '/budget']) {
        const asked = await family.tryAsk('GET', `/v1/agents/${id}${path}`, undefined, a.handle)
        const none = await family.tryAsk('GET', `/v1/agents/${nobody}${path}`, undefined, a.handle)
        const sameAs = JSON.stringify(none).replaceAll(nobody, id)
        assert.equal(JSON.stringify(asked), sameAs, path)
      }
      for (const verb of posts) {
        for (const body of [
          {},
          { name: 'x', connection: 'shop', ttl: '1s', allow: ['shop:read'] },
        ]) {
          const got = await code('POST', `/v1/agents/${id}/${verb}`, body, a.handle)
          assert.equal(got, '404 SP_NOT_FOUND', verb)
        }
      }
      const thaw = await code('POST', `/v1/agents/${id}/unfreeze`, {}, a.handle)
      assert.equal(thaw, await code('POST', `/v1/agents/${nobody}/unfreeze`, {}, a.handle))
    }
    const all = [root.id, b.id, stranger.id].map((id) => family.ask('GET', `/v1/agents/${id}`))
    for (const view of await Promise.all(all))
      assert.equal((view as { state: string }).state, 'active')
  })

  test('handles of agents that ended or were revoked open no route', async () => {
    for (const end of ['end', 'revoke'] as const) {
      const { a } = await family3()
      await family.ask('POST', `/v1/agents/${a.id}/${end}`, {})
      const gone = end === 'end' ? '401 SP_AGENT_ENDED' : '401 SP_AGENT_REVOKED'
      for (const path of ['/v1/agents', '/v1/events', self, `${self}/tree`, `${self}/budget`])
        assert.equal(await code('GET', path, undefined, a.handle), gone, path)
      const posts =
        'children tickets credentials narrow renew end revoke freeze beat unfreeze'.split(' ')
      for (const verb of posts)
        assert.equal(await code('POST', `${self}/${verb}`, {}, a.handle), gone, verb)
      const exchanged = await token({
        grant_type: exchangeType,
        subject_token_type: 'urn:sallyport:token-type:agent',
        subject_token: a.handle,
      })
      assert.equal(exchanged['error'], 'invalid_grant')
    }
  })

  test('a prefix says nothing of agents that the caller does not reach', async () => {
    const { a } = await family3()
    // Of 1,024 beginnings, some agent of another tree soon shares one with an agent below.
    const strangers = new Set<string>()
    for (let made = 0; made < 60; made += 1) strangers.add((await family.root()).id.slice(0, 4))
    let twin: TestAgent | undefined
    for (let tries = 0; twin === undefined && tries < 400; tries += 1) {
      const { agents } = gateway.gateway
      const layers = { layers: [], born: 'mint', handle: true } as const
      const made = await agents.spawn(a.id, { name: 'x', ...layers }).catch(() => undefined)
      if (made === undefined) await new Promise((resolve) => setTimeout(resolve, 100))
      else if (strangers.has(made.agent.id.slice(0, 4))) {
        twin = { id: made.agent.id, handle: made.handle ?? '', cut: [] }
      } else await agents.end(made.agent.id, 'test')
    }
    assert.ok(twin !== undefined, 'two agents with one beginning')
    const found = await family.ask(
      'GET',
      `/v1/agents/${twin.id.slice(0, 4)}`,
      undefined,
      twin.handle,
    )
    assert.equal((found as { id: string }).id, twin.id)
  })

  test('texts with characters that cannot be seen are refused, and nothing fails', async () => {
    const { a, below } = await family3()
    for (const text of unfit) {
      const wrong = [
        ['children', { name: 'x', purpose: text }],
        ['children', { name: 'x', declared: { host: text } }],
        ['children', { name: 'x', declared: { [text]: 'x' } }],
        ['children', { name: text }],
        ['children', { name: 'x', allow: [`shop:read table="${text}"`] }],
        ['tickets', { name: 'x', purpose: text }],
        ['tickets', { name: 'x', expect: { iss: text } }],
        ['freeze', { reason: text }],
        ['revoke', { reason: text }],
        ['end', { reason: text }],
      ] as const
      for (const [verb, body] of wrong) {
        const got = await code('POST', `/v1/agents/${below.id}/${verb}`, body, a.handle)
        assert.equal(got, '400 SP_CONFIG_INVALID', `${verb} ${JSON.stringify(body)}`)
      }
      const exchanged = await token({
        grant_type: exchangeType,
        subject_token_type: 'urn:sallyport:token-type:agent',
        subject_token: a.handle,
        purpose: text.toWellFormed(),
      })
      assert.equal(exchanged['error'], text.isWellFormed() ? 'invalid_request' : undefined)
    }
    assert.equal(await code('GET', self, undefined, below.handle), '200')
  })

  test('a grant of more permits than a gateway judges is refused before it is compared', async () => {
    const { a } = await family3()
    const allow = Array.from({ length: 65 }, (_, at) => `shop:read table=t${at}`)
    for (const [verb, body] of [
      ['narrow', { allow }],
      ['children', { name: 'x', allow }],
      ['tickets', { name: 'x', allow }],
    ] as const)
      assert.equal(await code('POST', `${self}/${verb}`, body, a.handle), '400 SP_CONFIG_INVALID')
    const scopes = Array.from({ length: 65 }, (_, at) => `shop${at}:read`)
    const asked = { grant_type: jwtType, assertion: 'x' }
    for (const form of [
      { scope: scopes.join(' ') },
      { authorization_details: JSON.stringify([{ type: 'sallyport_grant', allow: scopes }]) },
    ])
      assert.match(
        String((await token({ ...asked, ...form }))['error_description']),
        /at most 64 permits/,
      )
  })

  test('a token that names its issuer by anything but a text is refused like any other', async () => {
    const part = (value: unknown): string =>
      Buffer.from(JSON.stringify(value)).toString('base64url')
    for (const iss of [5, true, { a: 1 }, ['x'], null]) {
      const assertion = `${part({ alg: 'RS256' })}.${part({ iss })}.AAAA`
      const { error, code: ours } = await token({ grant_type: jwtType, assertion })
      assert.deepEqual([error, ours], ['invalid_grant', 'SP_TOKEN_REFUSED'])
    }
  })

  test('a page of another name that leads to this machine is not served', async () => {
    const ask = async (host: string, path: string): Promise<number | undefined> =>
      await new Promise((resolve, reject) => {
        const port = gateway.gateway.ports.api
        const sent = request({ host: '127.0.0.1', port, path, headers: { host } }, (answer) => {
          answer.resume()
          resolve(answer.statusCode)
        })
        sent.on('error', reject)
        sent.end()
      })
    for (const path of ['/healthz', '/device', '/.well-known/openid-configuration'])
      for (const host of [
        'evil.example',
        'evil.example:80',
        '127.0.0.1.evil.example',
        'localhost.evil',
      ])
        assert.equal(await ask(host, path), 421, `${host}${path}`)
    for (const host of ['localhost', 'localhost:1', '127.0.0.1', '[::1]:8', 'LOCALHOST'])
      assert.equal(await ask(host, '/healthz'), 200, host)
  })

  test('who froze an agent stays what it was, whatever the agent says next', async () => {
    const { a } = await family3()
    await family.freeze(a, 'an incident')
    await family.ask('POST', `${self}/freeze`, { reason: 'nothing to see' }, a.handle)
    const { ended } = (await family.ask('GET', `/v1/agents/${a.id}`)) as {
      ended: { by: string; reason: string }
    }
    assert.equal(ended.reason, 'an incident')
    await family.unfreeze(a)
    assert.equal(await code('POST', `${self}/renew`, { ttl: '1m' }, a.handle), '200')
  })

  test('who watches with a handle hears nothing once it is replaced or over', async () => {
    root = await family.root()
    const watch = async (handle: string): Promise<string> => {
      const answer = await fetch(url('/v1/events'), {
        headers: { authorization: `Bearer ${handle}` },
      })
      return await answer.text()
    }
    const make = async (): Promise<TestAgent> => {
      const answer = await fetch(url(`${self}/children`), {
        method: 'POST',
        headers: {
          authorization: `Bearer ${root.handle}`,
          'content-type': 'application/json',
          'idempotency-key': 'one',
        },
        body: JSON.stringify({ name: 'watcher' }),
      })
      const { agent, handle } = (await answer.json()) as { agent: { id: string }; handle: string }
      return { id: agent.id, handle, cut: [] }
    }
    const first = await make()
    const replaced = watch(first.handle)
    const second = await make()
    assert.equal(second.id, first.id)
    const over = watch(second.handle)
    await family.child(second, 'unheard')
    assert.doesNotMatch(await replaced, /unheard/)
    await family.revoke(second)
    assert.match(await over, /unheard[^]*event: revoked/)
  })

  test('of many who redeem one ticket at once, one has a child', async () => {
    const { a } = await family3()
    const { ticket } = (await family.ask('POST', `${self}/tickets`, { name: 'far' }, a.handle)) as {
      ticket: string
    }
    const redeem = (): Promise<string> => code('POST', '/v1/tickets/redeem', { ticket }, 'none')
    const answers = await Promise.all(Array.from({ length: 8 }, redeem))
    assert.equal(answers.filter((answer) => answer === '201').length, 1, answers.join())
    // A tree makes ten children a second, and the family was made in this one: some may be told to wait.
    for (const answer of answers.filter((each) => each !== '201'))
      assert.match(answer, /^(400 SP_TICKET_SPENT|429 )/)
  })
})
