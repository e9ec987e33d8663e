import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { onBothStores } from '../../agents/agents.fixture.ts'
import { SignalBench, person } from '../signal-bench.fixture.ts'
import { LocalTransmitter } from './local-transmitter.fixture.ts'

const caep = 'https://schemas.openid.net/secevent/caep/event-type/'
const risc = 'https://schemas.openid.net/secevent/risc/event-type/'
process.env['SIGNALS_TEST_PUSH'] = 'push-token-of-the-test'
process.env['SIGNALS_TEST_POLL'] = 'poll-token-of-the-test'

type Json = Readonly<Record<string, unknown>>

onBothStores('shared signals', (bench) => {
  let signals: SignalBench
  let transmitter: LocalTransmitter
  before(async () => {
    transmitter = await LocalTransmitter.open()
    signals = new SignalBench(bench)
    await signals.open('{events: {audience: sallyport-receiver}}')
  })
  after(async () => {
    await signals.close()
    await transmitter.close()
    assert.deepEqual(signals.faults, [])
  })

  let count = 0
  const setOf = (event: string, subject: unknown, more: Json = {}): Json => ({
    aud: 'sallyport-receiver',
    iat: Math.floor(Date.now() / 1000),
    jti: `set${(count += 1)}`,
    sub_id: subject,
    events: { [event]: { event_timestamp: Math.floor(Date.now() / 1000), ...more } },
  })
  const signed = (claims: Json, head: Json = { typ: 'secevent+jwt' }): Promise<string> =>
    signals.provider.sign(claims, head)

  async function push(
    token: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<{ status: number; body: Json }> {
    const answer = await fetch(`${signals.url}/ssf/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/secevent+jwt', ...headers },
      body: token,
    })
    const text = await answer.text()
    return { status: answer.status, body: text === '' ? {} : (JSON.parse(text) as Json) }
  }

  const send = async (claims: Json, head?: Json): Promise<number> =>
    (await push(await signed(claims, head))).status
  const issSub = (sub: string): Json => ({ format: 'iss_sub', iss: signals.provider.url, sub })

  const ends: readonly (readonly [string, Json?])[] = [
    [`${caep}session-revoked`],
    [`${caep}credential-change`, { change_type: 'revoke', credential_type: 'fido2-roaming' }],
    [`${caep}credential-change`, { change_type: 'update', credential_type: 'password' }],
    [`${caep}credential-change`, {}],
    [`${caep}token-claims-change`, { claims: { email: 'new@example.com' } }],
    [`${risc}account-disabled`, { reason: 'hijacking' }],
    [`${risc}account-purged`],
    [`${risc}account-credential-change-required`],
    [`${risc}credential-compromise`],
    [`${risc}identifier-recycled`],
    ['https://schemas.openid.net/secevent/oauth/event-type/tokens-revoked'],
  ]
  for (const [event, more] of ends) {
    const name = `${event.split('/').at(-1)} ${JSON.stringify(more ?? {})}`
    test(`${name} ends all trees of the person, and of nobody else`, async () => {
      const roots = [await signals.logIn('u-end'), await signals.logIn('u-end')]
      const child = await bench.child(roots[0]?.id ?? '', 'scout')
      const other = await signals.logIn('u-other')
      assert.equal(await send(setOf(event, issSub('u-end'), more)), 202)
      const states = [...roots, child.agent, other].map((each) => signals.stateOf(each))
      assert.deepEqual(states, ['revoked', 'revoked', 'revoked', 'active'])
    })
  }

  const ignored: readonly (readonly [string, Json?])[] = [
    ['https://schemas.openid.net/secevent/ssf/event-type/verification', { state: 'x' }],
    [`${caep}credential-change`, { change_type: 'create', credential_type: 'fido2-platform' }],
    [`${caep}token-claims-change`, { claims: { locale: 'de' } }],
    [`${caep}device-compliance-change`, { current_status: 'not-compliant' }],
    [`${risc}account-enabled`],
    ['https://example.com/something-else\u0000'],
    ['__proto__'],
    ['toString'],
  ]
  for (const [event, more] of ignored) {
    test(`${JSON.stringify(event.split('/').at(-1))} ${JSON.stringify(more ?? {})} is taken and does nothing`, async () => {
      const root = await signals.logIn('u-none')
      const { events: _events, ...claims } = setOf(event, issSub('u-none'), more)
      const events = JSON.parse(`{${JSON.stringify(event)}: ${JSON.stringify(more ?? {})}}`) as Json
      assert.equal(await send({ ...claims, events }), 202)
      assert.equal(signals.stateOf(root), 'active')
    })
  }

  const subjects: readonly (readonly [string, (name: string) => unknown])[] = [
    [
      'by an e-mail address',
      (name) => ({ format: 'email', email: `${name.toUpperCase()}@example.com` }),
    ],
    ['by an account', (name) => ({ format: 'account', uri: `acct:${name}@example.com` })],
    ['by an opaque id', (name) => ({ format: 'opaque', id: name })],
    [
      'by the words of drafts',
      (name) => ({ subject_type: 'iss-sub', iss: `${signals.provider.url}/`, sub: name }),
    ],
    [
      'as the user of a complex subject',
      (name) => ({ format: 'complex', user: issSub(name), tenant: { format: 'opaque', id: 't' } }),
    ],
    [
      'as a user without a format',
      (name) => ({ user: { format: 'email', email: `${name}@example.com` } }),
    ],
    [
      'as one of several aliases',
      (name) => ({
        format: 'aliases',
        identifiers: [{ format: 'phone_number', phone_number: '+1' }, issSub(name)],
      }),
    ],
    [
      'with a session of another form',
      (name) => ({
        format: 'complex',
        user: issSub(name),
        session: { format: 'jwt_id', iss: 'x', jti: 'y' },
      }),
    ],
  ]
  for (const [what, subject] of subjects) {
    test(`somebody who is named ${what} is found`, async () => {
      const name = `u-${what.replaceAll(' ', '-')}`
      const root = await signals.logIn(name)
      const other = await signals.logIn('u-other')
      assert.equal(await send(setOf(`${caep}session-revoked`, subject(name))), 202)
      assert.equal(signals.stateOf(root), 'revoked')
      assert.equal(signals.stateOf(other), 'active')
    })
  }

  test('the subject inside of an event is read, as before SSF 1.0', async () => {
    const root = await signals.logIn('u-inside')
    const claims = setOf(`${caep}session-revoked`, undefined, {
      subject: { user: issSub('u-inside') },
    })
    assert.equal(await send(claims), 202)
    assert.equal(signals.stateOf(root), 'revoked')
  })

  const strangers: readonly (readonly [string, unknown])[] = [
    ['of another issuer', { format: 'iss_sub', iss: 'https://idp.example.com', sub: 'u-alone' }],
    [
      'of an issuer that begins alike',
      () => ({ format: 'iss_sub', iss: `${signals.provider.url}.example.com`, sub: 'u-alone' }),
    ],
    ['that is a device', { format: 'complex', device: { format: 'opaque', id: 'u-alone' } }],
    ['that is a phone number', { format: 'phone_number', phone_number: 'u-alone' }],
    ['without aliases', { format: 'aliases', identifiers: [] }],
  ]
  for (const [what, subject] of strangers) {
    test(`a subject ${what} reaches nobody`, async () => {
      const root = await signals.logIn('u-alone')
      const named: unknown = typeof subject === 'function' ? (subject as () => unknown)() : subject
      assert.equal(await send(setOf(`${caep}session-revoked`, named)), 202)
      assert.equal(signals.stateOf(root), 'active')
    })
  }

  test('one session of a person ends alone', async () => {
    const roots = [await signals.logIn('u-two'), await signals.logIn('u-two')]
    const row = await bench.store.db
      .selectFrom('login_session')
      .select('session')
      .where('agent_id', '=', roots[0]?.id ?? '')
      .executeTakeFirstOrThrow()
    const id = row.session.slice(row.session.indexOf('|') + 1)
    const subject = { format: 'complex', user: issSub('u-two'), session: { format: 'opaque', id } }
    assert.equal(await send(setOf(`${caep}session-revoked`, subject)), 202)
    assert.deepEqual(
      roots.map((root) => signals.stateOf(root)),
      ['revoked', 'active'],
    )
  })

  test('changed groups narrow at once, widen nothing, and logins from before are refused', async () => {
    const root = await signals.logIn('u-claims', person('u-claims', ['dev', 'oncall']))
    const pending = await signals.begin('u-claims', person('u-claims', ['dev', 'oncall']))
    const change = (groups: unknown): Json =>
      setOf(`${caep}token-claims-change`, issSub('u-claims'), { claims: { groups } })
    assert.equal(await send(change(['dev', 'admins'])), 202)
    assert.deepEqual(signals.groupsOf(root), ['dev'])
    assert.equal((await signals.redeem(pending)).body['code'], 'SP_LOGIN_WITHDRAWN')
    assert.equal(await send(change({ not: 'a list' })), 202)
    assert.deepEqual(signals.groupsOf(root), [])
    assert.equal(signals.stateOf(root), 'active')
  })

  test('an event that is sent again does nothing more', async () => {
    await signals.logIn('u-again')
    const claims = setOf(`${caep}session-revoked`, issSub('u-again'))
    assert.equal(await send(claims), 202)
    const later = await signals.logIn('u-again')
    assert.equal(await send(claims), 202)
    assert.equal(signals.stateOf(later), 'active')
    const other = await push(await signed({ ...claims, sub_id: issSub('u-other') }))
    assert.equal(other.status, 400)
  })

  const now = Math.floor(Date.now() / 1000)
  const refusals: readonly (readonly [string, Json, Json | undefined, string])[] = [
    ['for another audience', { aud: 'https://other.example.com' }, undefined, 'invalid_audience'],
    ['of another issuer', { iss: 'https://idp.example.com' }, undefined, 'invalid_issuer'],
    ['of a type that is none of theirs', {}, { typ: 'logout+jwt' }, 'invalid_request'],
    ['that is an ID token', {}, { typ: 'JWT' }, 'invalid_request'],
    ['without jti', { jti: undefined }, undefined, 'invalid_request'],
    ['with a zero byte in jti', { jti: 'a\0' }, undefined, 'invalid_request'],
    ['from the future', { iat: now + 86_400 }, undefined, 'invalid_request'],
    ['without events', { events: undefined }, undefined, 'invalid_request'],
    ['with a list of events', { events: [] }, undefined, 'invalid_request'],
    ['with an unknown key', {}, { typ: 'secevent+jwt', kid: 'p2' }, 'invalid_key'],
    ['without a subject', { sub_id: undefined }, undefined, 'invalid_request'],
    [
      'about an object',
      { sub_id: { format: 'opaque', id: { $ne: null } } },
      undefined,
      'invalid_request',
    ],
  ]
  for (const [what, claims, head, err] of refusals) {
    test(`an event ${what} ends nothing`, async () => {
      const root = await signals.logIn('u-stay')
      const set = { ...setOf(`${caep}session-revoked`, issSub('u-stay')), ...claims }
      const { status, body } = await push(await signed(set, head))
      assert.equal(status, 400)
      assert.equal(body['err'], err)
      assert.equal(signals.stateOf(root), 'active')
    })
  }

  test('a forged, huge or differently typed body ends nothing', async () => {
    const root = await signals.logIn('u-stay')
    const token = await signed(setOf(`${caep}session-revoked`, issSub('u-stay')))
    const [head = '', body = '', signature = ''] = token.split('.')
    const none = Buffer.from('{"alg":"none","typ":"secevent+jwt"}').toString('base64url')
    const claims = JSON.parse(Buffer.from(body, 'base64url').toString()) as Json
    const other = Buffer.from(JSON.stringify({ ...claims, jti: 'x' })).toString('base64url')
    for (const forged of [
      `${none}.${body}.`,
      `${head}.${other}.${signature}`,
      '',
      'x',
      'x'.repeat(40_000),
    ])
      assert.equal((await push(forged)).status, 400)
    assert.equal((await push(token, { 'content-type': 'application/json' })).status, 400)
    assert.equal(signals.stateOf(root), 'active')
  })

  test('with a token for pushing, nothing is taken without it', async () => {
    await signals.reopen('{events: {pushToken: {from: "env:SIGNALS_TEST_PUSH"}}}')
    const root = await signals.logIn('u-push')
    const token = await signed({
      ...setOf(`${caep}session-revoked`, issSub('u-push')),
      aud: signals.url,
    })
    for (const authorization of ['', 'Bearer x', 'Basic push-token-of-the-test']) {
      const { status, body } = await push(token, { authorization })
      assert.equal(status, 401)
      assert.equal(body['err'], 'authentication_failed')
    }
    assert.equal(signals.stateOf(root), 'active')
    assert.equal(
      (await push(token, { authorization: 'Bearer push-token-of-the-test' })).status,
      202,
    )
    assert.equal(signals.stateOf(root), 'revoked')
  })

  const polling = (): string =>
    `{events: {audience: sallyport-receiver, poll: {url: "${transmitter.url}", token: {from: "env:SIGNALS_TEST_POLL"}}}}`

  test('events that wait at the transmitter are fetched, acted upon and acknowledged', async () => {
    await signals.reopen(polling())
    const roots = [
      await signals.logIn('u-poll-1'),
      await signals.logIn('u-poll-2'),
      await signals.logIn('u-poll-3'),
    ]
    transmitter.atOnce = 2
    for (const name of ['u-poll-1', 'u-poll-2', 'u-poll-3']) {
      const claims = setOf(`${risc}account-disabled`, issSub(name))
      transmitter.waiting.set(String(claims['jti']), await signed(claims))
    }
    const forged = setOf(`${risc}account-disabled`, issSub('u-other'), {})
    transmitter.waiting.set('bad', await signed({ ...forged, aud: 'other', jti: 'bad' }))
    transmitter.waiting.set('moved', await signed({ ...forged, jti: 'not-moved' }))
    const other = await signals.logIn('u-last')
    await signals.signals.poll()
    assert.deepEqual(
      [...roots, other].map((root) => signals.stateOf(root)),
      ['revoked', 'revoked', 'revoked', 'active'],
    )
    assert.equal(transmitter.waiting.size, 0)
    assert.deepEqual(Object.keys(transmitter.errors).toSorted(), ['bad', 'moved'])
    assert.match(JSON.stringify(transmitter.errors['bad']), /invalid_audience/u)
    assert.equal(transmitter.requests[0]?.authorization, 'Bearer poll-token-of-the-test')
    assert.equal(transmitter.requests[0].body['returnImmediately'], true)
  })

  const answers: readonly (readonly [
    string,
    string,
    number?,
    Readonly<Record<string, string>>?,
  ])[] = [
    ['an error', '', 500],
    ['a redirect', '', 307, { location: '/poll' }],
    ['no JSON', '<html>'],
    ['null', 'null'],
    ['a list of sets', '{"sets":[]}'],
    ['too much', `{"sets":{"x":"${'x'.repeat(5_000_000)}"}}`],
  ]
  for (const [what, body, status, headers] of answers) {
    test(`a transmitter that answers with ${what} is left alone for a while, and then asked again`, async () => {
      await signals.reopen(polling())
      transmitter.answer = (response) => response.writeHead(status ?? 200, headers).end(body)
      await signals.signals.poll()
      assert.equal(signals.faults.length, 1)
      signals.faults.length = 0
      const { length } = transmitter.requests
      await signals.signals.poll()
      assert.equal(transmitter.requests.length, length)
      await signals.reopen(polling())
      await signals.signals.poll()
      assert.ok(transmitter.requests.length > length)
    })
  }

  test('an event that could not be acted upon is not acknowledged, and comes again', async () => {
    await signals.reopen(polling())
    const root = await signals.logIn('u-store')
    const claims = setOf(`${risc}account-disabled`, issSub('u-store'))
    transmitter.waiting.set(String(claims['jti']), await signed(claims))
    const durable = bench.store.durable.bind(bench.store)
    Object.assign(bench.store, { durable: () => Promise.reject(new Error('the disk is full')) })
    await signals.signals.poll()
    Object.assign(bench.store, { durable })
    assert.equal(transmitter.waiting.size, 1)
    assert.equal(signals.stateOf(root), 'active')
    assert.ok(signals.faults.length > 0)
    signals.faults.length = 0
    await signals.signals.poll()
    assert.equal(transmitter.waiting.size, 0)
    assert.equal(signals.stateOf(root), 'revoked')
  })

  test('whatever the subject and the claims are, the answer is one of the standard', async () => {
    await signals.reopen('{events: {audience: sallyport-receiver}}')
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.jsonValue({ maxDepth: 3 }),
          fc.record({
            format: fc.constantFrom('iss_sub', 'email', 'complex', 'aliases', 'opaque', 'account'),
            iss: fc.string(),
            sub: fc.jsonValue(),
            id: fc.string(),
            user: fc.jsonValue(),
            session: fc.jsonValue(),
            identifiers: fc.jsonValue(),
          }),
        ),
        fc.jsonValue({ maxDepth: 2 }),
        async (subject, claims) => {
          const status = await send(setOf(`${caep}token-claims-change`, subject, { claims }))
          assert.ok(status === 202 || status === 400, `${status}`)
        },
      ),
      { numRuns: 60 },
    )
  })
})
