import assert from 'node:assert/strict'
import { request, type IncomingMessage } from 'node:http'
import { after, before, suite, test } from 'node:test'
import { skipReason, until } from '@sallyport/testkit'
import { CALLER_LIMITS } from '../packages/gateway/src/control-plane/agents/caller-rates.ts'
import type { Rate } from '../packages/gateway/src/control-plane/rates.ts'
import { SOURCE_LIMITS } from '../packages/gateway/src/control-plane/source-rates.ts'
import { AgentFamily, type TestAgent } from './agent-family.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const jwtType = 'urn:ietf:params:oauth:grant-type:jwt-bearer'

interface Said {
  readonly status: number
  readonly retryAfter: string | undefined
  readonly body: string
}

suite('asking too often', { skip: skipReason(), timeout: 120_000 }, () => {
  let gateway: TestGateway
  let family: AgentFamily
  before(async () => {
    gateway = await startTestGateway()
    family = new AgentFamily(gateway)
  })
  after(async () => {
    const faults = gateway.events.filter(({ kind }) => kind === 'fault')
    await gateway[Symbol.asyncDispose]()
    assert.deepEqual(faults, [])
  })

  /** From an address of this machine, which the gateway sees as another one. */
  const send = async (
    from: string,
    path: string,
    headers: Readonly<Record<string, string>>,
    body?: string,
  ): Promise<IncomingMessage> =>
    await new Promise((resolve, reject) => {
      const port = gateway.gateway.ports.api
      const method = body === undefined ? 'GET' : 'POST'
      const sent = request({ host: '127.0.0.1', port, path, method, headers, localAddress: from })
      sent.on('response', resolve).on('error', reject).end(body)
    })
  const ask = async (...what: Parameters<typeof send>): Promise<Said> => {
    const answer = await send(...what)
    let body = ''
    for await (const piece of answer.setEncoding('utf8')) body += piece
    const retryAfter = answer.headers['retry-after']
    return { status: answer.statusCode ?? 0, retryAfter, body }
  }
  const form = { 'content-type': 'application/x-www-form-urlencoded' }
  /** A slow machine asks slowly: what was let through is held against the time that it took. */
  const flood = async (
    count: number,
    { burst, perSecond }: Rate,
    each: () => Promise<Said>,
  ): Promise<Said[]> => {
    const said: Said[] = []
    const started = performance.now()
    const work = async (): Promise<void> => {
      while (said.length < count) said.push(await each())
    }
    await Promise.all(Array.from({ length: 8 }, work))
    const refused = refusals(said)
    const gained = ((performance.now() - started) / 1000) * perSecond
    assert.ok(said.length - refused.length <= burst + gained + 1, `${refused.length} refused`)
    assert.ok(refused.every(({ retryAfter }) => Number(retryAfter) >= 1))
    for (const { body } of refused) assert.match(body, /SP_RATE_LIMIT/)
    return said
  }
  const refusals = (said: readonly Said[]): Said[] => said.filter(({ status }) => status === 429)
  const post = async (agent: TestAgent, path: string, body: unknown): Promise<Said> =>
    await ask(
      '127.0.0.1',
      `/v1/agents/${path}`,
      { authorization: `Bearer ${agent.handle}`, 'content-type': 'application/json' },
      JSON.stringify(body),
    )

  test('an agent that mints without end is held up, and neither its sibling nor what takes it away', async () => {
    const root = await family.root()
    const [loud, quiet] = [await family.child(root, 'loud'), await family.child(root, 'quiet')]
    const mint = { connection: 'shop' }
    const said = await flood(
      500,
      CALLER_LIMITS.mints,
      async () => await post(loud, 'self/credentials', mint),
    )
    assert.ok(said.length - refusals(said).length >= CALLER_LIMITS.mints.burst)
    assert.equal((await post(quiet, 'self/credentials', mint)).status, 201)
    assert.equal((await post(root, `${loud.id}/revoke`, { reason: 'loud' })).status, 200)
  })

  test('an agent that freezes without end is held up, and those above it stop it all the same', async () => {
    const root = await family.root()
    const loud = await family.child(root, 'loud')
    const child = await family.child(loud, 'child')
    const reason = { reason: 'again' }
    await flood(
      40,
      CALLER_LIMITS.freezes,
      async () => await post(loud, `${child.id}/freeze`, reason),
    )
    for (const action of ['freeze', 'revoke'])
      assert.equal((await post(root, `${loud.id}/${action}`, reason)).status, 200)
  })

  test('an agent keeps a few streams of events open, and gets a new one when one ends', async () => {
    const root = await family.root()
    const [loud, quiet] = [await family.child(root, 'loud'), await family.child(root, 'quiet')]
    const open = async (agent: TestAgent): Promise<IncomingMessage> =>
      await send('127.0.0.1', '/v1/events', { authorization: `Bearer ${agent.handle}` })
    const streams: IncomingMessage[] = []
    for (let n = 0; n < 4; n += 1) streams.push(await open(loud))
    assert.ok(streams.every(({ statusCode }) => statusCode === 200))
    const fifth = await open(loud)
    assert.equal(fifth.statusCode, 429)
    assert.equal(fifth.headers['retry-after'], '5')
    streams.push(fifth, await open(quiet))
    assert.equal(streams.at(-1)?.statusCode, 200)
    streams[0]?.destroy()
    await until(
      'a place to be free',
      async () => {
        const again = await open(loud)
        streams.push(again)
        return again.statusCode === 200
      },
      30_000,
    )
    for (const stream of streams) stream.destroy()
  })

  test('a source that begins logins without end is held up; others log in, and no header makes another source', async () => {
    let n = 0
    const begin = async (from: string): Promise<Said> =>
      await ask(
        from,
        '/oauth/device_authorization',
        { ...form, 'x-forwarded-for': `10.0.0.${(n += 1)}`, forwarded: `for=10.0.1.${n}` },
        'client_id=x',
      )
    const said = await flood(90, SOURCE_LIMITS.logins, async () => await begin('127.0.0.9'))
    for (const { body } of refusals(said)) assert.match(body, /temporarily_unavailable/)
    const page = await ask('127.0.0.9', '/login?redirect=http://127.0.0.1:1/cb', {})
    // Whatever is wrong with it is said first: only what begins a login counts.
    assert.equal(page.status, 400)
    assert.notEqual((await begin('127.0.0.10')).status, 429)
  })

  test('a source that shows tokens and tickets without end is held up, and others are born', async () => {
    const body = new URLSearchParams({ grant_type: jwtType, assertion: 'a.b.c' }).toString()
    const show = async (from: string): Promise<Said> => await ask(from, '/oauth/token', form, body)
    await flood(600, SOURCE_LIMITS.births, async () => await show('127.0.0.11'))
    const json = { 'content-type': 'application/json' }
    const ticket = async (from: string): Promise<Said> =>
      await ask(from, '/v1/tickets/redeem', json, '{"ticket":"spt_x"}')
    await flood(60, SOURCE_LIMITS.births, async () => await ticket('127.0.0.11'))
    assert.equal((await show('127.0.0.12')).status, 400)
    assert.equal((await ticket('127.0.0.12')).status, 400)
  })
})
