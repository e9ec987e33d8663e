import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import { after, before, suite, test } from 'node:test'
import { skipReason, until } from '@sallyport/testkit'
import { connect, psql } from './hardship.ts'
import { openPolicy, startTestGateway, type TestGateway } from './test-gateway.ts'

suite('what a caller reads when something is wrong', { skip: skipReason() }, () => {
  let gateway: TestGateway
  before(async () => {
    gateway = await startTestGateway()
  })
  after(async () => {
    await gateway[Symbol.asyncDispose]()
  })

  const port = (): number => gateway.gateway.ports.postgres
  const addConnection = async (name: string, more: object): Promise<string> => {
    const added = await gateway.api('POST', '/v1/connections', {
      name,
      host: '127.0.0.1',
      port: gateway.postgres.port,
      user: 'app',
      password: 'app-password',
      database: gateway.postgres.database,
      labels: {},
      tls: 'off',
      ...more,
    })
    assert.ok(added.ok, await added.text())
    const { user, secret } = await gateway.gateway.issueCredential({ connection: name })
    return `postgresql://${user}:${secret}@127.0.0.1:${port()}/postgres?sslmode=require`
  }
  /** Sends bytes on a fresh socket and gives all that comes back. */
  const exchange = async (bytes: Buffer, encrypted = false): Promise<Buffer> => {
    const socket = encrypted
      ? connectTls({
          host: '127.0.0.1',
          port: port(),
          rejectUnauthorized: false,
          ALPNProtocols: ['postgresql'],
        })
      : connectTcp(port(), '127.0.0.1')
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    socket.on('error', () => undefined)
    socket.setTimeout(10_000, () => socket.destroy(new Error('no end')))
    socket.write(bytes)
    await new Promise((resolve) => socket.on('close', resolve))
    return Buffer.concat(chunks)
  }

  test('a wrong secret, an unknown credential and a wrong connection read the same', async () => {
    const url = await gateway.url()
    const secret = new URL(url).password
    const wrong = url.replace(secret, `${secret.slice(0, -3)}abc`)
    const unknown = url.replace('shop.', 'shop.x')
    const foreign = url.replace('shop.', 'other.')
    const results = await Promise.all(
      [wrong, unknown, foreign].map((each) => psql(each, '-c', 'select 1')),
    )
    for (const { err, code } of results) {
      assert.equal(code, 2)
      assert.match(err, /FATAL: {2}Sallyport: this credential is not valid here/)
      assert.match(err, /\(SP_LOGIN_REFUSED\)/)
    }
  })

  test('an expired credential says so', async () => {
    const url = await gateway.url({ ttlMs: 1000 })
    await sleep(1100)
    const { err } = await psql(url, '-c', 'select 1')
    assert.match(err, /FATAL: {2}Sallyport: the credential has expired\. Get a new one/)
  })

  test('plain text is refused with the way out', async () => {
    const { err } = await psql(await gateway.url({ query: 'sslmode=disable' }), '-c', 'select 1')
    assert.match(err, /accepts TLS connections only\. Connect with sslmode=require\./)
  })

  test('GSS encryption is declined and the login goes on in the same connection', async () => {
    const socket = connectTcp(port(), '127.0.0.1')
    socket.write(Buffer.from('0000000804d21630', 'hex'))
    const [answer] = (await once(socket, 'data')) as [Buffer]
    assert.equal(answer.toString(), 'N')
    socket.write(Buffer.from('0000000804d2162f', 'hex'))
    const [second] = (await once(socket, 'data')) as [Buffer]
    assert.equal(second.toString(), 'S')
    socket.destroy()
  })

  test('HTTP is told which protocol this is', async () => {
    const answer = (await exchange(Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n'))).toString()
    assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\n/)
    assert.match(answer, /speaks the PostgreSQL protocol, not HTTP/)
  })

  test('garbage gets an error or an end, in plain text and in TLS', async () => {
    const garbage = [
      Buffer.alloc(64),
      Buffer.alloc(64, 0xff),
      Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'),
      Buffer.from('0000000800030000', 'hex'),
      Buffer.from('7fffffff00030000', 'hex'),
    ]
    for (const bytes of garbage) {
      for (const encrypted of [false, true]) {
        const answer = await exchange(bytes, encrypted)
        assert.match(answer.toString(), /^E.*(?:SP_PROTOCOL|SP_TLS_REQUIRED|SP_LOGIN_REFUSED)|^R/s)
      }
    }
    assert.equal((await psql(await gateway.url(), '-c', 'select 1')).out, '1\n')
  })

  test('direct TLS logs in with ALPN and is refused without', async () => {
    const startup = Buffer.from('user\0shop.nobody\0database\0postgres\0\0')
    const head = Buffer.alloc(8)
    head.writeUInt32BE(startup.length + 8, 0)
    head.writeUInt32BE(3 << 16, 4)
    const open = async (alpn: string[]): Promise<string> => {
      const socket = connectTls({
        host: '127.0.0.1',
        port: port(),
        rejectUnauthorized: false,
        ALPNProtocols: alpn,
      })
      const failed = new Promise<string>((resolve) => {
        socket.on('error', (error) => resolve(error.message))
        socket.on('close', () => resolve('closed'))
      })
      socket.write(Buffer.concat([head, startup]))
      const got = once(socket, 'data').then(([chunk]) => (chunk as Buffer).toString())
      const answer = await Promise.race([failed, got.catch(() => failed)])
      socket.destroy()
      return answer
    }
    assert.match(await open(['postgresql']), /SCRAM-SHA-256-PLUS/)
    assert.match(await open([]), /SP_PROTOCOL/)
    assert.doesNotMatch(await open(['h2']), /SCRAM/)
  })

  test('replication is refused', async () => {
    const { err } = await psql(
      await gateway.url({ query: 'sslmode=require&replication=database' }),
      '-c',
      'select 1',
    )
    assert.match(err, /Replication connections do not pass the gateway\./)
  })

  test('an encoding that is not UTF-8 is refused at login and later', async () => {
    const atLogin = await psql(
      await gateway.url({ query: 'sslmode=require&client_encoding=SJIS' }),
      '-c',
      'select 1',
    )
    assert.match(atLogin.err, /The gateway reads statements as UTF-8 only\./)
    const later = await psql(
      await gateway.url(),
      '-c',
      "set client_encoding = 'SJIS'",
      '-c',
      'show client_encoding',
    )
    assert.doesNotMatch(later.out, /SJIS/)
    assert.match(later.err, /SP_/)
  })

  test('a target that is down is told apart from a refused login there', async () => {
    const down = await psql(await addConnection('down', { port: 1 }), '-c', 'select 1')
    assert.match(down.err, /the target does not answer/)
    assert.match(down.err, /The connection down could not be opened\./)
    const wrong = await psql(
      await addConnection('wrong', { password: 'not-it-4711' }),
      '-c',
      'select 1',
    )
    assert.match(wrong.err, /the target refused the gateway's own credential/)
    assert.doesNotMatch(wrong.err, /4711/)
    const noTls = await psql(await addConnection('no-tls', { tls: 'full' }), '-c', 'select 1')
    assert.match(noTls.err, /SP_TARGET_TLS/)
  })

  test('a database that does not exist is named', async () => {
    const { err } = await psql(await gateway.url({ database: 'nowhere' }), '-c', 'select 1')
    assert.match(err, /database "nowhere" does not exist/)
  })

  test('a broken policy leaves the old one in force and shows why', async () => {
    await gateway.writePolicy('apiVersion: sallyport.dev/v1\nkind: Policy\nspec: [\n')
    const event = await until('the refusal is reported', () =>
      gateway.events.find((each) => each.kind === 'policies.refused'),
    )
    assert.match(event.kind === 'policies.refused' ? event.text : '', /test\.yaml/)
    assert.match((await gateway.gateway.status()).policies.problems, /test\.yaml/)
    assert.equal((await psql(await gateway.url(), '-c', 'select 1')).out, '1\n')
    await gateway.writePolicy(openPolicy)
    await until(
      'the problem is gone',
      async () => (await gateway.gateway.status()).policies.problems === '',
    )
  })

  test('a message over the limit ends its session in words and no other', async () => {
    const neighbour = await connect(gateway)
    const client = await connect(gateway)
    await assert.rejects(
      client.query(`select '${'x'.repeat(65 * 1024 * 1024)}'`),
      /the message is larger than this gateway takes|terminated|EPIPE|ECONNRESET/,
    )
    await client.end().catch(() => undefined)
    assert.equal((await neighbour.query('select 1 as one')).rows[0].one, 1)
    await neighbour.end()
    const { workers } = await gateway.gateway.status()
    assert.deepEqual(
      workers.map(({ restarts }) => restarts),
      [0],
    )
  })

  test('a statement just below the limit is refused and the session goes on', async () => {
    const client = await connect(gateway)
    await assert.rejects(client.query(`select '${'x'.repeat(63 * 1024 * 1024)}'`), /Sallyport/)
    assert.equal((await client.query('select 1 as one')).rows[0].one, 1)
    await client.end()
  })
})
