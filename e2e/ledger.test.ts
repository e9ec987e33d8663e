import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { FoundFact, LedgerPage } from '@sallyport/gateway'
import { skipReason, until } from '@sallyport/testkit'
import { sessionJson } from '../packages/gateway/src/control-plane/recordings/print-session.ts'
import { readRecordings } from '../packages/gateway/src/control-plane/recordings/recordings.ts'
import { verifyPlace } from '../packages/gateway/src/control-plane/recordings/export/verify-place.ts'
import { sallyport } from './command-line.ts'
import { connect } from './hardship.ts'
import { startTestGateway, type TestGateway } from './test-gateway.ts'

const bin = fileURLToPath(new URL('../packages/cli/bin/sallyport.mjs', import.meta.url))

async function json(answer: Promise<Response>): Promise<Record<string, never>> {
  const response = await answer
  const text = await response.text()
  assert.ok(response.ok, text)
  return text === '' ? {} : (JSON.parse(text) as Record<string, never>)
}

async function ledger(gateway: TestGateway, query = ''): Promise<readonly FoundFact[]> {
  const path = `/v1/ledger?limit=1000&q=${encodeURIComponent(query)}`
  return ((await json(gateway.api('GET', path))) as unknown as LedgerPage).facts
}

suite('the ledger', { skip: skipReason() }, () => {
  test('what was done over the API is told with who, what and from where, and no secret of it', async () => {
    await using gateway = await startTestGateway()
    const secrets = ['app-password', 'sesame-4711']
    const given = (value: unknown): void => void secrets.push(String(value))
    given((await readFile(join(gateway.dataDir, 'owner.token'), 'utf8')).trim())
    await json(
      gateway.api('POST', '/v1/connections', {
        name: 'other',
        host: 'db',
        port: 5432,
        user: 'app',
        database: 'd',
        tls: 'off',
        password: 'sesame-4711',
        labels: {},
      }),
    )
    await json(gateway.api('PATCH', '/v1/connections/other', { notices: 'never' }))
    const root = await json(gateway.api('POST', '/v1/agents', { name: 'dana' }))
    given(root['handle'])
    const { id } = root['agent'] as unknown as { id: string }
    const child = await json(gateway.api('POST', `/v1/agents/${id}/children`, { name: 'fixer' }))
    given(child['handle'])
    const { id: fixer } = child['agent'] as unknown as { id: string }
    const asked = { connection: 'shop', protocol: 'postgres' }
    const minted = await json(gateway.api('POST', `/v1/agents/${fixer}/credentials`, asked))
    given(minted['secret'])
    const ticket = await json(
      gateway.api('POST', `/v1/agents/${id}/tickets`, { name: 'elsewhere' }),
    )
    given(ticket['ticket'])
    await json(gateway.api('POST', `/v1/agents/${fixer}/freeze`, { reason: 'looking' }))
    await json(gateway.api('POST', `/v1/agents/${fixer}/unfreeze`, { reason: 'fine' }))
    await json(gateway.api('POST', `/v1/agents/${id}/revoke`, { reason: 'wrong branch' }))
    await json(gateway.api('DELETE', '/v1/connections/other'))
    for (let at = 0; at < 20; at += 1) {
      const refused = await fetch(`http://127.0.0.1:${gateway.gateway.ports.api}/v1/status`, {
        headers: { authorization: `Bearer spa_${'x'.repeat(20)}` },
      })
      assert.equal(refused.status, 401)
    }
    const client = await connect(gateway)
    await client.query('select 1')
    await client.end()
    const session = await until('the session is listed', async () => {
      const all = (await json(gateway.api('GET', '/v1/sessions'))) as unknown as { id: string }[]
      return all[0]?.id ?? false
    })
    assert.ok((await gateway.api('GET', `/v1/sessions/${session}`)).ok)
    const archive = await gateway.api('GET', `/v1/exports?session=${session}`)
    assert.ok((await archive.arrayBuffer()).byteLength > 0)

    const facts = await ledger(gateway)
    const names = facts.map(({ what }) => what)
    for (const what of [
      'gateway.started policies.loaded connection.added connection.changed connection.removed',
      'agent.born agent.ticket agent.frozen agent.unfrozen agent.revoked credential.issued',
      'owner.seen caller.refused session.viewed session.exported',
    ].flatMap((line) => line.split(' ')))
      assert.ok(names.includes(what as never), `${what} is missing in ${names.join(' ')}`)
    assert.equal(names.filter((what) => what === 'caller.refused').length, 1)
    const [revoked] = await ledger(gateway, `what:agent.revoked subject:${id}`)
    assert.deepEqual(
      [revoked?.by, revoked?.source, revoked?.detail],
      ['owner', '127.0.0.1', { agent: 'dana', reason: 'wrong branch', agents: 2 }],
    )
    assert.deepEqual(
      (await ledger(gateway, 'what:session.* since:1h')).map(({ subject }) => subject),
      [session, session],
    )
    assert.deepEqual(await ledger(gateway, 'actor:maria'), [])
    const wrong = await gateway.api('GET', '/v1/ledger?q=what:agent.revokd')
    assert.match(await wrong.text(), /there is no fact .*did you mean/iu)

    // Nothing of what was secret stands in what is recorded or found, opened and decoded.
    let all = JSON.stringify(facts)
    for await (const item of readRecordings(gateway.gateway.recorded, '')) all += sessionJson(item)
    assert.match(all, /wrong branch/u)
    for (const secret of secrets) {
      assert.ok(secret.length > 5)
      assert.ok(!all.includes(secret), `a secret stands in the ledger: ${secret}`)
    }
    const sessions = (await json(gateway.api('GET', '/v1/sessions'))) as unknown as unknown[]
    assert.equal(sessions.length, 1, 'a ledger is no session')

    using list = sallyport(gateway, ['ledger', 'what:agent.*', '--limit', '2', '-o', 'table'])
    assert.equal(await list.ended(), 0, list.err)
    assert.match(list.out, /agent\.revoked {2}a_\S+ +owner \S+ +127\.0\.0\.1 +agent=dana/u)
    assert.match(list.err, /There is more: --after/u)
    await json(gateway.api('POST', '/v1/reindex'))
    const again = await until('the index is made again', async () => {
      const found = await ledger(gateway, `what:agent.revoked`)
      return found.length === 1 ? found : false
    })
    assert.deepEqual(again, [revoked])
    await gateway.gateway.stop(0)
    const proven = await verifyPlace({ path: gateway.dataDir })
    assert.deepEqual([proven.sessions, proven.ledgers, proven.findings], [1, 1, []])
    assert.deepEqual(proven.notes, [])
  })

  test('where the journals take nothing, acts are refused and not done, and a revocation happens and is written later', async () => {
    await using gateway = await startTestGateway()
    const root = await json(gateway.api('POST', '/v1/agents', { name: 'dana' }))
    const { id } = root['agent'] as unknown as { id: string }
    const files = join(gateway.dataDir, 'journal')
    await using _mended = {
      [Symbol.asyncDispose]: async () => void (await mkdir(files, { recursive: true })),
    }
    await rm(files, { recursive: true })
    const refused = await until('the ledger notices', async () => {
      const answer = await gateway.api('POST', '/v1/agents', { name: 'late' })
      return answer.status === 503 ? answer : false
    })
    assert.match(await refused.text(), /SP_RECORD_UNAVAILABLE/u)
    for (const [path, body] of [
      ['/v1/credentials', { connection: 'shop' }],
      [`/v1/agents/${id}/children`, { name: 'x' }],
    ] as const) {
      const answer = await gateway.api('POST', path, body)
      assert.match(await answer.text(), /SP_RECORD_UNAVAILABLE/u, path)
    }
    const agents = (await json(gateway.api('GET', '/v1/agents'))) as unknown as { name: string }[]
    assert.ok(agents.every(({ name }) => name !== 'x'))
    await json(gateway.api('POST', `/v1/agents/${id}/revoke`, { reason: 'now' }))
    const after = (await json(gateway.api('GET', `/v1/agents/${id}`))) as unknown
    assert.match(JSON.stringify(after), /revoked/u)
  })

  test('a gateway that is killed among births has a fact for each that it acknowledged, and proves it after', async (t) => {
    const dataDir = await mkdtemp(join(tmpdir(), 'sallyport-killed-'))
    t.after(() => rm(dataDir, { recursive: true, force: true }))
    const born: string[] = []
    for (const waitMs of [40, 150, 400]) {
      const { child, port } = await up(t, dataDir)
      const token = (await readFile(join(dataDir, 'owner.token'), 'utf8')).trim()
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const url = `http://127.0.0.1:${port}/v1/agents`
      let isOver = false
      const callers = Array.from({ length: 6 }, async () => {
        while (!isOver) {
          const answer = await fetch(url, { method: 'POST', headers, body: '{}' }).catch(() => null)
          if (answer?.status !== 201) continue
          const body = (await answer.json().catch(() => undefined)) as
            | { agent: { id: string } }
            | undefined
          if (body !== undefined) born.push(body.agent.id)
        }
      })
      const atLeast = born.length + 5
      await until('agents are born', () => born.length >= atLeast)
      await new Promise((resolve) => setTimeout(resolve, waitMs))
      child.kill('SIGKILL')
      isOver = true
      await Promise.all(callers)
    }
    const told = new Set<string>()
    const key = Buffer.from(await readFile(join(dataDir, 'recording.key'), 'utf8'), 'base64')
    const { child } = await up(t, dataDir)
    child.kill('SIGTERM')
    await new Promise((resolve) => child.once('exit', resolve))
    const { DirectoryRecordingStore } =
      await import('../packages/gateway/src/control-plane/adapters/directory-recording-store.ts')
    const recordings = new DirectoryRecordingStore(join(dataDir, 'recordings'))
    const sources = { journalDir: join(dataDir, 'journal'), recordingKey: key, recordings }
    let aborted = 0
    for await (const item of readRecordings(sources, '')) {
      assert.equal(item.kind, 'entry', JSON.stringify(item))
      if (item.kind !== 'entry') continue
      if (item.entry.kind === 'fact' && item.entry.what === 'agent.born')
        told.add(item.entry.subject)
      if (item.entry.kind === 'session.closed' && item.entry.reason === 'aborted') aborted += 1
    }
    assert.deepEqual(
      born.filter((id) => !told.has(id)),
      [],
    )
    assert.equal(aborted, 3)
    const proven = await verifyPlace({ path: dataDir })
    assert.deepEqual([proven.ledgers, proven.findings], [4, []])
  })
})

/** The embedded database is made first, which takes a machine with much else to do its time. */
const startMsMax = 90_000

/** The gateway as `sallyport up` starts it. */
async function up(t: TestContext, dataDir: string): Promise<{ child: ChildProcess; port: number }> {
  const words = ['up', '--no-demo', '--workers', '1', '--port-postgres', '0', '--port-api', '0']
  // As its own starter does it: that one would outlive what is killed here.
  const flags = ['--conditions=@sallyport/source', bin, ...words, '--data', dataDir]
  const child = spawn(process.execPath, flags, {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'], HOME: dataDir },
  })
  t.after(() => child.kill('SIGKILL'))
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text))
  const port = await until(
    'the gateway serves',
    () => {
      assert.equal(child.exitCode, null, said)
      const found = /http:\/\/127\.0\.0\.1:(\d+)/u.exec(said)?.[1]
      return found === undefined ? false : Number(found)
    },
    startMsMax,
  )
  return { child, port }
}
