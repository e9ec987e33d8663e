import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, beforeEach, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { skipReason, until } from '@sallyport/testkit'
import {
  consentId,
  TestBrowser,
  type Visited,
} from '../packages/gateway/src/control-plane/births/test-browser.fixture.ts'
import { grantTo, startPeople, type People } from './people.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const bin = fileURLToPath(new URL('../packages/cli/bin/sallyport.mjs', import.meta.url))
const terminalMs = 60_000

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

describe('"sallyport login" with a browser', { skip: skipReason() }, () => {
  let gw: TestGateway
  let provider: People['provider']
  let home: string
  let url: string
  before(async () => {
    gw = await startTestGateway({})
    ;({ provider, url } = await startPeople(gw, grantTo('dev', 'rw')))
    provider.account = { email: 'dana@example.com', email_verified: true, groups: ['dev'] }
    home = await mkdtemp(join(tmpdir(), 'sp-'))
    for (const name of ['rt', 'bin']) mkdirSync(join(home, name))
    const program = (name: string, script: string): void =>
      writeFileSync(join(home, 'bin', name), `#!/bin/sh\n${script}\n`, { mode: 0o755 })
    program(
      'sallyport',
      `export XDG_RUNTIME_DIR=${home}/rt SALLYPORT_DATA=${gw.dataDir}\nexec ${process.execPath} --conditions=@sallyport/source ${bin} "$@"`,
    )
    for (const opener of ['xdg-open', 'open'])
      program(opener, `echo "$1" > ${home}/opening; mv ${home}/opening ${home}/opened`)
  })
  beforeEach(() => rmSync(join(home, 'opened'), { force: true }))
  after(async () => {
    const lock = join(home, 'rt', 'sallyport', 'broker.lock')
    if (existsSync(lock)) process.kill(Number(readFileSync(lock, 'utf8').split(' ')[0]), 'SIGTERM')
    await provider.close()
    await gw[Symbol.asyncDispose]()
    rmSync(home, { recursive: true, force: true })
  })

  const run = async (script: string, more: Readonly<Record<string, string>> = {}): Promise<Ran> => {
    const path = [join(home, 'bin'), dirname(process.execPath), process.env['PATH']].join(delimiter)
    const shell = spawn('bash', ['-c', script], {
      cwd: home,
      detached: true,
      env: { PATH: path, HOME: home, LANG: 'C.UTF-8', DISPLAY: ':9', ...more },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const timer = setTimeout(() => process.kill(-(shell.pid ?? 0), 'SIGKILL'), terminalMs)
    const code = new Promise<number>((resolve) => shell.on('exit', (exit) => resolve(exit ?? -1)))
    const [out, err] = await Promise.all([text(shell.stdout), text(shell.stderr)])
    clearTimeout(timer)
    return { code: await code, out, err }
  }
  const opened = async (): Promise<string> =>
    await until('the browser is opened', () => {
      const path = join(home, 'opened')
      return existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined
    })
  const newBrowser = (): TestBrowser => {
    const overNetwork: unknown = { request: async (asked: Request) => await fetch(asked) }
    return new TestBrowser(url, overNetwork as ConstructorParameters<typeof TestBrowser>[1])
  }
  /** Up to the page that asks, and the button. */
  const press = async (
    browser: TestBrowser,
    begin: string,
    decision: string,
    more: readonly string[] = [],
  ): Promise<Visited> => {
    const page = await browser.visit(begin, [provider.url])
    const form = { id: consentId(page), decision }
    return await browser.visit(`${url}/login/confirm`, [provider.url, ...more], form)
  }
  const callbackOf = (begin: string): URL =>
    new URL(new URL(begin).searchParams.get('redirect_uri') ?? '')

  test('makes the person the root of what runs in the terminal', async () => {
    const running = run('sallyport login --oidc -o name >id && sallyport status -o json')
    const begin = await opened()
    const query = new URL(begin).searchParams
    assert.equal(query.get('code_challenge_method'), 'S256')
    assert.equal(query.get('response_type'), 'code')
    const page = await press(newBrowser(), begin, 'allow', [callbackOf(begin).origin])
    assert.equal(page.url, `${url}/login/done`)
    assert.match(page.text, /You are logged in/u)
    const ran = await running
    assert.equal(ran.code, 0, ran.err)
    assert.match(ran.err, new RegExp(`Log in at ${url}/oauth/authorize\\?`, 'u'))
    assert.match(ran.out, /dana/u)
    assert.doesNotMatch(ran.out + ran.err, /spa_/u)
  })

  test('ends without one where the person denies', async () => {
    const running = run('sallyport login --oidc')
    const begin = await opened()
    const page = await press(newBrowser(), begin, 'deny', [callbackOf(begin).origin])
    assert.match(page.text, /Nothing was logged in/u)
    const ran = await running
    assert.equal(ran.code, 3)
    assert.match(ran.err, /SP_NOT_LOGGED_IN/u)
    assert.match(ran.err, /denied in the browser/u)
  })

  test('takes no answer to another login, and no code that another login was given', async () => {
    const first = run('sallyport login --oidc --no-browser 2>first; echo $?')
    const firstBegin = await until('the address is printed', () => {
      const shown = existsSync(join(home, 'first')) ? readFileSync(join(home, 'first'), 'utf8') : ''
      return /Log in at (\S+)\n/u.exec(shown)?.[1]
    })
    const second = run('sallyport login --oidc; echo $?')
    const begin = await opened()
    assert.notEqual(callbackOf(begin).port, callbackOf(firstBegin).port)
    const mallory = await press(newBrowser(), firstBegin, 'allow')
    // The answer to the first login, brought to the second: as it is, and with the state of the second.
    const forged = new URL(mallory.url)
    forged.port = callbackOf(begin).port
    const asItIs = await fetch(forged, { redirect: 'manual' })
    assert.equal(asItIs.status, 400)
    forged.searchParams.set('state', new URL(begin).searchParams.get('state') ?? '')
    const asked = await fetch(forged, { redirect: 'manual' })
    assert.equal(asked.status, 400)
    const { out, err } = await second
    assert.equal(out, '3\n', err)
    // Whoever injects a code spends it: the first login ends too, and nobody is logged in as somebody else.
    await fetch(mallory.url, { redirect: 'manual' })
    assert.equal((await first).out, '3\n')
  })

  test('falls back to a code where there is nobody in front of a browser', async () => {
    for (const more of [{ DISPLAY: '' }, { SSH_CONNECTION: '10.0.0.1 1 10.0.0.2 22' }]) {
      const running = run('timeout 20 sallyport login --oidc --no-browser 2>code', more)
      const code = await until('a code is shown', () => {
        const shown = existsSync(join(home, 'code')) ? readFileSync(join(home, 'code'), 'utf8') : ''
        return /enter {2}(\S+)/u.exec(shown)?.[1]
      })
      const browser = newBrowser()
      const page = await browser.visit(`${url}/device`, [provider.url], { user_code: code })
      const form = { id: consentId(page), decision: 'deny' }
      await browser.visit(`${url}/login/confirm`, [provider.url], form)
      assert.equal((await running).code, 3)
      rmSync(join(home, 'code'))
    }
  })

  test('of a gateway that calls itself something else, is refused before a browser opens', async () => {
    const name = `http://localhost:${gw.gateway.ports.api}`
    const ran = await run(`sallyport login ${name}`)
    assert.equal(ran.code, 3)
    assert.match(ran.err, /calls itself http:\/\/127\.0\.0\.1/u)
    assert.ok(!existsSync(join(home, 'opened')))
  })
})
