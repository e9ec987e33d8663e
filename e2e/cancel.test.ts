import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { suite, test } from 'node:test'
import { ScriptedPeer, skipReason, until } from '@sallyport/testkit'
import { encodeGssEncRequest, encodeQuery } from '@sallyport/wire'
import { listSessions } from '../packages/gateway/src/control-plane/recordings/recordings.ts'
import { workerPids } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'
import { sendCancel, WireCaller } from './wire-caller.ts'

/** So many connections of which none arrives at the one worker that runs are not seen in the life of a test. */
const tries = 24

const skip = existsSync('/proc/self/stat') ? skipReason() : 'stopped processes are seen in /proc'

suite('two workers at one port', { skip }, () => {
  test('a cancel request that arrives at one worker ends a statement of the other', async () => {
    await using gateway = await startTestGateway({ workers: 2, plainText: true })
    const pids = await workerPids(gateway)
    assert.equal(pids.length, 2)
    for (const home of pids) {
      const { user, secret } = await gateway.credential()
      const door = { port: gateway.gateway.ports.postgres, user, password: secret }
      await using caller = await WireCaller.open(door, await connectionTo(gateway, home, pids))
      caller.send(encodeQuery('select pg_sleep(60)'))
      await until('the statement runs', async () => (await sleeping(gateway)) === 1)
      const [away] = pids.filter((pid) => pid !== home)
      await using peer = await connectionTo(gateway, away ?? 0, pids)
      sendCancel(peer, caller)
      await peer.expectEnd()
      const answered = await caller.until('ReadyForQuery')
      assert.match(answered.join('\n'), /"C":"57014","M":"canceling statement due to user request"/)
      assert.equal(await sleeping(gateway), 0)
    }
    const { sessions } = await listSessions(gateway.gateway.recorded)
    assert.deepEqual(
      sessions.map(({ opened }) => opened.worker),
      (await gateway.gateway.status()).workers.map(({ worker }) => worker),
      'each worker had one of the two sessions',
    )
  })
})

async function sleeping(gateway: TestGateway): Promise<number> {
  const sql = `select count(*) from pg_stat_activity
    where query = 'select pg_sleep(60)' and state = 'active'`
  return Number(await gateway.postgres.sql(sql))
}

/**
 * A connection that this worker has accepted: while the others are stopped, nobody else can have answered on it. What
 * is answered is a request for encryption, after which the connection still stands at its beginning.
 */
async function connectionTo(
  gateway: TestGateway,
  pid: number,
  pids: readonly number[],
): Promise<ScriptedPeer> {
  const others = pids.filter((each) => each !== pid)
  try {
    for (const other of others) {
      process.kill(other, 'SIGSTOP')
      await until('the other worker stands still', async () => {
        const stat = await readFile(`/proc/${other}/stat`, 'utf8')
        return stat.slice(stat.lastIndexOf(')')).startsWith(') T')
      })
    }
    const peers = await Promise.all(
      Array.from({ length: tries }, async () => {
        const peer = await ScriptedPeer.connect(gateway.gateway.ports.postgres)
        peer.send(encodeGssEncRequest())
        return peer
      }),
    )
    const accepted = await Promise.any(
      peers.map(async (peer) => {
        await peer.expectBytes(Buffer.from('N'))
        return peer
      }),
    )
    const unused = peers.filter((peer) => peer !== accepted)
    await Promise.all(unused.map(async (peer) => await peer[Symbol.asyncDispose]()))
    return accepted
  } finally {
    for (const other of others) process.kill(other, 'SIGCONT')
  }
}
