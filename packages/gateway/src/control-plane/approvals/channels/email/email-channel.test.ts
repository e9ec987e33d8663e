import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { SMTPServer, type SmtpOptions } from 'smtp-server'
import { Secret } from '@sallyport/core'
import { DeliveryError } from '../../../exports/delivery/destination.ts'
import { MessageRefused, type Notice } from '../channel.ts'
import type { EmailChannel as EmailConfig } from '../config/channel-config.ts'
import type { ToldApproval } from '../told-approval.ts'
import { EmailChannel } from './email-channel.ts'

const never = new AbortController().signal

const told: ToldApproval = {
  id: 'ap_1',
  state: 'pending',
  binding: 'b',
  url: 'https://gw.example.com/a/ap_1',
  agent: 'a_2',
  chain: ['dana', 'fixer'],
  level: 2,
  connection: 'orders-db',
  database: 'shop',
  class: 'write',
  verb: 'delete',
  objects: ['public.orders'],
  statement: 'DELETE FROM orders WHERE status = ?',
  rules: ['p/r'],
  wants: '1 of group:dba',
  estimatedRows: 1204,
  askedAt: '2026-11-22T00:00:00.000Z',
  until: '2026-11-22T00:10:00.000Z',
  answers: [],
  isForChat: false,
}
const notice: Notice = {
  id: 'mail-7',
  kind: 'requested',
  tree: 'a_1',
  begunAtMs: 0,
  count: 1,
  approvals: [told],
  earlier: [],
}

interface Mailed {
  readonly text: string
  readonly user: string | undefined
  readonly isSecure: boolean
  readonly to: string[]
}

