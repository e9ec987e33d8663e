import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Secret } from '@sallyport/core'
import { sql } from 'kysely'
import { createLocalJWKSet, jwtVerify } from 'jose'
import { apiRoutes } from '../api/api-routes.ts'
import { DpopProofs } from '../dpop.ts'
import { LineageKey } from '../keys/lineage-key.ts'
import { SourceRates } from '../source-rates.ts'
import { CallerRates } from './caller-rates.ts'
import { agentRoutes } from './agent-routes.ts'
import { StoredProofUses } from './proof-uses.ts'
import { type Bench, onBothStores, unseen } from './agents.fixture.ts'

interface Answer {
  readonly status: number
  readonly headers: Headers
  readonly body: Record<string, never> & { readonly error?: { code: string; message: string } }
}

const keys = mkdtempSync(join(tmpdir(), 'sallyport-lineage-'))
const lineageKey = await LineageKey.open(keys)
after(() => rmSync(keys, { recursive: true, force: true }))

onBothStores('routes of agents', (bench: Bench) => {
  const call = async (
    method: string,
    path: string,
    token: string,
    body?: unknown,
    key?: string,
  ): Promise<Answer> => {
    const ownerToken = new Secret('owner')
    const agents = agentRoutes({
      agents: bench.service,
      ownerToken,
      owner: 'dana',
      address: () => ({ host: '127.0.0.1', port: 15_432 }),
      connections: async () => [
        { name: 'orders', database: 'orders' },
        { name: 'other', database: 'other' },
      ],
      lineageKey,
      proofs: new DpopProofs(new StoredProofUses(bench.store)),
      ownUrls: () => ['https://gw.example.com', 'http://127.0.0.1:8700'],
      gatewayUrl: () => 'https://gw.example.com',
      sources: new SourceRates(),
      callers: unseen,
      rates: new CallerRates(),
    })
    const response = await apiRoutes({ refused: () => undefined } as never, ownerToken, unseen, [
      agents,
    ]).request(path, {
      method,
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        ...(key === undefined ? {} : { 'idempotency-key': key }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    return {
      status: response.status,
      headers: response.headers,
      body: (await response.json()) as Answer['body'],
    }
  }
  const born = async (
    path: string,
    token: string,
    body: unknown,
  ): Promise<{ id: string; handle: string; grant: string[] }> => {
    const made = await call('POST', path, token, body)
    assert.equal(made.status, 201, JSON.stringify(made.body))
    const { agent, handle } = made.body as unknown as {
      agent: { id: string; grant: string[] }
      handle: string
    }
    return { id: agent.id, grant: agent.grant, handle }
  }
  const codeOf = ({ status, body }: Answer): [number, string | undefined] => [
    status,
    body.error?.code,
  ]

  test('the owner makes a root, it makes a child, the child gets a credential', async () => {
    const root = await born('/v1/agents', 'owner', {
      name: 'dana',
      allow: ['orders:rw'],
      ttl: '2h',
      budget: { commands: 9 },
    })
    const child = await born('/v1/agents/self/children', root.handle, {
      name: 'scout',
      allow: ['orders:read'],
      ttl: '20m',
      purpose: 'look',
    })
    assert.deepEqual(child.grant, ['orders:read'])
    const minted = await call('POST', '/v1/agents/self/credentials', child.handle, {
      connection: 'orders',
    })
    assert.equal(minted.status, 201)
    const { user, secret, url, expiresAt } = minted.body as unknown as Record<string, string>
    const opened = await call('GET', '/v1/agents/self/connections', child.handle)
    assert.deepEqual(opened.body, [{ name: 'orders', database: 'orders' }])
    assert.equal(url, `postgresql://${user}:${secret}@127.0.0.1:15432/orders?sslmode=require`)
    assert.equal(Date.parse(expiresAt ?? ''), bench.nowMs + 15 * 60_000)
    const tree = await call('GET', `/v1/agents/${root.id.slice(0, 8)}/tree`, root.handle)
    assert.match(
      JSON.stringify(tree.body),
      /"children":\[\{"agent":\{"id":"a_[^"]+","name":"scout"/,
    )
    const budget = await call('GET', '/v1/agents/self/budget', child.handle)
    assert.deepEqual(budget.body, [
      { agent: root.id, name: 'dana', kind: 'commands', cap: 9, used: 0 },
    ])
  })

  test('an agent reaches itself and what is below, and the rest reads like nothing', async () => {
    const root = await born('/v1/agents', 'owner', {})
    const a = await born('/v1/agents/self/children', root.handle, { name: 'a' })
    const b = await born('/v1/agents/self/children', root.handle, { name: 'b' })
    const below = await born(`/v1/agents/${a.id}/children`, root.handle, { name: 'below' })
    for (const id of [b.id, root.id, 'a_0000000000000']) {
      assert.deepEqual(codeOf(await call('GET', `/v1/agents/${id}`, a.handle)), [
        404,
        'SP_NOT_FOUND',
      ])
      assert.deepEqual(
        codeOf(await call('POST', `/v1/agents/${id}/revoke`, a.handle, { reason: 'x' })),
        [404, 'SP_NOT_FOUND'],
      )
      assert.deepEqual(
        codeOf(await call('POST', `/v1/agents/${id}/children`, a.handle, { name: 'x' })),
        [404, 'SP_NOT_FOUND'],
      )
    }
    const seen = (await call('GET', '/v1/agents', a.handle)).body as unknown as { id: string }[]
    assert.deepEqual(seen.map(({ id }) => id).toSorted(), [a.id, below.id].toSorted())
    assert.deepEqual(codeOf(await call('POST', '/v1/agents', a.handle, {})), [
      403,
      'SP_NOT_GRANTED',
    ])
  })

  test('no other token and no other secret opens the routes', async () => {
    const root = await born('/v1/agents', 'owner', {})
    const { body } = await call('POST', '/v1/agents/self/credentials', root.handle, {
      connection: 'orders',
    })
    const ticket = await call('POST', '/v1/agents/self/tickets', root.handle, { name: 'x' })
    const secrets = [
      (body as unknown as { secret: string }).secret,
      (ticket.body as unknown as { ticket: string }).ticket,
    ]
    const twisted = `${root.handle.slice(0, -1)}${root.handle.endsWith('0') ? '1' : '0'}`
    for (const token of ['', 'x', root.id, twisted, ...secrets])
      assert.deepEqual(
        codeOf(await call('GET', '/v1/agents/self', token)),
        [401, 'SP_LOGIN_REFUSED'],
        token,
      )
    const recordings = ['', '/s_', '/s_%2F..%2F?as=html'].map((path) => `/v1/sessions${path}`)
    for (const path of [...recordings, '/v1/exports?session=s_', '/v1/status'])
      for (const token of ['', root.handle, ...secrets])
        assert.deepEqual(codeOf(await call('GET', path, token)), [401, 'SP_LOGIN_REFUSED'], path)
  })

  test('a revoked agent reads by whom and why, a frozen one waits for a person', async () => {
    const root = await born('/v1/agents', 'owner', {})
    const child = await born('/v1/agents/self/children', root.handle, { name: 'a' })
    const frozen = await call('POST', `/v1/agents/${child.id}/freeze`, root.handle, {
      reason: 'odd',
    })
    assert.deepEqual([frozen.status, (frozen.body as { state?: string }).state], [200, 'closed'])
    assert.equal((await call('GET', '/v1/agents/self', child.handle)).status, 200)
    const held = await call('POST', '/v1/agents/self/children', child.handle, { name: 'x' })
    assert.deepEqual(codeOf(held), [503, 'SP_AGENT_FROZEN'])
    assert.ok(held.headers.get('retry-after'))
    assert.deepEqual(codeOf(await call('POST', '/v1/agents/self/unfreeze', child.handle, {})), [
      403,
      'SP_NOT_GRANTED',
    ])
    assert.deepEqual(
      codeOf(await call('POST', `/v1/agents/${child.id}/unfreeze`, root.handle, {})),
      [403, 'SP_NOT_GRANTED'],
    )
    assert.equal((await call('POST', `/v1/agents/${child.id}/unfreeze`, 'owner', {})).status, 200)
    await call('POST', `/v1/agents/${child.id}/revoke`, 'owner', { reason: 'runaway' })
    const late = await call('GET', '/v1/agents/self', child.handle)
    assert.deepEqual(codeOf(late), [401, 'SP_AGENT_REVOKED'])
    assert.match(late.body.error?.message ?? '', /\(dana › a\) was revoked by dana at .*"runaway"/)
  })

  test('an agent ends itself, and its ticket makes a child elsewhere without any token', async () => {
    const root = await born('/v1/agents', 'owner', {})
    const ticket = await call('POST', '/v1/agents/self/tickets', root.handle, {
      name: 'far',
      allow: ['orders:read'],
    })
    const { ticket: text } = ticket.body as unknown as { ticket: string }
    const child = await born('/v1/tickets/redeem', '', { ticket: text, declared: { host: 'ci-7' } })
    assert.deepEqual(codeOf(await call('POST', '/v1/tickets/redeem', '', { ticket: text })), [
      400,
      'SP_TICKET_SPENT',
    ])
    const ended = await call('POST', '/v1/agents/self/end', child.handle)
    assert.equal((ended.body as { agents?: number }).agents, 1)
    assert.deepEqual(codeOf(await call('GET', '/v1/agents/self', child.handle)), [
      401,
      'SP_AGENT_ENDED',
    ])
  })

  test('narrow, renew and beat answer the agent', async () => {
    const root = await born('/v1/agents', 'owner', {})
    const narrowed = await call('POST', '/v1/agents/self/narrow', root.handle, {
      grant: { permits: [{ on: 'orders', allow: ['read'] }] },
    })
    const plain = await call('POST', '/v1/agents/self/narrow', root.handle, {
      allow: ['orders:read'],
    })
    assert.equal(plain.status, 200, JSON.stringify([narrowed.body, plain.body]))
    const renewed = await call('POST', '/v1/agents/self/renew', root.handle, { ttl: '10m' })
    assert.equal(
      Date.parse((renewed.body as unknown as { expiresAt: string }).expiresAt),
      bench.nowMs + 600_000,
    )
    assert.equal((await call('POST', '/v1/agents/self/beat', root.handle)).status, 200)
  })

  test('every wrong field is refused before anything is made', async () => {
    const root = await born('/v1/agents', 'owner', {})
    const before = bench.service.list().length
    const wrong = [
      {},
      { name: 'x', allow: 'orders:read' },
      { name: 'x', allow: ['orders:fly'] },
      { name: 'x', ttl: 5 },
      { name: 'x', ttl: '5 min' },
      { name: 'x', budget: { cpu: 1 } },
      { name: 'x', budget: { rows: -1 } },
      { name: 'x', parent: 'a_1' },
      { name: 'x', cut: 'yes' },
      { name: 'x', purpose: 'x'.repeat(501) },
      [],
    ]
    for (const body of wrong)
      assert.deepEqual(
        codeOf(await call('POST', '/v1/agents/self/children', root.handle, body)),
        [400, 'SP_CONFIG_INVALID'],
        JSON.stringify(body),
      )
    assert.equal(bench.service.list().length, before)
  })

  test('a create that is sent again makes no second agent', async () => {
    const root = await born('/v1/agents', 'owner', {})
    const make = (): Promise<Answer> =>
      call('POST', '/v1/agents/self/children', root.handle, { name: 'x' }, 'once')
    const ids = (await Promise.all([make(), make()])).map(
      ({ body }) => (body as unknown as { agent: { id: string } }).agent.id,
    )
    assert.equal(ids[0], ids[1])
  })

  test('a tree that spawns too fast is told when to try again', async () => {
    bench.spawnsPerSecond = 1
    await bench.restartService()
    const root = await born('/v1/agents', 'owner', {})
    await born('/v1/agents/self/children', root.handle, { name: 'x' })
    const refused = await call('POST', '/v1/agents/self/children', root.handle, { name: 'x' })
    assert.deepEqual(codeOf(refused), [429, 'SP_SPAWN_LIMIT'])
    // So are those whose asks are refused, and those who ask for tickets: the comparing of grants is what costs.
    const other = await born('/v1/agents', 'owner', { allow: ['orders:read'] })
    const wide = { name: 'x', allow: ['orders:write'] }
    for (const code of ['SP_GRANT_EXCEEDS_PARENT', 'SP_SPAWN_LIMIT'])
      assert.equal(
        codeOf(await call('POST', '/v1/agents/self/children', other.handle, wide))[1],
        code,
      )
    const ticket = await call('POST', '/v1/agents/self/tickets', other.handle, { name: 'x' })
    assert.deepEqual(codeOf(ticket), [429, 'SP_SPAWN_LIMIT'])
    assert.equal(refused.headers.get('retry-after'), '1')
    bench.spawnsPerSecond = 1_000_000
    await bench.restartService()
  })

  test('a lineage says who made whom, signed, and to an agent no more than it may know', async () => {
    const root = await born('/v1/agents', 'owner', { allow: ['orders:*'] })
    const child = await born('/v1/agents/self/children', root.handle, {
      name: 'a',
      allow: ['orders:read'],
      purpose: 'to look',
    })
    const leaf = await born('/v1/agents/self/children', child.handle, { name: 'b' })
    await call('POST', `/v1/agents/${leaf.id}/narrow`, child.handle, { allow: ['orders:explain'] })
    interface Lineage {
      readonly path: readonly { id: string; name: string; born: string; grant?: string[] }[]
      readonly events: readonly { kind: string; agent: string; by: string }[]
      readonly act: unknown
    }
    const ask = async (token: string): Promise<{ lineage: Lineage; jws: string }> =>
      (await call('GET', `/v1/agents/${leaf.id}/lineage`, token)).body as never
    const { lineage, jws } = await ask('owner')
    assert.deepEqual(
      lineage.path.map(({ id, born: how }) => [id, how]),
      [
        [root.id, 'login'],
        [child.id, 'mint'],
        [leaf.id, 'mint'],
      ],
    )
    assert.deepEqual(lineage.act, { sub: leaf.id, act: { sub: child.id, act: { sub: root.id } } })
    assert.deepEqual(
      lineage.events.filter(({ agent }) => agent === leaf.id).map(({ kind, by }) => [kind, by]),
      [
        ['born', 'a'],
        ['narrowed', 'a'],
      ],
    )
    const { body: keySet } = await call('GET', '/oauth/jwks', '')
    const { payload } = await jwtVerify(jws, createLocalJWKSet(keySet as never), {
      issuer: 'https://gw.example.com',
      typ: 'sallyport-lineage+jwt',
    })
    assert.deepEqual({ ...payload }, lineage as never)
    const forged = jws.slice(0, -4) + (jws.endsWith('AAAA') ? 'BBBB' : 'AAAA')
    await assert.rejects(jwtVerify(forged, createLocalJWKSet(keySet as never)))
    assert.ok(!JSON.stringify(keySet).includes('"d"'))
    const own = await ask(leaf.handle)
    assert.deepEqual(
      own.lineage.path.map(({ name, grant }) => [name, grant !== undefined]),
      [
        ['dana', false],
        ['a', false],
        ['b', true],
      ],
    )
    assert.doesNotMatch(JSON.stringify(own.lineage), /to look|orders:\*/)
    assert.ok(own.lineage.events.every(({ agent }) => agent === leaf.id))
    const up = await call('GET', `/v1/agents/${root.id}/lineage`, leaf.handle)
    assert.deepEqual(codeOf(up), [404, 'SP_NOT_FOUND'])
  })

  test('a report is read by whom it concerns, and an end is put off only from above', async () => {
    const root = await born('/v1/agents', 'owner', {})
    const other = await born('/v1/agents', 'owner', {})
    const child = await born('/v1/agents/self/children', root.handle, { name: 'a', ttl: '10m' })
    const later = { ttl: '20m' }
    const own = await call('POST', '/v1/agents/self/renew', child.handle, later)
    assert.deepEqual(codeOf(own), [400, 'SP_CONFIG_INVALID'])
    const renewed = await call('POST', `/v1/agents/${child.id}/renew`, root.handle, later)
    assert.equal(renewed.status, 200)
    const path = `/v1/agents/${child.id}/revoke`
    const odd = await call('POST', `${path}?wait=forever`, root.handle, {})
    assert.deepEqual(codeOf(odd), [400, 'SP_CONFIG_INVALID'])
    const ended = await call('POST', `${path}?wait=closed`, root.handle, { reason: 'x' })
    const { epoch, state } = ended.body as unknown as { epoch: number; state: string }
    assert.equal(state, 'closed')
    const read = async (token: string, of: number | string = epoch): Promise<Answer> =>
      await call('GET', `/v1/revocations/${of}`, token)
    assert.equal((await read(root.handle)).status, 200)
    assert.equal((await read('owner')).status, 200)
    const strangers = [await read(other.handle), await read('owner', 99_999)]
    for (const each of [...strangers, await read('owner', 'x'), await read('owner', '1e400')])
      assert.deepEqual(codeOf(each), [404, 'SP_NOT_FOUND'])
  })

  test('a reservation names what it reserves', async () => {
    const root = await born('/v1/agents', 'owner', { budget: { commands: 10 } })
    const ask = async (body: unknown): Promise<unknown[]> =>
      codeOf(await call('POST', '/v1/agents/self/children', root.handle, body))
    assert.deepEqual(await ask({ name: 'x', reserve: true }), [400, 'SP_CONFIG_INVALID'])
    const made = { name: 'x', reserve: true, budget: { commands: 8 } }
    await born('/v1/agents/self/children', root.handle, made)
    assert.deepEqual(await ask(made), [429, 'SP_BUDGET_SPENT'])
  })

  test('those who watch hear of what is below them, and of nothing else', async () => {
    const root = await born('/v1/agents', 'owner', {})
    const other = await born('/v1/agents', 'owner', {})
    const agents = agentRoutes({
      agents: bench.service,
      ownerToken: new Secret('owner'),
      owner: 'dana',
      address: () => ({ host: '', port: 1 }),
      connections: async () => [],
      lineageKey,
      proofs: new DpopProofs(new StoredProofUses(bench.store)),
      ownUrls: () => ['https://gw.example.com', 'http://127.0.0.1:8700'],
      gatewayUrl: () => 'https://gw.example.com',
      sources: new SourceRates(),
      callers: unseen,
      rates: new CallerRates(),
    })
    const response = await agents.request('/v1/events', {
      headers: { authorization: `Bearer ${root.handle}` },
    })
    assert.match(response.headers.get('content-type') ?? '', /^text\/event-stream/)
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    assert.ok(reader !== undefined)
    let text = (await reader.read()).value ?? ''
    await born('/v1/agents/self/children', other.handle, { name: 'unseen' })
    await born('/v1/agents/self/children', root.handle, { name: 'seen' })
    while (!text.includes('seen"')) text += (await reader.read()).value ?? ''
    await reader.cancel()
    assert.match(
      text,
      /event: born\ndata: \{"kind":"born","agent":"a_[^"]+","chain":\["dana","seen"\]/,
    )
    assert.ok(!text.includes('unseen'))
  })

  test('nothing that the database holds logs in anywhere', async () => {
    const root = await born('/v1/agents', 'owner', {})
    const child = await born('/v1/agents/self/children', root.handle, { name: 'x' })
    const minted = (
      await call('POST', '/v1/agents/self/credentials', child.handle, { connection: 'orders' })
    ).body as unknown as { secret: string }
    const ticket = (await call('POST', '/v1/agents/self/tickets', child.handle, { name: 'y' }))
      .body as unknown as { ticket: string }
    const { rows: tables } = await sql<{ name: string }>`
      select table_name as name from information_schema.tables where table_schema = 'public'`.execute(
      bench.store.db,
    )
    let dump = ''
    for (const { name } of tables) {
      const { rows } = await sql<{
        row: string
      }>`select t::text as row from ${sql.table(name)} t`.execute(bench.store.db)
      dump += rows.map(({ row }) => row).join('\n')
    }
    assert.ok(dump.includes(child.id) && dump.length > 10_000, 'the dump sees rows')
    assert.doesNotMatch(dump, /sp[act]_[0-9a-z]{13}_/)
    for (const secret of [root.handle, child.handle, minted.secret, ticket.ticket]) {
      assert.ok(!dump.includes(secret.slice(-32)))
      assert.ok(!dump.includes(Buffer.from(secret).toString('base64').slice(0, 40)))
    }
    // Every word of it, tried as a token.
    const words = [...new Set(dump.match(/[\w+/=.-]{20,}/g))]
    assert.ok(words.length > 10)
    for (const word of words) assert.equal(bench.service.agentOfHandle(word), undefined)
  })
})
