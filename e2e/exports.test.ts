import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtempDisposable, readFile, writeFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Client } from 'pg'
import { isLedgerId } from '@sallyport/core'
import { startGateway } from '@sallyport/gateway'
import { skipReason, startPostgres, until } from '@sallyport/testkit'
import { checkOcsf } from '../packages/gateway/src/control-plane/exports/ocsf/check-ocsf.fixture.ts'
import { checkOtlp } from '../packages/gateway/src/control-plane/exports/traces/check-otlp.fixture.ts'
import type { Span } from '../packages/gateway/src/control-plane/exports/traces/span.ts'
import { sessionEntries } from '../packages/gateway/src/control-plane/recordings/recordings.ts'
import { AgentFamily } from './agent-family.ts'
import { connect } from './hardship.ts'
import { startTestGateway } from './test-gateway.ts'

const cli = fileURLToPath(new URL('../packages/cli/bin/sallyport.mjs', import.meta.url))
const secret = 'a secret of more than thirty-two characters'

interface SentEvent {
  readonly class_uid: number
  readonly metadata: { readonly uid: string; readonly sequence: number }
  readonly query_info?: { readonly query_string: string }
  readonly unmapped: {
    readonly sallyport: { readonly command?: { readonly uid: string }; readonly fact?: string }
  }
}

type Mood = 'well' | 'hangs' | 'fails' | 'resets' | 'takes and resets'

/** The session, or the ledger, that an event is of. */
function sessionOf(uid: string): string {
  return uid.split('/')[0] ?? ''
}

/** A receiver of events in changing moods. */
async function startReceiver(): Promise<
  AsyncDisposable & { url: string; mood: Mood; taken: SentEvent[] }
> {
  const taken: SentEvent[] = []
  const answer = (body: string, response: ServerResponse): unknown => {
    if (receiver.mood === 'hangs') return undefined
    if (receiver.mood === 'fails') return response.writeHead(500).end()
    if (receiver.mood === 'resets') return response.destroy()
    taken.push(
      ...body
        .trimEnd()
        .split('\n')
        .map((line) => JSON.parse(line) as SentEvent),
    )
    return receiver.mood === 'well' ? response.end() : response.destroy()
  }
  const server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
    request.on('end', () => answer(body, response))
    request.on('error', () => undefined)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const receiver = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/events`,
    mood: 'well' as Mood,
    taken,
    async [Symbol.asyncDispose]() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
  return receiver
}

function exportFiles(url: string, file: string): string {
  const head = (name: string): string =>
    `apiVersion: sallyport.dev/v1\nkind: Export\nmetadata: {name: ${name}}\nspec:\n`
  return [
    `${head('siem')}  {type: webhook, url: "${url}", secret: {from: "file:secret"}, include: [text]}`,
    `${head('local')}  {type: file, path: ${file}}`,
  ].join('\n---\n')
}

/** A gateway in a process of its own, so that it can be killed. */
async function startProcess(
  dataDir: string,
  databaseUrl: string,
): Promise<{ child: ChildProcess; url: string; postgres: number }> {
  const args = [
    'up',
    '--data',
    dataDir,
    '--port-api',
    '0',
    '--port-postgres',
    '0',
    '--no-demo',
    '--workers',
    '2',
  ]
  const child = spawn(
    process.execPath,
    ['--conditions=@sallyport/source', cli, ...args, '-o', 'json'],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, SALLYPORT_DATABASE_URL: databaseUrl },
    },
  )
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
  const { ports } = await until(
    'the gateway is ready',
    () =>
      text.includes('\n')
        ? (JSON.parse(text) as { ports: { api: number; postgres: number } })
        : false,
    60_000,
  )
  return { child, url: `http://127.0.0.1:${ports.api}`, postgres: ports.postgres }
}

