import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { generateKeyPair, SignJWT } from 'jose'
import { onBothStores } from '../../agents/agents.fixture.ts'
import { SignalBench, person } from '../signal-bench.fixture.ts'

const event = { 'http://schemas.openid.net/event/backchannel-logout': {} }
const path = '/oidc/backchannel-logout'

onBothStores('logout', (bench) => {
  let signals: SignalBench
  before(async () => {
    signals = new SignalBench(bench)
    await signals.open()
  })
  after(async () => {
    await signals.close()
    assert.deepEqual(signals.faults, [])
  })

  const nowSeconds = (): number => Math.floor(Date.now() / 1000)
  let count = 0
  const claimsFor = (subject: string): Record<string, unknown> => ({
    aud: 'sallyport',
    sub: subject,
    iat: nowSeconds(),
    exp: nowSeconds() + 120,
    jti: `j${(count += 1)}`,
    events: event,
  })
  const logOut = async (
    claims: Readonly<Record<string, unknown>>,
    head: Readonly<Record<string, unknown>> = { typ: 'logout+jwt' },
  ): Promise<number> => {
    const token = await signals.provider.sign(claims, head)
    return (await signals.send(path, { logout_token: token })).status
  }

  test('the provider ends its session, and the tree of that session is gone; that of another session stays', async () => {
    const [first, second] = [signals.newBrowser(), signals.newBrowser()]
    const root = await signals.logIn('u-end', person('u-end'), first)
    const other = await signals.logIn('u-end', person('u-end'), second)
    const child = await bench.child(root.id, 'scout')
    const page = await first.visit(`${signals.provider.url}/session/end`, [signals.provider.url])
    const xsrf = /name="xsrf" value="([^"]+)"/u.exec(page.text)?.[1] ?? assert.fail(page.text)
    await first.visit(`${signals.provider.url}/session/end/confirm`, [signals.provider.url], {
      xsrf,
      logout: 'yes',
    })
    assert.deepEqual(signals.provider.failures, [])
    assert.equal(signals.stateOf(root), 'revoked')
    assert.equal(signals.stateOf(child.agent), 'revoked')
    assert.equal(signals.stateOf(other), 'active')
  })

  test('a logout without a session ends all trees of the person, and of nobody else', async () => {
    const roots = [await signals.logIn('u-all'), await signals.logIn('u-all')]
    const other = await signals.logIn('u-other')
    assert.equal(await logOut(claimsFor('u-all')), 200)
    assert.deepEqual(
      [...roots, other].map((root) => signals.stateOf(root)),
      ['revoked', 'revoked', 'active'],
    )
  })

  const now = nowSeconds()
  const refusals: readonly (readonly [
    string,
    Record<string, unknown>,
    Record<string, unknown>?,
  ])[] = [
    ['for another client', { aud: 'other' }],
    ['of another issuer', { iss: 'https://idp.example.com' }],
    ['with a nonce', { nonce: 'n' }],
    ['without an event', { events: {} }],
    ['with another event', { events: { 'https://schemas.openid.net/secevent/x': {} } }],
    ['with an event that is no object', { events: { [Object.keys(event)[0] ?? '']: 'yes' } }],
    ['without jti', { jti: undefined }],
    ['with a jti that is no text', { jti: 7 }],
    ['without iat', { iat: undefined }],
    ['from the future', { iat: now + 86_400 }],
    ['of an hour ago', { iat: now - 3600, exp: undefined }],
    ['that has expired', { iat: now - 300, exp: now - 60 }],
    ['about nobody', { sub: undefined }],
    ['about a list of people', { sub: ['u-stay'] }],
    ['that is an access token', {}, { typ: 'at+jwt' }],
    ['that is a security event', {}, { typ: 'secevent+jwt' }],
    ['with a critical extension', {}, { crit: ['x'], x: 1 }],
    ['with an unknown key', {}, { kid: 'p2' }],
  ]
  for (const [what, claims, head] of refusals) {
    test(`a logout token ${what} ends nothing`, async () => {
      const root = await signals.logIn('u-stay')
      assert.equal(await logOut({ ...claimsFor('u-stay'), ...claims }, head), 400)
      assert.equal(signals.stateOf(root), 'active')
    })
  }

  test('a logout token of another key, without a key, or that is none ends nothing', async () => {
    const root = await signals.logIn('u-stay')
    const claims = { iss: signals.provider.url, ...claimsFor('u-stay') }
    const { privateKey } = await generateKeyPair('RS256')
    const foreign = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'RS256', kid: 'p1', typ: 'logout+jwt' })
      .sign(privateKey)
    const symmetric = await new SignJWT(claims)
      .setProtectedHeader({ alg: 'HS256', kid: 'p1', typ: 'logout+jwt' })
      .sign(new TextEncoder().encode('test-secret'.repeat(4)))
    const part = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
    const none = `${part({ alg: 'none' })}.${part(claims)}.`
    for (const token of [foreign, symmetric, none, 'a.b.c', '', 'x'.repeat(20_000)]) {
      const { status, body } = await signals.send(path, { logout_token: token })
      assert.equal(status, 400, token)
      assert.equal(body['code'], 'SP_SIGNAL_REFUSED')
    }
    assert.equal(signals.stateOf(root), 'active')
  })

  test('a body that is no form, has two tokens or is huge is refused', async () => {
    const token = await signals.provider.sign(claimsFor('u-stay'), { typ: 'logout+jwt' })
    const post = async (type: string, body: string): Promise<number> => {
      const headers = { 'content-type': type }
      return (await fetch(`${signals.url}${path}`, { method: 'POST', headers, body })).status
    }
    const form = 'application/x-www-form-urlencoded'
    assert.equal(await post('application/json', JSON.stringify({ logout_token: token })), 400)
    assert.equal(await post(form, `logout_token=${token}&logout_token=${token}`), 400)
    assert.equal(await post(form, `logout_token=${token}&x=${'x'.repeat(40_000)}`), 400)
  })

  test('a token that is sent again does nothing more: a later login stays', async () => {
    const root = await signals.logIn('u-again')
    const claims = claimsFor('u-again')
    assert.equal(await logOut(claims), 200)
    assert.equal(signals.stateOf(root), 'revoked')
    const later = await signals.logIn('u-again')
    assert.equal(await logOut(claims), 200)
    await signals.reopen()
    assert.equal(await logOut(claims), 200)
    assert.equal(signals.stateOf(later), 'active')
    assert.equal(await logOut({ ...claims, sub: 'u-other' }), 400)
  })

  test('a login that was confirmed before the logout makes no agent after it', async () => {
    const login = await signals.begin('u-late', person('u-late'))
    assert.equal(await logOut(claimsFor('u-late')), 200)
    const { status, body } = await signals.redeem(login)
    assert.equal(status, 400)
    assert.equal(body['code'], 'SP_LOGIN_WITHDRAWN')
    await signals.logIn('u-late')
  })

  test('a logout in the middle of a birth ends what is being born', async () => {
    signals.duringBirth = () => logOut(claimsFor('u-race'))
    const { status, body } = await signals.redeem(await signals.begin('u-race', person('u-race')))
    assert.equal(status, 400)
    assert.equal(body['code'], 'SP_LOGIN_WITHDRAWN')
    const names = bench.service.liveRoots().map(({ principal }) => principal.name)
    assert.ok(!names.includes('u-race@example.com'), names.join())
  })

  test('what was stored before a crash is acted upon after it', async () => {
    const root = await signals.logIn('u-crash')
    await bench.store.durable((tx) =>
      tx
        .insertInto('signal_event')
        .values({
          source: `logout ${signals.provider.url}`,
          id: 'crash',
          provider: 'idp',
          kind: 'logout',
          signal: JSON.stringify({
            digest: '',
            whom: [{ kind: 'person', id: `oidc:${signals.provider.url}|u-crash` }],
            effect: { kind: 'end' },
            why: 'idp ended the login',
          }),
          received_at: new Date(),
          applied_at: null,
          result: null,
        })
        .execute(),
    )
    await signals.reopen()
    assert.equal(signals.stateOf(root), 'revoked')
  })

  test('the record of signals cannot be changed, thinned out or lowered', async () => {
    const { db } = bench.store
    await assert.rejects(db.deleteFrom('signal_event').execute(), /what was recorded stays/u)
    const again = db.updateTable('signal_event').set({ applied_at: null, result: null })
    await assert.rejects(again.execute(), /what was recorded stays/u)
    const lower = db.updateTable('login_floor').set({ at: new Date(0) })
    await assert.rejects(lower.execute(), /stays taken back/u)
  })

  test('a flood from one address is slowed down', async () => {
    signals.stoppedAtMs = Date.now()
    const answers = await Promise.all(
      Array.from({ length: 400 }, () => signals.send(path, { logout_token: 'x' })),
    )
    signals.stoppedAtMs = undefined
    const refused = answers.filter(({ status }) => status === 429)
    assert.ok(refused.length >= 200, `${refused.length}`)
    assert.ok(answers.every(({ status }) => status === 400 || status === 429))
    assert.equal(answers.find(({ status }) => status === 429)?.body['code'], 'SP_RATE_LIMIT')
  })

  test('with freeze, a signal pauses the tree and a person may let it go on', async () => {
    await signals.reopen('{mode: freeze}')
    signals.shiftMs += 10_000
    const root = await signals.logIn('u-pause')
    assert.equal(await logOut(claimsFor('u-pause')), 200)
    assert.equal(signals.stateOf(root), 'frozen')
    await bench.service.unfreeze(root.id, 'owner', 'looked at')
    assert.equal(signals.stateOf(root), 'active')
  })
})
