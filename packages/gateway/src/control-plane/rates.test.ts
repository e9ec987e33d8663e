import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RateError, Rates } from './rates.ts'

test('in no time does anybody get more than the burst and what was gained since', () => {
  const asks = fc.array(fc.record({ key: fc.constantFrom('a', 'b', 'c'), afterMs: fc.nat(2000) }), {
    minLength: 1,
    maxLength: 200,
  })
  fc.assert(
    fc.property(
      asks,
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 20 }),
      (list, perSecond, burst) => {
        const rates = new Rates({ perSecond, burst })
        const taken = new Map<string, number>()
        let nowMs = 0
        for (const { key, afterMs } of list) {
          nowMs += afterMs
          if (rates.wait(key, nowMs) === 0) taken.set(key, (taken.get(key) ?? 0) + 1)
        }
        for (const count of taken.values())
          assert.ok(count <= burst + (nowMs * perSecond) / 1000 + 1e-6)
      },
    ),
  )
})

test('who waits as long as told gets one', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 5 }),
      (perSecond, burst) => {
        const rates = new Rates({ perSecond, burst })
        for (let n = 0; n < burst; n += 1) assert.equal(rates.wait('a', 0), 0)
        const waitMs = rates.wait('a', 0)
        assert.ok(waitMs > 0)
        assert.ok(rates.wait('a', waitMs - 1) > 0 || waitMs === 1)
        assert.equal(rates.wait('a', waitMs + 1), 0)
      },
    ),
  )
})

test('one does not wait for another, until there are too many: then the new ones share', () => {
  const rates = new Rates({ perSecond: 1, burst: 1 }, 3)
  for (const key of ['a', 'b', 'c']) assert.equal(rates.wait(key, 0), 0)
  assert.equal(rates.wait('d', 0), 0)
  assert.ok(rates.wait('e', 0) > 0)
  // Nobody begins anew because others came.
  assert.ok(rates.wait('a', 1) > 0)
  assert.equal(rates.wait('e', 2000), 0)
})

test('a clock that goes back gives nothing', () => {
  const rates = new Rates({ perSecond: 1, burst: 1 })
  assert.equal(rates.wait('a', 10_000), 0)
  assert.ok(rates.wait('a', 0) > 0)
})

test('the header knows whole seconds, and never none', () => {
  const of = (ms: number): string => new RateError('SP_RATE_LIMIT', 'x', ms).retryAfter
  assert.deepEqual([of(1), of(1000), of(1001)], ['1', '1', '2'])
})
