import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { Secret, type AgentId } from '@sallyport/core'
import { until } from '@sallyport/testkit'
import type { AgentRecord } from '../../../boundary/agents.ts'
import type { ExportFact } from '../facts/export-fact.ts'
import { anyFact } from '../facts/fact.fixture.ts'
import { checkOtlp } from './check-otlp.fixture.ts'
import type { Span } from './span.ts'
import { agentSpan, spanOf } from './to-span.ts'
import { TraceExporter } from './trace-exporter.ts'

interface Request {
  readonly resourceSpans: [{ readonly scopeSpans: [{ readonly spans: readonly Span[] }] }]
}

/** A collector that answers as a test says. */
class Collector implements AsyncDisposable {
  readonly requests: Request[] = []
  readonly headers: (string | undefined)[] = []
  answer: (response: ServerResponse, nth: number) => unknown = (response) => response.end('{}')
  readonly #server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
    request.on('end', () => {
      this.requests.push(JSON.parse(body) as Request)
      this.headers.push(request.headers.authorization)
      this.answer(response, this.requests.length)
    })
  })

  static async start(): Promise<Collector> {
    const collector = new Collector()
    collector.#server.listen(0, '127.0.0.1')
    await once(collector.#server, 'listening')
    return collector
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1/traces`
  }

  get spans(): Span[] {
    return this.requests.flatMap(({ resourceSpans: [{ scopeSpans }] }) => [...scopeSpans[0].spans])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close()
    this.#server.closeAllConnections()
    await once(this.#server, 'close')
  }
}

function exporterTo(url: string, now = 0): TraceExporter {
  const authorization = new Secret('Bearer token')
  const config = { name: 't', type: 'otlp', url, withText: false, authorization } as const
  const onFault = (): void => undefined
  return new TraceExporter({
    config,
    version: '1',
    now: () => now,
    onFault,
    sendAfterMs: 1,
    answerMsMax: 300,
  })
}

const chain = [
  { id: 'a_root', name: 'dana' },
  { id: 'a_leaf', name: 'scout' },
]
const session = {
  id: 's_1',
  openedAtMs: 1_700_000_000_000,
  connection: 'orders-db',
  database: 'orders',
  credential: 'cr_1',
  chain,
  level: 3,
  application: 'psql',
  source: '10.0.0.7',
}
function commandFact(n: number, over: object = {}): ExportFact {
  const about = { uid: `s_1/0-1-1/${n}`, position: n, atMs: 1_700_000_000_500, session }
  const command = {
    id: `c_${n}`,
    seq: n,
    effect: 'allow',
    rules: [],
    class: 'read',
    verb: 'select',
    objects: [['public', 'orders']],
    unit: 'query',
    policyVersion: 1,
    startedAtMs: 1_700_000_000_100,
    status: 'complete',
    rows: 3,
    bytes: 9,
    masked: [],
    text: 'select 4711',
    ...over,
  } as const
  return { ...about, kind: 'command', command }
}
const agent: AgentRecord = {
  id: 'a_leaf' as AgentId,
  path: ['a_root', 'a_leaf'] as AgentId[],
  name: 'scout',
  principal: { id: 'p', kind: 'human', name: 'dana', groups: [] },
  state: 'revoked',
  ended: { by: 'dana', reason: 'enough', atMs: 1_700_000_001_000 },
  layers: [],
  budget: {},
  createdAtMs: 1_699_999_999_000,
  expiresAtMs: 0,
}

suite('spans', () => {
  test('of a tree are one trace: commands below their session, sessions below their agent', () => {
    const closed: ExportFact = {
      uid: 'x',
      position: 9,
      atMs: 1_700_000_000_900,
      session,
      kind: 'session.closed',
      reason: 'caller left',
      commands: 1,
      blocked: 0,
      maskedValues: 0,
    }
    const command = spanOf(commandFact(1), false)
    const ofSession = spanOf(closed, false)
    const ofAgent = agentSpan(agent)
    const root = agentSpan({ ...agent, id: 'a_root' as AgentId, path: ['a_root' as AgentId] })
    assert.equal(new Set([command, ofSession, ofAgent, root].map((each) => each?.traceId)).size, 1)
    assert.equal(command?.parentSpanId, ofSession?.spanId)
    assert.equal(ofSession?.parentSpanId, ofAgent?.spanId)
    assert.equal(ofAgent?.parentSpanId, root?.spanId)
    assert.equal(root?.parentSpanId, undefined)
    assert.equal(command?.name, 'select public.orders')
    assert.equal(command.startTimeUnixNano, '1700000000100000000')
    assert.equal(agentSpan({ ...agent, state: 'frozen' }), undefined)
  })

  test('hold no text unless it is asked for, and say what went wrong in a code', () => {
    assert.doesNotMatch(JSON.stringify(spanOf(commandFact(1), false)), /4711/)
    assert.match(JSON.stringify(spanOf(commandFact(1), true)), /db\.query\.text.*select 4711/)
    const refused = spanOf(
      commandFact(1, { effect: 'block', status: 'refused', code: 'SP_POLICY_BLOCKED' }),
      false,
    )
    assert.deepEqual(refused?.status, { code: 2, message: 'SP_POLICY_BLOCKED' })
  })
})

suite('traces', () => {
  test('are requests that fit the schema of OTLP, whatever happened', async () => {
    await using collector = await Collector.start()
    const exporter = exporterTo(collector.url)
    const facts = fc.sample(anyFact, 400).map((fact) => ({ ...fact, atMs: fact.atMs + 4e12 }))
    const count = facts.filter((fact) => spanOf(fact, false) !== undefined).length
    for (const fact of facts) exporter.take(fact)
    exporter.takeAgent(agent)
    exporter.takeAgent(agent)
    await until('all were taken', async () => (await exporter.status()).delivered === count + 1)
    assert.equal(collector.spans.length, count + 1)
    const problems = collector.requests.flatMap(checkOtlp)
    // Facts of the sample may begin in the year 1970, when times have fewer digits than the check wants.
    assert.deepEqual(
      problems.filter((each) => !each.includes('startTimeUnixNano')),
      [],
    )
    assert.equal(collector.headers[0], 'Bearer token')
    const { delivered, dropped, waiting } = await exporter.status()
    assert.deepEqual([delivered, dropped, waiting], [count + 1, 0, 0])
    await exporter.stop()
  })

  test('the check finds what does not fit', () => {
    const span = spanOf(commandFact(1), false)
    const request = (over: object): unknown => ({
      resourceSpans: [
        {
          resource: { attributes: [] },
          scopeSpans: [{ scope: { name: 'x', version: '1' }, spans: [{ ...span, ...over }] }],
        },
      ],
    })
    assert.deepEqual(checkOtlp(request({})), [])
    for (const over of [
      { traceId: '0'.repeat(32) },
      { spanId: 'abc' },
      { kind: 'SPAN_KIND_CLIENT' },
      { startTimeUnixNano: 1 },
      { endTimeUnixNano: '1600000000000000000' },
      { attributes: [{ key: 'a', value: { intValue: 1 } }] },
      { attributes: [{ key: 'a', value: {} }] },
      { made_up: 1 },
    ])
      assert.notDeepEqual(checkOtlp(request(over)), [], JSON.stringify(over))
  })

  test('are sent again where the collector is away, and dropped where it refuses', async () => {
    await using collector = await Collector.start()
    const exporter = exporterTo(collector.url)
    collector.answer = (response, nth) => {
      if (nth === 1) return response.writeHead(503, { 'retry-after': '0' }).end()
      if (nth === 2) return response.writeHead(400).end()
      return response.end('{"partialSuccess":{"rejectedSpans":"1","errorMessage":"no"}}')
    }
    exporter.take(commandFact(1))
    await until('it was refused', async () => (await exporter.status()).dropped === 1)
    exporter.take(commandFact(2))
    exporter.take(commandFact(3))
    await until('one was taken', async () => (await exporter.status()).delivered > 0)
    const { failures, dropped = 0, delivered, problem } = await exporter.status()
    assert.equal(failures, 2)
    assert.equal(dropped + delivered, 3)
    assert.equal(problem, undefined)
    await exporter.stop()
  })

  test("are in nobody's way: a collector that hangs costs a bounded queue, and what is too much is counted", async () => {
    await using collector = await Collector.start()
    collector.answer = () => undefined
    const exporter = exporterTo(collector.url)
    for (let n = 0; n < 10_500; n += 1) exporter.take(commandFact(n))
    const { waiting, dropped } = await exporter.status()
    assert.deepEqual([waiting, dropped], [10_000, 500])
    await until('it has failed', async () => (await exporter.status()).failures > 0)
    assert.match((await exporter.status()).problem ?? '', /no answer in time/)
    await exporter.stop()
  })

  test('do not tell again what was recorded before the start', async () => {
    await using collector = await Collector.start()
    const exporter = exporterTo(collector.url, 1_700_000_000_501)
    exporter.take(commandFact(1))
    assert.equal((await exporter.status()).waiting, 0)
    await exporter.stop()
  })
})