suite('exports', { skip: skipReason() }, () => {
  test('tell everything that is recorded, at least once and in order, whatever becomes of gateway and receiver', async () => {
    await using stack = new AsyncDisposableStack()
    const target = await startPostgres({
      users: [{ name: 'app', auth: 'scram-sha-256', password: 'app-password', superuser: true }],
    })
    stack.defer(async () => await target.stop())
    const receiver = stack.use(await startReceiver())
    const dir = stack.use(await mkdtempDisposable(join(tmpdir(), 'sallyport-exports-')))
    const dataDir = join(dir.path, 'data')
    const file = join(dir.path, 'events.ndjson')
    await mkdir(join(dataDir, 'exports'), { recursive: true, mode: 0o700 })
    await writeFile(join(dataDir, 'exports', 'secret'), secret)
    await writeFile(join(dataDir, 'exports', 'all.yaml'), exportFiles(receiver.url, file))

    // The gateway's own database is on a server, which starts faster than the embedded one.
    await target.sql('create database control')
    const databaseUrl = `postgresql://postgres:${target.password}@127.0.0.1:${target.port}/control`
    const answered: string[] = []
    let nth = 0
    const work = async (
      gateway: { url: string; postgres: number },
      sessions: number,
    ): Promise<void> => {
      const token = (await readFile(join(dataDir, 'owner.token'), 'utf8')).trim()
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const ask = async (path: string, body: object): Promise<Response> =>
        await fetch(`${gateway.url}${path}`, {
          method: 'POST',
          headers,
          body: JSON.stringify(body),
        })
      const login = { user: 'app', password: 'app-password', database: target.database, tls: 'off' }
      const place = { name: 'shop', host: '127.0.0.1', port: target.port, labels: {} }
      if (nth === 0)
        assert.equal((await ask('/v1/connections', { ...place, ...login })).status, 201)
      for (let at = 0; at < sessions; at += 1) {
        try {
          const minted = (await (
            await ask('/v1/credentials', { connection: 'shop' })
          ).json()) as Record<string, string>
          const client = new Client({
            host: '127.0.0.1',
            port: gateway.postgres,
            database: target.database,
            user: minted['user'],
            password: minted['secret'],
            ssl: { rejectUnauthorized: false },
          })
          client.on('error', () => undefined)
          await client.connect()
          for (let n = 0; n < 20; n += 1) {
            nth += 1
            await client.query(`select ${nth} as marker`)
            answered.push(`select ${nth} as marker`)
          }
          await client.end()
        } catch {
          // The gateway was killed under it.
          return
        }
      }
    }
    const kill = async (child: ChildProcess): Promise<void> => {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }

    for (const mood of ['fails', 'takes and resets', 'hangs', 'resets'] as const) {
      receiver.mood = mood
      const gateway = await startProcess(dataDir, databaseUrl)
      const working = work(gateway, 1000)
      const goal = answered.length + 150
      await until('commands were answered', () => answered.length >= goal)
      await kill(gateway.child)
      await working
    }
    receiver.mood = 'well'

    const gateway = await startGateway({
      dataDir,
      ports: { api: 0, postgres: 0 },
      host: '127.0.0.1',
      workers: 2,
      durability: 'auto',
      demo: false,
      databaseUrl,
      onEvent: () => undefined,
    })
    stack.defer(async () => await gateway.stop(0))
    await work(
      { url: `http://127.0.0.1:${gateway.ports.api}`, postgres: gateway.ports.postgres },
      2,
    )
    const told = (all: readonly SentEvent[]): SentEvent[] =>
      all.filter(({ unmapped }) => unmapped.sallyport.fact === undefined)
    const recordedIds = async (): Promise<{
      commands: Set<string>
      sessions: Set<string>
      facts: Map<string, string>
      ended: number
    }> => {
      const commands = new Set<string>()
      const sessions = new Set<string>()
      const facts = new Map<string, string>()
      let ended = 0
      for await (const item of sessionEntries(gateway.recorded, '')) {
        if (item.kind === 'problem') continue
        if (item.entry.kind === 'fact')
          facts.set(`${item.session}/${item.position}`, item.entry.what)
        if (isLedgerId(item.session)) continue
        if (item.entry.kind === 'command') commands.add(item.entry.id)
        if (item.entry.kind === 'session.opened') sessions.add(item.session)
        if (item.entry.kind === 'session.closed') ended += 1
      }
      return { commands, sessions, facts, ended }
    }
    await until('all sessions have their end', async () => {
      const { sessions, ended } = await recordedIds()
      return sessions.size === ended
    })
    const recorded = await recordedIds()
    await until(
      'both exports have everything',
      async () => {
        const ends = new Set(told(receiver.taken).map(({ metadata }) => metadata.uid)).size
        const { exports: found } = await gateway.status()
        // A beginning and an end of each session, and its commands.
        const all = recorded.commands.size + 2 * recorded.sessions.size
        return ends >= all && found.all.every(({ waiting }) => waiting === 0)
      },
      60_000,
    )
    const lines = (await readFile(file, 'utf8')).trimEnd().split('\n')
    const written = lines.map((line) => JSON.parse(line) as SentEvent)
    for (const [name, events] of [
      ['siem', receiver.taken],
      ['local', written],
    ] as const) {
      const idsOf = (classUid: number): Set<string> =>
        new Set(
          told(events)
            .filter((each) => each.class_uid === classUid)
            .map(({ metadata }) => sessionOf(metadata.uid)),
        )
      const facts = new Set(
        events
          .filter(({ unmapped }) => unmapped.sallyport.fact !== undefined)
          .map(({ metadata }) => `${sessionOf(metadata.uid)}/${metadata.sequence}`),
      )
      // The first start tells of itself before there is an export.
      const untold = [...recorded.facts].filter(([place]) => !facts.has(place))
      assert.deepEqual(
        untold
          .map(([, what]) => what)
          .filter((what) => what !== 'gateway.started' && what !== 'policies.loaded'),
        [],
        `${name}: facts`,
      )
      assert.ok(untold.length <= 2 && facts.size > 10, `${untold.length} of ${facts.size}`)
      const commands = events.flatMap(({ unmapped }) => unmapped.sallyport.command?.uid ?? [])
      assert.deepEqual(new Set(commands), recorded.commands, `${name}: commands`)
      assert.deepEqual(idsOf(3003), recorded.sessions, `${name}: sessions that were opened`)
      assert.deepEqual(idsOf(3002), recorded.sessions, `${name}: sessions that were closed`)
      for (const event of events.slice(0, 200)) assert.deepEqual(checkOcsf({ ...event }), [])
      // What comes again comes as it came, and the first time of each is in the order of the recording.
      const last = new Map<string, number>()
      const seen = new Set<string>()
      for (const { metadata } of events) {
        if (seen.has(metadata.uid)) continue
        seen.add(metadata.uid)
        assert.ok(
          metadata.sequence >= (last.get(sessionOf(metadata.uid)) ?? 0),
          `${name}: out of order`,
        )
        last.set(sessionOf(metadata.uid), metadata.sequence)
      }
    }
    const texts = new Set(receiver.taken.map(({ query_info: query }) => query?.query_string))
    assert.deepEqual(
      answered.filter((text) => !texts.has(text)),
      [],
      'answered and not told',
    )
    assert.ok(answered.length >= 600, String(answered.length))
    assert.ok(
      receiver.taken.length > new Set(receiver.taken.map(({ metadata }) => metadata.uid)).size,
    )
    assert.doesNotMatch(lines.join('\n'), /as marker/u)
    process.stderr.write(
      `# ${answered.length} commands answered, ${recorded.commands.size} recorded, ` +
        `${receiver.taken.length} events taken, ${written.length} written\n`,
    )
  })

  test('follow their files, say how far they are, and can be tried', async () => {
    await using gateway = await startTestGateway()
    await using receiver = await startReceiver()
    const folder = join(gateway.dataDir, 'exports')
    const file = join(gateway.dataDir, 'events.ndjson')
    await writeFile(join(folder, 'secret'), secret)
    await writeFile(join(folder, 'all.yaml'), exportFiles(receiver.url, file))
    const statuses = async () => (await gateway.gateway.status()).exports
    await until('the files are read', async () => (await statuses()).all.length === 2)

    const client = await connect(gateway)
    await client.query('select 1')
    const isTold = (): boolean => receiver.taken.some((each) => each.class_uid === 6005)
    await until('the webhook has it', isTold)
    assert.ok(
      receiver.taken.some(({ unmapped }) => unmapped.sallyport.fact === 'credential.issued'),
    )
    const tried = async (name: string): Promise<unknown> =>
      await (await gateway.api('POST', `/v1/event-exports/${name}/test`)).json()
    const { ok } = (await tried('siem')) as { ok: boolean }
    assert.equal(ok, true)
    assert.match(JSON.stringify(receiver.taken), /Nothing has happened/)
    assert.equal((await gateway.api('POST', '/v1/event-exports/nobody/test')).status, 404)

    receiver.mood = 'fails'
    assert.match(
      JSON.stringify(await tried('siem')),
      /"ok":false,"problem":"the receiver answered 500"/,
    )
    await client.query('select 2')
    const siem = await until('it is behind', async () => {
      const found = (await statuses()).all.find(({ name }) => name === 'siem')
      return found?.problem === undefined ? false : found
    })
    assert.ok(siem.waiting >= 1)
    assert.equal(siem.problem, 'the receiver answered 500')
    assert.doesNotMatch(JSON.stringify(siem), /thirty-two/)

    await writeFile(join(folder, 'broken.yaml'), 'kind: Exprt')
    await until('it is told that a file is wrong', async () => (await statuses()).problems !== '')
    assert.equal((await statuses()).all.length, 2)
    await writeFile(join(folder, 'broken.yaml'), '')
    await writeFile(join(folder, 'all.yaml'), '')
    await until('they are gone', async () => (await statuses()).all.length === 0)
    await client.end()
  })

  test('tell of a tree as one trace', async () => {
    await using gateway = await startTestGateway()
    const spans: Span[] = []
    const problems: string[] = []
    const collector = createServer((request, response) => {
      let body = ''
      request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
      request.on('end', () => {
        const read = JSON.parse(body) as { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] }
        problems.push(...checkOtlp(read))
        spans.push(...(read.resourceSpans[0]?.scopeSpans[0]?.spans ?? []))
        response.end('{}')
      })
    }).listen(0, '127.0.0.1')
    await once(collector, 'listening')
    await using stack = new AsyncDisposableStack()
    stack.defer(() => void collector.close())
    const url = `http://127.0.0.1:${(collector.address() as AddressInfo).port}/v1/traces`
    const head = 'apiVersion: sallyport.dev/v1\nkind: Export\nmetadata: {name: traces}\n'
    const file = join(gateway.dataDir, 'exports', 'traces.yaml')
    await writeFile(file, `${head}spec: {type: otlp, url: "${url}"}\n`)
    await until('it is read', async () => (await gateway.gateway.status()).exports.all.length === 1)

    const family = new AgentFamily(gateway)
    const root = await family.root()
    const child = await family.child(root, 'scout')
    const client = await family.session(child)
    await client.query("select 'text-4711'")
    await client.end()
    await family.revoke(root, 'enough')
    await until('all four were told', () => spans.length === 4)
    assert.deepEqual(problems, [])
    assert.equal(new Set(spans.map(({ traceId }) => traceId)).size, 1)
    const called = (name: string): Span => {
      const found = spans.find((each) => each.name.startsWith(name))
      assert.ok(found !== undefined, name)
      return found
    }
    const [command, session, scout] = [
      called('select'),
      called('session'),
      called('invoke_agent scout'),
    ]
    assert.equal(command.parentSpanId, session.spanId)
    assert.equal(session.parentSpanId, scout.spanId)
    const top = spans.find(({ spanId }) => spanId === scout.parentSpanId)
    assert.equal(top?.parentSpanId, undefined)
    assert.doesNotMatch(JSON.stringify(spans), /4711/)
  })
})