suite('mail about requests', { timeout: 60_000 }, () => {
  let dir: string
  let cert = ''
  let key = ''
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'sallyport-mail-'))
    const files = ['-keyout', join(dir, 'key'), '-out', join(dir, 'cert')]
    const kind = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
    const name = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
    const made = spawnSync('openssl', ['req', '-x509', ...kind, ...name, ...files, '-days', '2'])
    assert.equal(made.status, 0, String(made.stderr))
    cert = readFileSync(join(dir, 'cert'), 'utf8')
    key = readFileSync(join(dir, 'key'), 'utf8')
  })
  after(() => rmSync(dir, { recursive: true, force: true }))

  const start = async (
    options: SmtpOptions = {},
  ): Promise<AsyncDisposable & { port: number; mailed: Mailed[] }> => {
    const mailed: Mailed[] = []
    let to: string[] = []
    const server = new SMTPServer({
      key,
      cert,
      onAuth: ({ username = '', password }, _session, done) =>
        password === 'pass word'
          ? done(null, { user: username })
          : done(new Error('no: pass word')),
      onRcptTo: ({ address }, _session, done) => {
        if (address.startsWith('gone')) {
          const refused: Error & { responseCode?: number } = new Error('no such user <script>')
          refused.responseCode = 550
          return done(refused)
        }
        to.push(address)
        done()
      },
      onData: (stream, session, done) => {
        let text = ''
        stream.setEncoding('utf8')
        stream.on('data', (chunk: string) => (text += chunk))
        stream.on('end', () => {
          mailed.push({ text, user: session.user, isSecure: session.secure, to })
          to = []
          done()
        })
      },
      ...options,
    })
    server.on('error', () => undefined)
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
    return {
      port: (server.server.address() as AddressInfo).port,
      mailed,
      [Symbol.asyncDispose]: async () => await new Promise<void>((done) => server.close(done)),
    }
  }
  const open = (port: number, over: Partial<EmailConfig> = {}): EmailChannel & AsyncDisposable => {
    const config: EmailConfig = {
      name: 'mail',
      type: 'email',
      routes: [],
      events: [],
      host: 'localhost',
      port,
      tls: 'starttls',
      ca: new Secret(cert),
      login: { user: 'gate', password: new Secret('pass word') },
      from: 'sallyport@example.com',
      to: ['dba@example.com', 'ops@example.com'],
      ...over,
    }
    const channel = new EmailChannel({ config, answerMs: 3000 })
    return Object.assign(channel, { [Symbol.asyncDispose]: async () => await channel.close() })
  }
  const failing = async (channel: EmailChannel): Promise<DeliveryError> => {
    const failed = await channel.deliver(notice, never).catch((error: unknown) => error)
    assert.ok(failed instanceof DeliveryError, String(failed))
    return failed
  }

  test('goes over STARTTLS with a login, as plain text with an address that asks for one', async () => {
    await using server = await start()
    await using channel = open(server.port)
    assert.equal(await channel.deliver(notice, never), undefined)
    const [mail] = server.mailed
    assert.deepEqual(
      [mail?.user, mail?.isSecure, mail?.to],
      ['gate', true, ['dba@example.com', 'ops@example.com']],
    )
    const text = (mail?.text ?? '').replaceAll('=\r\n', '').replaceAll('=3D', '=')
    assert.match(text, /^Message-ID: <mail-7@example\.com>/imu)
    assert.match(text, /^Auto-Submitted: auto-generated/imu)
    assert.match(text, /^Content-Type: text\/plain/imu)
    assert.doesNotMatch(text, /text\/html|multipart/iu)
    assert.match(text, /https:\/\/gw\.example\.com\/a\/ap_1/u)
    assert.match(text, /status = \?/u)
    assert.doesNotMatch(text, /decision|token|nonce/iu)
  })

  test('of many requests is one, with a count', async () => {
    await using server = await start()
    await using channel = open(server.port)
    const approvals = Array.from({ length: 30 }, (_, n) => ({ ...told, id: `ap_${n}` }))
    await channel.deliver({ ...notice, count: 30, approvals }, never)
    assert.match(server.mailed[0]?.text ?? '', /Subject: Sallyport: Approval needed: 30 requests/u)
    assert.match(server.mailed[0]?.text ?? '', /and 10 more/u)
  })

  test('cannot be given headers or lines by what a caller wrote', async () => {
    await using server = await start()
    await using channel = open(server.port)
    const evil = 'x\r\nBcc: eve@example.com\r\n\r\n.\r\nMAIL FROM:<eve@example.com>'
    await channel.deliver({ ...notice, approvals: [{ ...told, connection: evil }] }, never)
    const [mail] = server.mailed
    assert.deepEqual(mail?.to, ['dba@example.com', 'ops@example.com'])
    const head = (mail?.text ?? '').split('\r\n\r\n')[0] ?? ''
    assert.doesNotMatch(head, /^Bcc:/imu)
    assert.equal(server.mailed.length, 1)
  })

  test('tells nothing where TLS is not offered, or is not that of the server', async () => {
    await using plain = await start({ disabledCommands: ['STARTTLS'] })
    await using to = open(plain.port, {})
    assert.equal((await failing(to)).message, 'the server does not offer TLS')
    await using server = await start()
    const { ca: _ca, ...config } = { ca: 1 }
    await using stranger = open(server.port, { ...config, ca: new Secret('') })
    assert.match((await failing(stranger)).message, /cannot be reached/u)
    assert.equal(plain.mailed.length + server.mailed.length, 0)
  })

  test('is tried again after a wrong password, which nobody reads', async () => {
    await using server = await start()
    await using channel = open(server.port, { login: { user: 'gate', password: new Secret('no') } })
    const failed = await failing(channel)
    assert.equal(failed.message, 'the server refused the login')
    assert.ok(!(failed instanceof MessageRefused))
  })

  test('that some get is there, and says for whom it was not taken; that nobody gets is given up', async () => {
    await using server = await start()
    await using some = open(server.port, { to: ['dba@example.com', 'gone@example.com'] })
    assert.deepEqual(await some.deliver(notice, never), { refused: 'gone@example.com' })
    assert.deepEqual(server.mailed[0]?.to, ['dba@example.com'])
    await using none = open(server.port, { to: ['gone@example.com'] })
    const failed = await failing(none)
    assert.ok(failed instanceof MessageRefused)
    assert.equal(failed.message, 'the server refused the message: 550')
  })

  test('waits for no server that is down, silent or slow', async () => {
    await using down = open(9)
    assert.match((await failing(down)).message, /cannot be reached: E\w+/u)
    const silent = createServer((socket) => socket.on('error', () => undefined))
    const slow = createServer((socket) => {
      socket.on('error', () => undefined)
      // A greeting that goes on and on (RFC 5321, section 4.2.1).
      const timer = setInterval(() => socket.write('220-wait\r\n'), 50)
      socket.on('close', () => clearInterval(timer))
    })
    for (const server of [silent, slow]) {
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const config = { tls: 'off', host: '127.0.0.1' } as const
      await using channel = open((server.address() as AddressInfo).port, config)
      assert.equal((await failing(channel)).message, 'the server took too long')
      server.close()
    }
  })

  test('is stopped with its gateway', async () => {
    const silent = createServer((socket) => socket.on('error', () => undefined))
    silent.listen(0, '127.0.0.1')
    await once(silent, 'listening')
    const { port } = silent.address() as AddressInfo
    await using channel = open(port, { tls: 'off', host: '127.0.0.1' })
    const stop = new AbortController()
    const sending = channel.deliver(notice, stop.signal)
    stop.abort()
    await assert.rejects(sending, DeliveryError)
    silent.close()
  })
})
