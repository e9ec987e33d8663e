import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { after, before, suite, test } from 'node:test'
import type { Entry } from '@sallyport/core'
import { startGateway, type ApprovalView, type ControlPlane } from '@sallyport/gateway'
import { skipReason, startPostgres, until, type TestPostgres } from '@sallyport/testkit'
import { encodeQuery } from '@sallyport/wire'
import { sessionEntries } from '../packages/gateway/src/control-plane/recordings/recordings.ts'
import { GateRelay, type Gate } from './gate-relay.ts'
import type { GatewayProcessReady } from './gateway-process.ts'
import { WireCaller } from './wire-caller.ts'

const program = fileURLToPath(new URL('gateway-process.ts', import.meta.url))
const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: ask}
spec:
  owner: group:test
  rules:
    - name: deletes
      on: sql
      when: '"delete" in op.classes'
      effect: approve
      approve: {from: [owner], selfRoot: allow}
      message: "The owner looks."
`

/** The control plane is gone in an instant; its workers find that out, and another one is started on the same folder. */
suite(
  'a gateway that is killed while commands are held',
  { skip: skipReason(), timeout: 120_000 },
  () => {
    let postgres: TestPostgres
    let relay: GateRelay
    let dataDir: string
    before(async () => {
      postgres = await startPostgres({
        users: [{ name: 'app', auth: 'scram-sha-256', password: 'app-password', superuser: true }],
        config: ["log_statement = 'all'"],
      })
      await postgres.sql(
        'create table orders(id int primary key); insert into orders select generate_series(1, 9)',
      )
      relay = await GateRelay.before(postgres.port)
      dataDir = await mkdtemp(join(tmpdir(), 'sallyport-killed-'))
      await mkdir(join(dataDir, 'policies'))
      await writeFile(join(dataDir, 'policies', 'ask.yaml'), policy)
    })
    after(async () => {
      await relay[Symbol.asyncDispose]()
      await postgres.stop()
      await rm(dataDir, { recursive: true, force: true })
    })

    /** What the API answers. */
    const ask = async <T>(port: number, method: string, path: string, body?: unknown): Promise<T> =>
      (await (await send(port, method, path, body)).json()) as T
    const send = async (
      port: number,
      method: string,
      path: string,
      body?: unknown,
    ): Promise<Response> => {
      const token = (await readFile(join(dataDir, 'owner.token'), 'utf8')).trim()
      return await fetch(`http://127.0.0.1:${port}${path}`, {
        method,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
    }

    const start = async (): Promise<{ child: ChildProcess; ready: GatewayProcessReady }> => {
      const child = fork(program, [dataDir], { execArgv: ['--conditions=@sallyport/source'] })
      const [ready] = (await once(child, 'message')) as [GatewayProcessReady]
      const login = { user: 'app', password: 'app-password', database: postgres.database }
      const place = { host: '127.0.0.1', port: relay.port, tls: 'off' }
      await send(ready.api, 'POST', '/v1/connections', { name: 'shop', ...place, ...login })
      return { child, ready }
    }

    /** Holds a delete of this row, kills the gateway when `act` is done, and starts one again. */
    const killedWhile = async (
      row: number,
      act: (api: number, id: string) => Promise<void>,
    ): Promise<{ again: ControlPlane; id: string; session: string; read: string }> => {
      const { child, ready } = await start()
      const issued = await ask<{ user: string; secret: string }>(
        ready.api,
        'POST',
        '/v1/credentials',
        { connection: 'shop' },
      )
      const door = { port: ready.postgres, user: issued.user, password: issued.secret }
      await using caller = await WireCaller.open({ ...door, database: postgres.database })
      caller.send(encodeQuery(`delete from orders where id = ${row}`))
      const heard = caller.until('ReadyForQuery').then(
        (lines) => lines.join('\n'),
        () => 'the end',
      )
      const { id, session } = await until('it is held', async () => {
        const found = await ask<ApprovalView[]>(ready.api, 'GET', '/v1/approvals?state=pending')
        return found.find(({ text }) => text.endsWith(`id = ${row}`))
      })
      await act(ready.api, id)
      child.kill('SIGKILL')
      await once(child, 'exit')
      await until('its workers are gone', () => ready.workers.every((pid) => !isAlive(pid)))
      const read = await heard
      const again = await startGateway({
        dataDir,
        ports: { api: 0, postgres: 0 },
        host: '127.0.0.1',
        workers: 1,
        durability: 'process',
        demo: false,
        onEvent: () => undefined,
      })
      return { again, id, session, read }
    }

    const runsOf = async (row: number): Promise<number> => {
      const log = await readFile(postgres.logFile, 'utf8')
      return log
        .split('\n')
        .filter((line) => line.endsWith(`statement: delete from orders where id = ${row}`)).length
    }
    const storyOf = async ({ recorded }: ControlPlane, session: string): Promise<string[]> => {
      const entries = await until('its recording has ended', async () => {
        const found: Entry[] = []
        for await (const item of sessionEntries(recorded, session))
          if ('entry' in item) found.push(item.entry)
        return found.at(-1)?.kind === 'session.closed' ? found : false
      })
      return entries.flatMap((entry) =>
        entry.kind === 'answered'
          ? [`answered ${entry.outcome}`]
          : entry.kind === 'response.end'
            ? [`ended ${entry.status}`]
            : [],
      )
    }
    const yes = { decision: 'approve' }

    test('nobody had answered: it is withdrawn, and a yes comes too late', async () => {
      const { again, id, session, read } = await killedWhile(1, async () => undefined)
      try {
        const view = await ask<ApprovalView>(again.ports.api, 'GET', `/v1/approvals/${id}`)
        assert.equal(view.state, 'withdrawn')
        const late = await send(again.ports.api, 'POST', `/v1/approvals/${id}/answer`, yes)
        assert.equal(late.status, 403)
        assert.doesNotMatch(read, /CommandComplete/)
        assert.equal(await runsOf(1), 0)
        assert.deepEqual(await storyOf(again, session), ['answered withdrawn'])
      } finally {
        await again.stop(0)
      }
    })

    test('somebody had said yes, and it had not left: it does not run, and the recording says so', async () => {
      let gate: Gate | undefined
      const { again, id, session, read } = await killedWhile(2, async (api, id) => {
        gate = relay.stopAt((bytes) => bytes.includes('pg_policy'))
        await send(api, 'POST', `/v1/approvals/${id}/answer`, yes)
        await gate.reached
      })
      try {
        gate?.letGo()
        assert.equal(
          (await ask<ApprovalView>(again.ports.api, 'GET', `/v1/approvals/${id}`)).state,
          'used',
        )
        const late = await send(again.ports.api, 'POST', `/v1/approvals/${id}/answer`, yes)
        assert.equal(late.status, 403)
        assert.doesNotMatch(read, /CommandComplete/)
        assert.equal(await runsOf(2), 0)
        assert.deepEqual(await storyOf(again, session), ['answered withdrawn'])
      } finally {
        await again.stop(0)
      }
    })

    test('it was leaving: it runs once at most, and nobody says that it did not', async () => {
      let gate: Gate | undefined
      const { again, session, read } = await killedWhile(3, async (api, id) => {
        gate = relay.stopAt((bytes) => bytes[0] === 0x51 && bytes.includes('delete from orders'))
        await send(api, 'POST', `/v1/approvals/${id}/answer`, yes)
        await gate.reached
      })
      try {
        gate?.letGo()
        assert.doesNotMatch(read, /Not executed/)
        assert.deepEqual(await storyOf(again, session), ['answered approved', 'ended aborted'])
        assert.ok((await runsOf(3)) <= 1)
      } finally {
        await again.stop(0)
      }
    })
  },
)

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
