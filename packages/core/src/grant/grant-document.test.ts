import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { layers, runs } from './grant.fixture.ts'
import { canonicalGrant, parseGrantDocument, type GrantDocument } from './grant-document.ts'

const permit = { conn: ['orders-db'], classes: ['read'] }

function parsed(value: unknown): GrantDocument {
  const result = parseGrantDocument(value)
  return result.kind === 'ok' ? result.grant : assert.fail(JSON.stringify(result.problems))
}

test('a document with everything in it is read', () => {
  assert.deepEqual(
    parsed({
      permits: [
        {
          conn: ['orders-db'],
          classes: ['explain', 'read'],
          db: ['orders'],
          schema: ['sales_*', 'public'],
          table: ['*'],
          maxRows: 500,
        },
      ],
      window: {
        after: '2026-11-20T12:00Z',
        before: '2026-11-20T17:00+01:00',
        hours: 'Mon-Fri 08:00-19:00 Europe/Berlin',
      },
      budget: {
        commands: 2000,
        rows: 50000,
        bytes: '200MB',
        writes: 20,
        approvals: 5,
        sessions: 50,
      },
      delegate: { depth: 2, children: 8, agents: 40, ttl: '1h', detach: false },
      client: { cidr: ['10.0.0.0/8'], minLevel: 'L2' },
    }),
    {
      layer: {
        permits: [
          {
            connections: ['orders-db'],
            classes: ['read', 'explain'],
            dimensions: { db: ['orders'], schema: ['public', 'sales_*'], table: ['*'] },
            rowsMax: 500,
          },
        ],
        window: {
          afterMs: Date.UTC(2026, 10, 20, 12),
          beforeMs: Date.UTC(2026, 10, 20, 16),
          hours: 'Mon,Tue,Wed,Thu,Fri 08:00-19:00 Europe/Berlin',
        },
        client: { cidr: ['10.0.0.0/8'], minLevel: 2 },
      },
      budget: {
        commands: 2000,
        rows: 50000,
        bytes: 200_000_000,
        writes: 20,
        approvals: 5,
        sessions: 50,
      },
      delegate: { depth: 2, children: 8, agents: 40, ttlMs: 3_600_000, detach: false },
    },
  )
})

function numbered(count: number): string[][] {
  return Array.from({ length: count }, (_, index) => [`n${index}`])
}

