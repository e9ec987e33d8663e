import assert from 'node:assert/strict'
import { test } from 'node:test'
import { listenScripted, ScriptedPeer } from './scripted-peer.ts'
import { skipReason } from './postgres-binaries.ts'
import { startPostgres } from './test-postgres.ts'
import { until } from './until.ts'

test('a script that is followed finishes, and one that is not fails', async () => {
  await using listener = await listenScripted(async (peer) => {
    await peer.expectBytes(Buffer.from('hello'))
    peer.send(Buffer.from('welcome'))
    await peer.expectEnd()
  })
  await using good = await ScriptedPeer.connect(listener.port)
  good.send(Buffer.from('hello'))
  await good.expectBytes(Buffer.from('welcome'))
  good.hangUp()
  await listener.finished()

  await using bad = await ScriptedPeer.connect(listener.port)
  bad.send(Buffer.from('jello'))
  await until('the script failed', () =>
    listener.finished().then(
      () => false,
      () => true,
    ),
  )
  await assert.rejects(listener.finished(), /expected 68656c6c6f, got 6a656c6c6f/)
})

test('until gives up, and says for what it waited', async () => {
  await assert.rejects(
    until('a thing', () => false, 20),
    /in vain: a thing/,
  )
  assert.equal(await until('seven', () => 7), 7)
})

test(
  'a cluster has the users, TLS and settings it was asked for',
  { skip: skipReason() },
  async () => {
    await using server = await startPostgres({
      users: [
        { name: 'old', auth: 'md5', password: "it's" },
        { name: 'new', auth: 'scram-sha-256', password: 'new' },
      ],
      tls: 'self-signed',
      config: ['work_mem = 7MB'],
    })
    assert.equal(await server.sql('show work_mem'), '7MB')
    assert.equal(await server.sql('show ssl'), 'on')
    assert.match(server.certificate ?? '', /BEGIN CERTIFICATE/)
    const stored = await server.sql(
      `select left(rolpassword, 3) from pg_authid where rolname in ('old', 'new') order by rolname desc`,
    )
    assert.equal(stored, 'md5\nSCR')
    await assert.rejects(server.sql('selec'), /syntax error/)
  },
)

test('a test may name the server it wants', { skip: skipReason('18') }, async () => {
  await using server = await startPostgres({ server: '18' })
  assert.match(await server.sql('show server_version'), /^18\./)
  assert.equal(await server.sql(`select count(*) from pg_extension where extname = 'plpgsql'`), '1')
})
