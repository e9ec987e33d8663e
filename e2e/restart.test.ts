import assert from 'node:assert/strict'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { startGateway } from '@sallyport/gateway'
import { skipReason, until } from '@sallyport/testkit'
import { listSessions } from '../packages/gateway/src/control-plane/recordings/recordings.ts'
import { connect } from './hardship.ts'
import { startTestGateway } from './test-gateway.ts'

suite('a gateway that is started again', { skip: skipReason() }, () => {
  test('with fewer workers ends the recordings of those that are gone', async () => {
    await using gateway = await startTestGateway({ workers: 2 })
    const journal = join(gateway.dataDir, 'journal')
    const sizes = async (): Promise<number[]> => {
      const names = (await readdir(journal)).filter((name) => /^0.*\.journal$/u.test(name))
      return Promise.all(names.map(async (name) => (await stat(join(journal, name))).size))
    }
    const empty = await sizes()
    assert.equal(empty.length, 2)
    // The kernel chooses the worker of a connection, so there are as many as it takes.
    let opened = 0
    await until('both workers record a session', async () => {
      const client = await connect(gateway)
      await client.query('select 1')
      opened += 1
      return (await sizes()).every((size, at) => size > (empty[at] ?? 0))
    })
    for (const { pid } of (await gateway.gateway.status()).workers) {
      if (pid !== undefined) process.kill(pid, 'SIGKILL')
    }
    // Before they are started again.
    await gateway.gateway.stop(0)
    const before = await listSessions(gateway.gateway.recorded)
    assert.ok(before.sessions.every(({ closed }) => closed === undefined))

    const again = await startGateway({
      dataDir: gateway.dataDir,
      ports: { api: 0, postgres: 0 },
      host: '127.0.0.1',
      workers: 1,
      durability: 'process',
      demo: false,
      onEvent: () => undefined,
    })
    try {
      const { sessions, problems } = await until('every lost session is closed', async () => {
        const list = await listSessions(again.recorded)
        return list.sessions.every(({ closed }) => closed !== undefined) ? list : false
      })
      assert.deepEqual(problems, [])
      assert.equal(sessions.length, opened)
      for (const { closed, verified, commands } of sessions) {
        assert.deepEqual([closed, verified, commands], ['aborted', true, 1])
      }
    } finally {
      await again.stop(0)
    }
  })
})
