import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { parseDuration } from './durations.ts'
import { type Output, printable, printList } from './output.ts'
import { buildProgram } from './program.ts'
import { callerUrl, parseTargetUrl } from './target-url.ts'
import { shortestPrefixes } from './verbs/sessions.ts'

const bin = fileURLToPath(new URL('../bin/sallyport.mjs', import.meta.url))

interface Ran {
  readonly code: number
  readonly out: string
  readonly err: string
}

function sallyport(words: readonly string[], input = ''): Promise<Ran> {
  const { promise, resolve } = Promise.withResolvers<Ran>()
  const child = execFile(process.execPath, [bin, ...words], (error, out, err) => {
    resolve({ code: typeof error?.code === 'number' ? error.code : 0, out, err })
  })
  child.stdin?.end(input)
  return promise
}

suite('the command line against a gateway', () => {
  const dir = mkdtempSync(join(tmpdir(), 'sallyport-cli-'))
  const seen: { path: string; body: string; token: string | undefined }[] = []
  const connection = {
    name: 'shop-db',
    type: 'postgres',
    labels: {},
    host: 'db',
    port: 5432,
    user: 'u',
    database: 'shop',
    tls: 'off',
    notices: 'auto',
    responses: 'masked',
    trustedFunctions: ['a.old', 'a.kept'],
    holdMaxMs: 86_400_000,
    holdInTransactionMaxMs: 60_000,
  }
  const issued = {
    id: 'abc',
    connection: 'shop-db',
    agent: 'a_x',
    user: 'shop-db.abc',
    secret: 'spc_x',
    expiresAtMs: 0,
  }
  const probed = {
    reach: 'ok',
    tls: 'ok',
    login: 'failed',
    serverVersion: '',
    error: { code: 'SP_TARGET_LOGIN', message: 'no' },
  }
  const answers: Record<string, unknown> = {
    'GET /v1/connections': [connection],
    'GET /v1/status': { host: '127.0.0.1', ports: { postgres: 15432, api: 1 } },
    'POST /v1/credentials': issued,
    'POST /v1/connections': connection,
    'POST /v1/connections/shop-db/test': probed,
    'GET /v1/connections/shop-db': connection,
    'PATCH /v1/connections/shop-db': connection,
  }
  const api = createServer((request, response) => {
    const pieces: Buffer[] = []
    request.on('data', (piece: Buffer) => pieces.push(piece))
    request.on('end', () => {
      seen.push({
        path: request.url ?? '',
        body: Buffer.concat(pieces).toString(),
        token: request.headers.authorization,
      })
      const answer = answers[`${request.method} ${request.url}`]
      response.statusCode = answer === undefined ? 404 : 200
      response.end(
        JSON.stringify(answer ?? { error: { code: 'SP_NOT_FOUND', message: 'nothing there' } }),
      )
    })
  })
  before(async () => {
    api.listen(0, '127.0.0.1')
    await once(api, 'listening')
    const { port } = api.address() as AddressInfo
    writeFileSync(
      join(dir, 'gateway.json'),
      JSON.stringify({ url: `http://127.0.0.1:${port}`, pid: 1 }),
    )
    writeFileSync(join(dir, 'owner.token'), 'token\n')
  })
  after(() => {
    api.close()
    rmSync(dir, { recursive: true, force: true })
  })

  test('url prints the address alone, ready to stand inside psql "$(…)"', async () => {
    const ran = await sallyport(['url', 'shop-db', '--data', dir])
    assert.deepEqual(ran, {
      code: 0,
      out: 'postgresql://shop-db.abc:spc_x@127.0.0.1:15432/shop?sslmode=require\n',
      err: '',
    })
    assert.equal(seen.at(-1)?.token, 'Bearer token')
  })

  test('a password comes from the pipe, and a target that refuses the login gives exit code 6', async () => {
    const words = [
      'connect',
      'add',
      'postgres://app@db/shop',
      '--name',
      'shop-db',
      '--env',
      'prod',
      '--data',
      dir,
    ]
    const ran = await sallyport(words, 'p w\n')
    assert.equal(ran.code, 6)
    const sent: unknown = JSON.parse(
      seen.find((each) => each.body.includes('"password"'))?.body ?? '{}',
    )
    assert.ok(typeof sent === 'object' && sent !== null && 'password' in sent && 'labels' in sent)
    assert.deepEqual([sent.password, sent.labels], ['p w', { env: 'prod' }])
    assert.equal(ran.err, '')
  })

  test('settings that are not named are left out, and trusted functions are added to those there', async () => {
    const set = async (...words: string[]): Promise<unknown> => {
      const ran = await sallyport(['connect', 'set', 'shop-db', ...words, '--data', dir])
      assert.deepEqual([ran.code, ran.err], [0, ''])
      return JSON.parse(seen.at(-1)?.body ?? '')
    }
    assert.deepEqual(await set('--notices', 'never'), { notices: 'never' })
    assert.deepEqual(await set('--hold-max', '5h', '--hold-in-transaction-max', '30s'), {
      holdMaxMs: 18_000_000,
      holdInTransactionMaxMs: 30_000,
    })
    assert.deepEqual(await set('--trust-function', 'a.new', '--distrust-function', 'a.old'), {
      trustedFunctions: ['a.kept', 'a.new'],
    })
  })

  test('a password in the address is warned about', async () => {
    const ran = await sallyport([
      'connections',
      'add',
      'postgres://app:pw@db/shop',
      '--name',
      'shop-db',
      '--data',
      dir,
    ])
    assert.match(ran.err, /seen by everyone who can list processes/)
  })

  test("a gateway's refusal is one JSON object on standard error and nothing on standard output", async () => {
    const ran = await sallyport(['connections', 'rm', 'nope', '--data', dir])
    assert.deepEqual([ran.code, ran.out], [2, ''])
    assert.deepEqual(JSON.parse(ran.err), {
      error: {
        code: 'SP_NOT_FOUND',
        message: 'nothing there',
        retry: 'after-fix',
        fix: 'there is nothing of that name.',
      },
    })
  })

  test('without a gateway the exit code is 6', async () => {
    const ran = await sallyport(['sessions', '--data', join(dir, 'none')])
    assert.equal(ran.code, 6)
    assert.match(ran.err, /"code":"SP_GATEWAY_UNREACHABLE"/)
  })

  test('wrong usage gives exit code 2', async () => {
    assert.equal((await sallyport(['connections', 'add', 'nonsense'])).code, 2)
    assert.equal((await sallyport(['version', '-o', 'xml'])).code, 2)
    assert.equal((await sallyport(['upp'])).code, 2)
  })
})

