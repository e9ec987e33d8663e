import assert from 'node:assert/strict'
import { request } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, test } from 'node:test'
import { SallyportError } from '@sallyport/core'
import { LoopbackReceiver } from './loopback-receiver.ts'
import { hasBrowser } from './open-browser.ts'

const state = 's'.repeat(43)
const issuer = 'https://gw.example.com'
const waitMs = 20_000
let receiver: LoopbackReceiver

beforeEach(async () => {
  receiver = await LoopbackReceiver.open({ state, issuer })
})
afterEach(() => receiver.close())

interface Page {
  readonly status: number
  readonly location: string | undefined
  readonly body: string
}

/** As a browser asks; `host` is what it believes to talk to. */
async function visit(query: string, more: { host?: string; method?: string; path?: string } = {}) {
  const url = new URL(more.path ?? receiver.redirectUri, receiver.redirectUri)
  return await new Promise<Page>((resolve, reject) => {
    const { method = 'GET', host = url.host } = more
    const asked = request(`${url.href}?${query}`, { method, headers: { host } }, (response) => {
      const { statusCode: status = 0, headers } = response
      text(response).then((body) => resolve({ status, location: headers.location, body }), reject)
    })
    asked.once('error', reject)
    asked.end()
  })
}

const good = new URLSearchParams({ state, code: 'c1', iss: issuer }).toString()

/** What the waiting program reads, once a query was answered with a page. */
async function refusedFor(query: string): Promise<{ page: Page; error: SallyportError }> {
  const answer = receiver.answer(waitMs).then(
    () => assert.fail('it was taken'),
    (error: unknown) => error,
  )
  const page = await visit(query)
  const error = await answer
  assert.ok(error instanceof SallyportError)
  assert.equal(error.code, 'SP_NOT_LOGGED_IN')
  return { page, error }
}

test('the answer to the login is taken, and the browser is sent on', async () => {
  const visiting = visit(good)
  const answer = await receiver.answer(waitMs)
  assert.equal(answer.code, 'c1')
  await answer.leadTo('https://gw.example.com/login/done')
  const page = await visiting
  assert.deepEqual([page.status, page.location], [303, 'https://gw.example.com/login/done'])
})

test('an answer that came before anybody waited for it is not lost', async () => {
  const visiting = visit(good)
  await new Promise((resolve) => setTimeout(resolve, 50))
  await (await receiver.answer(waitMs)).tell('Not logged in', 'no')
  assert.match((await visiting).body, /Not logged in/u)
})

test('what does not know the state neither finishes nor ends the login', async () => {
  const bad = [
    '',
    'code=c1',
    `code=c1&state=${'x'.repeat(43)}&iss=${issuer}`,
    `code=c1&state=${state}x`,
    `error=access_denied&state=`,
    // The right state beside a wrong one, and two codes.
    `${good}&state=${state}`,
    `${good}&code=c2`,
  ]
  for (const query of bad) {
    const page = await visit(query)
    assert.equal(page.status, 400, query)
    assert.match(page.body, /another login/u)
  }
  const visiting = visit(good)
  const answer = await receiver.answer(waitMs)
  assert.equal(answer.code, 'c1')
  await answer.leadTo('https://gw.example.com/')
  await visiting
})

test('only the address that was given is answered, by its number and nothing else', async () => {
  const { host } = new URL(receiver.redirectUri)
  const port = host.split(':')[1]
  const others = [
    { host: `evil.example.com:${port}` },
    { host: `localhost:${port}` },
    { host: '127.0.0.1' },
    { path: '/favicon.ico' },
    { method: 'POST' },
    { method: 'HEAD' },
    { method: 'OPTIONS' },
  ]
  for (const other of others)
    assert.equal((await visit(good, other)).status, 404, JSON.stringify(other))
  assert.match(receiver.redirectUri, /^http:\/\/127\.0\.0\.1:\d+\/callback$/u)
})

test('a second tab is told, and does not change what the first one said', async () => {
  const first = visit(good)
  const answer = await receiver.answer(waitMs)
  const second = await visit(good.replace('c1', 'c2'))
  assert.equal(second.status, 409)
  assert.match(second.body, /another tab/u)
  assert.equal(answer.code, 'c1')
  await answer.leadTo('https://gw.example.com/')
  await first
})

test('who denies is told so, on both sides', async () => {
  const { page, error } = await refusedFor(`error=access_denied&state=${state}&iss=${issuer}`)
  assert.match(page.body, /Nothing was logged in/u)
  assert.match(error.message, /denied/u)
})

test('an answer of another server is refused, also one that does not say whose it is', async () => {
  const { error } = await refusedFor(`code=c1&state=${state}&iss=https://evil.example.com`)
  assert.match(error.message, /another server/u)
  receiver.close()
  receiver = await LoopbackReceiver.open({ state, issuer })
  assert.match((await refusedFor(`code=c1&state=${state}`)).error.message, /another server/u)
})

test('a failure of the server, or an answer without a code, ends the login', async () => {
  const { page, error } = await refusedFor(
    `error=server_error&error_description=<script>alert(1)</script>&state=${state}&iss=${issuer}`,
  )
  assert.doesNotMatch(page.body, /script/u)
  assert.match(error.message, /did not confirm/u)
})

test('nobody comes: the program hears of it', async () => {
  await assert.rejects(receiver.answer(1), /nobody finished the login/u)
})

test('a port that is taken is refused, and logins side by side have ports of their own', async () => {
  const port = Number(new URL(receiver.redirectUri).port)
  await assert.rejects(LoopbackReceiver.open({ state, issuer }, port), { code: 'EADDRINUSE' })
  const other = await LoopbackReceiver.open({ state, issuer })
  assert.notEqual(other.redirectUri, receiver.redirectUri)
  other.close()
})

test('a peer that says nothing, or rubbish, keeps nobody from logging in', async () => {
  const port = Number(new URL(receiver.redirectUri).port)
  const silent = connect(port, '127.0.0.1')
  const noisy = connect(port, '127.0.0.1', () => noisy.write('\x16\x03\x01 not http\r\n\r\n'))
  for (const socket of [silent, noisy]) socket.on('error', () => undefined).resume()
  const visiting = visit(good)
  const answer = await receiver.answer(waitMs)
  await answer.leadTo('https://gw.example.com/')
  assert.equal((await visiting).status, 303)
  receiver.close()
  silent.destroy()
  noisy.destroy()
})

test('a browser is opened only where the person would see it', () => {
  const cases: readonly (readonly [Record<string, string>, NodeJS.Platform, boolean])[] = [
    [{}, 'linux', false],
    [{ DISPLAY: ':0' }, 'linux', true],
    [{ WAYLAND_DISPLAY: 'wayland-0' }, 'linux', true],
    [{ DISPLAY: '' }, 'linux', false],
    [{ DISPLAY: 'localhost:10.0', SSH_CONNECTION: '10.0.0.1 1 10.0.0.2 22' }, 'linux', false],
    [{}, 'darwin', true],
    [{ SSH_TTY: '/dev/ttys001' }, 'darwin', false],
  ]
  for (const [environment, platform, expected] of cases)
    assert.equal(hasBrowser(environment, platform), expected, JSON.stringify(environment))
})
