import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { connect } from 'node:tls'
import { ScriptedPeer, skipReason } from '@sallyport/testkit'
import { AgentFamily } from './agent-family.ts'
import { psql } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'
import { WireCaller } from './wire-caller.ts'
import { encodeQuery } from '@sallyport/wire'

const skip = skipReason()

describe('a link of a local broker', { skip }, () => {
  let gw: TestGateway
  before(async () => {
    gw = await startTestGateway({})
  })
  after(async () => {
    await gw[Symbol.asyncDispose]()
  })

  const open = async (): Promise<ScriptedPeer> => {
    const socket = connect({
      host: '127.0.0.1',
      port: gw.gateway.ports.postgres,
      ALPNProtocols: ['sallyport-link'],
      rejectUnauthorized: false,
    })
    await once(socket, 'secureConnect')
    const facts: unknown = JSON.parse(await readFile(join(gw.dataDir, 'gateway.json'), 'utf8'))
    const pinned = socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase()
    assert.equal(Reflect.get(facts as object, 'certSha256'), pinned)
    return new ScriptedPeer(socket)
  }
  const lineOf = (secret: string): Buffer =>
    Buffer.from(`${JSON.stringify({ v: 1, credential: secret, evidence: { pid: 7 } })}\n`)
  const answerTo = async (...sent: readonly Uint8Array[]): Promise<unknown> => {
    await using peer = await open()
    for (const bytes of sent) peer.send(bytes)
    return await answer(peer)
  }
  const answer = async (peer: ScriptedPeer): Promise<unknown> => {
    let line = ''
    while (!line.endsWith('\n')) line += (await peer.read(1)).toString()
    return JSON.parse(line)
  }

  test('logs in for a program, which needs no password and says any user name', async () => {
    const { secret } = await gw.credential()
    const peer = await open()
    peer.send(lineOf(secret))
    assert.deepEqual(await answer(peer), { ok: true })
    await using caller = await WireCaller.open({ port: 0, user: 'whoever', password: '' }, peer)
    caller.send(encodeQuery('select 41 + 1'))
    const lines = await caller.until('ReadyForQuery')
    assert.ok(
      lines.some((line) => line.includes('"42"')),
      lines.join('\n'),
    )
  })

  test('what the broker saw of the process is on record', async () => {
    const { secret } = await gw.credential()
    const peer = await open()
    peer.send(lineOf(secret))
    await answer(peer)
    await using caller = await WireCaller.open({ port: 0, user: 'x', password: '' }, peer)
    caller.send(encodeQuery('select 1'))
    await caller.until('ReadyForQuery')
    const sessions = await (await gw.api('GET', '/v1/sessions')).json()
    const { id } = (sessions as { id: string }[])[0] ?? { id: '' }
    const text = await (await gw.api('GET', `/v1/sessions/${id}?as=text`)).text()
    assert.match(text, /process \{"pid":7\}/)
  })

  test('level 3 needs a link: the same secret typed as a password is level 2', async () => {
    const family = new AgentFamily(gw)
    const root = await family.root()
    const url = await family.url(root, { level: 3 })
    const { err } = await psql(url, '-c', 'select 1')
    assert.match(err, /\(L2\)/)
  })

  test('is refused with one text for an unknown id, a wrong secret and a wrong form', async () => {
    const { secret } = await gw.credential()
    const wrong = `${secret.slice(0, -1)}${secret.endsWith('0') ? '1' : '0'}`
    const refused = await answerTo(lineOf(wrong))
    assert.equal(Reflect.get(refused as object, 'code'), 'SP_LOGIN_REFUSED')
    const unknown = secret.replace(/^spc_.{13}/, 'spc_0000000000000')
    assert.deepEqual(await answerTo(lineOf(unknown)), refused)
    assert.deepEqual(await answerTo(lineOf('nothing')), refused)
  })

  test('must begin with one line of JSON and nothing behind it', async () => {
    const { secret } = await gw.credential()
    for (const sent of [
      Buffer.from('hello\n'),
      Buffer.from('{"v":2,"credential":"x"}\n'),
      Buffer.concat([lineOf(secret), Buffer.from('more')]),
      Buffer.alloc(20_000, 0x20),
    ]) {
      const refused = await answerTo(sent)
      assert.equal(
        Reflect.get(refused as object, 'code'),
        'SP_PROTOCOL',
        sent.toString().slice(0, 30),
      )
    }
  })
})