const refusals: readonly [value: unknown, path: string, message: RegExp][] = [
  [null, '(document)', /must be an object/],
  [[], '(document)', /must be an object/],
  [{}, 'permits', /is missing/],
  [{ permits: [] }, 'permits', /must not be empty/],
  [{ permits: permit }, 'permits', /must be a list/],
  [{ permits: [permit], windows: {} }, 'windows', /not known here \(did you mean "window"\?\)/],
  [JSON.parse('{"permits":[],"__proto__":{}}'), '__proto__', /not known/],
  [{ permits: ['x'] }, 'permits[0]', /must be an object/],
  [{ permits: [{ ...permit, conn: 'db' }] }, 'permits[0].conn', /must be a list/],
  [{ permits: [{ classes: ['read'] }] }, 'permits[0].conn', /is missing/],
  [{ permits: [{ conn: ['db'] }] }, 'permits[0].classes', /is missing/],
  [{ permits: [{ ...permit, conn: ['a b'] }] }, 'permits[0].conn[0]', /not the name/],
  [{ permits: [{ ...permit, classes: ['raed'] }] }, 'permits[0].classes[0]', /did you mean "read"/],
  [{ permits: [{ ...permit, classes: [1] }] }, 'permits[0].classes[0]', /must be a text/],
  [{ permits: [{ ...permit, table: [] }] }, 'permits[0].table', /must not be empty/],
  [{ permits: [{ ...permit, table: [''] }] }, 'permits[0].table[0]', /empty/],
  [{ permits: [{ ...permit, ns: ['x'] }] }, 'permits[0].ns', /Kubernetes, which this version/],
  [{ permits: [{ ...permit, tables: ['x'] }] }, 'permits[0].tables', /did you mean "table"/],
  [{ permits: [{ ...permit, maxRows: 0 }] }, 'permits[0].maxRows', /at least 1/],
  [{ permits: [{ ...permit, maxRows: null }] }, 'permits[0].maxRows', /must be a number/],
  [{ permits: [{ ...permit, maxRows: '5' }] }, 'permits[0].maxRows', /must be a number/],
  [{ permits: [permit], window: { after: '2026-11-20' } }, 'window.after', /instant with its zone/],
  [{ permits: [permit], window: { after: '2026-02-30T12:00Z' } }, 'window.after', /instant/],
  [{ permits: [permit], window: { after: '2026-13-01T12:00Z' } }, 'window.after', /instant/],
  [{ permits: [permit], window: { after: 5 } }, 'window.after', /must be a text/],
  [
    { permits: [permit], window: { after: '2026-11-20T12:00Z', before: '2026-11-20T12:00Z' } },
    'window.before',
    /never hold/,
  ],
  [{ permits: [permit], window: { hours: 'always' } }, 'window.hours', /must look like/],
  [{ permits: [permit], window: null }, 'window', /must be an object/],
  [{ permits: [permit], client: { cidr: ['10.0.0.1/8'] } }, 'client.cidr[0]', /10\.0\.0\.0\/8/],
  [{ permits: [permit], client: { cidr: [] } }, 'client.cidr', /must not be empty/],
  [{ permits: [permit], client: { minLevel: 'L5' } }, 'client.minLevel', /L0, L1, L2, L3, L4/],
  [{ permits: [permit], client: { minLevel: 2 } }, 'client.minLevel', /must be a text/],
  [{ permits: [permit], budget: { bytes: '200 MB' } }, 'budget.bytes', /200MB/],
  [{ permits: [permit], budget: { bytes: '200Mb' } }, 'budget.bytes', /200MB/],
  [{ permits: [permit], budget: { rows: '200MB' } }, 'budget.rows', /must be a number/],
  [{ permits: [permit], budget: { rows: -1 } }, 'budget.rows', /at least 0/],
  [{ permits: [permit], budget: { rows: 1.5 } }, 'budget.rows', /whole number/],
  [{ permits: [permit], budget: { row: 1 } }, 'budget.row', /did you mean "rows"/],
  [{ permits: numbered(65).map((conn) => ({ ...permit, conn })) }, 'permits', /at most 64 permits/],
  [
    { permits: numbered(8).map((conn) => ({ ...permit, conn, table: numbered(80).flat() })) },
    'permits',
    /at most 512 names/,
  ],
  [{ permits: [permit], delegate: { ttl: 60 } }, 'delegate.ttl', /must be a text/],
  [{ permits: [permit], delegate: { ttl: '0s' } }, 'delegate.ttl', /duration/],
  [{ permits: [permit], delegate: { detach: 'no' } }, 'delegate.detach', /true or false/],
]

for (const [value, path, message] of refusals) {
  test(`${JSON.stringify(value).slice(0, 120)} is refused at ${path}`, () => {
    const result = parseGrantDocument(value)
    const problems = result.kind === 'refused' ? result.problems : []
    const found = problems.find((problem) => problem.path === path)
    assert.match(found?.message ?? `nothing at ${path}: ${JSON.stringify(problems)}`, message)
  })
}

test('all problems are told at once', () => {
  const result = parseGrantDocument({
    permits: [{ conn: ['db'], classes: ['x'] }],
    budget: { x: 1 },
  })
  assert.equal(result.kind === 'refused' ? result.problems.length : 0, 2)
})

const counts = fc.record(
  { commands: fc.nat(), bytes: fc.nat(), approvals: fc.nat() },
  { requiredKeys: [], noNullPrototype: true },
)
const delegates = fc.record(
  { depth: fc.nat(9), ttlMs: fc.integer({ min: 1, max: 1e9 }), detach: fc.boolean() },
  { requiredKeys: [], noNullPrototype: true },
)

test('the canonical text is read back as the grant, and is the canonical text of what is read', () => {
  fc.assert(
    fc.property(layers, counts, delegates, (layer, budget, delegate) => {
      const { window } = layer
      if (window?.afterMs !== undefined && window.afterMs >= (window.beforeMs ?? Infinity)) return
      const text = canonicalGrant({ layer, budget, delegate })
      const again = parsed(JSON.parse(text))
      assert.equal(canonicalGrant(again), text)
      assert.deepEqual(again.budget, budget)
      assert.deepEqual(again.delegate, delegate)
    }),
    { numRuns: runs(1_000, 50_000) },
  )
})

test('the order and repetition of what is written changes nothing', () => {
  fc.assert(
    fc.property(layers, (layer) => {
      const permits = layer.permits.toReversed().flatMap((each) => [
        { ...each, connections: [...each.connections, ...each.connections].toReversed() },
        { ...each, classes: each.classes.toReversed() },
      ])
      const rest = { budget: {}, delegate: {} }
      assert.equal(
        canonicalGrant({ layer: { ...layer, permits }, ...rest }),
        canonicalGrant({ layer, ...rest }),
      )
    }),
    { numRuns: 300 },
  )
})
