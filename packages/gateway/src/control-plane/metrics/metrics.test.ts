import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import { COARSE_CLASSES, ERRORS, type ErrorCode } from '@sallyport/core'
import { COUNTED_VERDICTS, LATENCY_BOUNDS, type WorkerCounts } from '../../boundary/counts.ts'
import type { WorkerState } from '../worker-pool.ts'
import { printMetrics, type Metric } from './exposition.ts'
import { ApprovalCounts } from './approval-counts.ts'
import { gatewayMetrics, type MetricsView } from './gateway-metrics.ts'
import { parseExposition, valueOf } from './parse-exposition.fixture.ts'
import { LatencyTotal, WorkerTotals } from './totals.ts'

const noBins = { counts: LATENCY_BOUNDS.map(() => 0).concat(0), sum: 0 }
const nothing: WorkerCounts = {
  commands: [],
  masked: [],
  refusals: [],
  sessionsOpened: 0,
  decision: noBins,
  added: noBins,
  sync: noBins,
  sessions: 0,
  isJournalFailing: false,
  loopLag: 0,
}

function viewOf(totals: WorkerTotals, over: Partial<MetricsView> = {}): MetricsView {
  return {
    version: '0.1.0',
    policyVersion: 3,
    nowMs: 100_000,
    totals,
    closures: new Map(),
    approvals: new ApprovalCounts(),
    agents: new Map([['active', 2]]),
    apiRefusals: new Map(),
    workers: [],
    shipping: {
      where: '/secret/place',
      parts: 1,
      pendingBytes: 7,
      journalFiles: 1,
      anchoredAtMs: 40_000,
      problems: 0,
      pendingSinceMs: 90_000,
    },
    search: { pendingBytes: 5 },
    exports: [],
    channels: [],
    pool: { total: 3, idle: 1, waiting: 0 },
    journals: { freeBytes: 10, usedBytes: 20, largestBytes: 20 },
    loopLag: 0.25,
    ...over,
  }
}

suite('the text of metrics', () => {
  test('is read by a strict reader as what was printed, whatever the labels and numbers', () => {
    const labels = fc.record(
      { connection: fc.string({ unit: 'binary' }) },
      { noNullPrototype: true },
    )
    const value = fc.oneof(fc.nat(), fc.double({ noNaN: true, min: 0 }))
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(labels, value), { selector: ([of]) => of.connection }),
        (samples) => {
          const metric: Metric = {
            name: 'some_total',
            help: 'A backslash \\ and\na line.',
            type: 'counter',
            samples: samples.map(([of, amount]) => ({ labels: of, value: amount })),
          }
          const { series } = parseExposition(printMetrics([metric]))
          assert.deepEqual(
            series.map((each) => [each.labels, each.value]),
            samples.map(([of, amount]) => [of, amount]),
          )
        },
      ),
    )
  })

  test('adds up bins, and counts what is slower than all bounds', () => {
    const total = new LatencyTotal()
    for (const seconds of [0.000_001, 0.002, 0.002, 60]) total.addOne(seconds)
    const of = [total.distribution({ type: 'postgres' })]
    const page = parseExposition(printMetrics([{ name: 'x', help: 'x', type: 'histogram', of }]))
    assert.equal(valueOf(page, 'x_bucket', { le: '0.001' }), 1)
    assert.equal(valueOf(page, 'x_bucket', { le: '0.0025' }), 3)
    assert.equal(valueOf(page, 'x_bucket', { le: '5' }), 3)
    assert.equal(valueOf(page, 'x_bucket', { le: '+Inf' }), 4)
    assert.equal(valueOf(page, 'x_sum'), 60.004_001)
  })
})

suite('what workers tell', () => {
  test('only ever grows, also when workers die and start again', () => {
    const told = fc.record({
      worker: fc.nat(2),
      dies: fc.boolean(),
      count: fc.nat(50),
      verdict: fc.constantFrom(...COUNTED_VERDICTS),
      name: fc.constantFrom(...COARSE_CLASSES),
    })
    fc.assert(
      fc.property(fc.array(told), (all) => {
        const totals = new WorkerTotals()
        let before = 0
        let sum = 0
        for (const { worker, dies, count, verdict, name } of all) {
          const commands = [{ connection: 'shop', verdict, class: name, count }]
          totals.add(worker, { ...nothing, commands })
          if (dies) totals.lost(worker)
          sum += count
          const page = parseExposition(printMetrics(gatewayMetrics(viewOf(totals))))
          const now = valueOf(page, 'sallyport_commands_total')
          assert.ok(now >= before)
          assert.equal(now, sum)
          before = now
        }
      }),
    )
  })

  test('a worker that died has no open sessions any more, and keeps what it counted', () => {
    const totals = new WorkerTotals()
    totals.add(0, { ...nothing, sessions: 4, sessionsOpened: 9 })
    totals.add(1, { ...nothing, sessions: 2, sessionsOpened: 2 })
    totals.lost(0)
    const page = parseExposition(printMetrics(gatewayMetrics(viewOf(totals))))
    assert.equal(valueOf(page, 'sallyport_sessions'), 2)
    assert.equal(valueOf(page, 'sallyport_sessions_opened_total'), 11)
  })
})

/** The most that a gateway can have: counted by hand from what is printed, and to be looked at when it changes. */
const seriesMax = 3500

test('the number of series is bounded, whatever callers do', () => {
  const totals = new WorkerTotals()
  const codes = Object.keys(ERRORS) as ErrorCode[]
  const workers = Array.from({ length: 64 }, (_, worker): WorkerState => ({
    worker,
    pid: worker,
    state: 'ready',
    snapshotVersion: 1,
    restarts: 1,
  }))
  for (const { worker } of workers) {
    for (let n = 0; n < 100; n += 1) {
      const connection = `connection-${worker}-${n}`
      totals.add(worker, {
        ...nothing,
        commands: [{ connection, verdict: 'allowed', class: 'read', count: 1 }],
        masked: [{ connection, values: 1 }],
        refusals: codes.map((code) => ({ code, count: 1 })),
      })
    }
  }
  const closures = new Map(
    (['revoke', 'freeze', 'end', 'expire'] as const).map((mode) => [mode, new LatencyTotal()]),
  )
  const exports = Array.from({ length: 16 }, (_, n) => ({
    name: `export-${n}`,
    type: 'file',
    where: '/secret',
    waiting: 1,
    delivered: 1,
    failures: 0,
  }))
  const apiRefusals = new Map(codes.map((code) => [code, 1]))
  const page = parseExposition(
    printMetrics(gatewayMetrics(viewOf(totals, { workers, closures, apiRefusals, exports }))),
  )
  assert.ok(page.series.length > 2000, 'too little was looked at')
  assert.ok(page.series.length <= seriesMax, `${page.series.length} series`)
  assert.equal(valueOf(page, 'sallyport_commands_total'), 6400)
  assert.equal(valueOf(page, 'sallyport_commands_total', { connection: '_other' }), 6300)
  const labels = new Set(page.series.flatMap((each) => Object.keys(each.labels)))
  assert.deepEqual([...labels].toSorted(), [
    'at',
    'class',
    'code',
    'connection',
    'export',
    'le',
    'mode',
    'outcome',
    'process',
    'state',
    'type',
    'verdict',
    'version',
    'worker',
  ])
})