test('every verb has an example in its help', () => {
  const program = buildProgram(() => undefined)
  const verbs = program.commands.flatMap((each) => [each, ...each.commands])
  assert.ok(verbs.length >= 11)
  for (const verb of verbs) {
    let help = ''
    verb.configureOutput({ writeOut: (text) => (help += text) })
    verb.outputHelp()
    assert.match(help, /Example:\n {2}\S+/, verb.name())
  }
})

test('an address keeps every character of user, password and database', () => {
  const name = fc
    .string({ minLength: 1, maxLength: 20, unit: 'binary' })
    .filter((text) => text.isWellFormed())
  fc.assert(
    fc.property(name, name, (user, database) => {
      const url = callerUrl({ user, secret: 's', host: 'h', port: 5, database })
      const parsed = new URL(url)
      assert.equal(decodeURIComponent(parsed.username), user)
      assert.equal(decodeURIComponent(parsed.pathname.slice(1)), database)
      const target = parseTargetUrl(url.replace('?sslmode=require', ''))
      assert.deepEqual(target, { user, password: 's', host: 'h', port: 5, database })
    }),
  )
})

test('settings in an address are refused, since they would be dropped unseen', () => {
  assert.throws(() => parseTargetUrl('postgres://u@h/d?sslmode=disable'), /--tls/)
  assert.throws(() => parseTargetUrl('mysql://u@h/d'), /postgres:/)
})

test('durations are numbers with a unit', () => {
  assert.deepEqual(
    ['45s', '10m', '8h', '90d'].map(parseDuration),
    [45_000, 600_000, 28_800_000, 7_776_000_000],
  )
  for (const wrong of ['', '8', '0h', '-1h', '1w', '1.5h'])
    assert.throws(() => parseDuration(wrong), /duration/)
})

test('short ids are unique, and at least three characters after their prefix', () => {
  const id = fc.stringMatching(/^s_[0-9a-z]{13}$/)
  fc.assert(
    fc.property(fc.uniqueArray(id, { minLength: 1 }), (ids) => {
      const short = [...shortestPrefixes(ids)]
      for (const [whole, prefix] of short) {
        assert.ok(prefix.length >= 5)
        assert.deepEqual(
          ids.filter((each) => each.startsWith(prefix)),
          [whole],
        )
      }
    }),
  )
})

test('a list has the form that was asked for; a pipe gets one object a line', async () => {
  const print = async (over: Partial<Output>): Promise<string> => {
    let text = ''
    const output: Output = {
      form: undefined,
      isTerminal: false,
      columns: 80,
      data: (piece) => void (text += piece),
      say: () => undefined,
      ...over,
    }
    await printList(
      output,
      [{ n: 'a' }, { n: 'bb' }],
      { NAME: (row) => row.n, X: () => '1' },
      (row) => row.n,
    )
    return text
  }
  assert.equal(await print({}), '{"n":"a"}\n{"n":"bb"}\n')
  assert.equal(await print({ isTerminal: true }), 'NAME  X\na     1\nbb    1\n')
  assert.equal(await print({ form: 'name', isTerminal: true }), 'a\nbb\n')
  assert.equal(await print({ form: 'yaml' }), '- n: a\n- n: bb\n')
  assert.equal(printable('a\u001B[2Jb\rc'), 'a�[2Jb�c')
})
