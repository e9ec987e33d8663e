import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Rest, type ProcessorTimes } from './rest.ts'

/** After each piece of work, how much of 1,000 ms the processors were idle. */
function restOf(...idle: number[]): Rest {
  let of: ProcessorTimes = { idle: 0, all: 0 }
  return new Rest(() => {
    const now = of
    of = { idle: of.idle + (idle.shift() ?? 0), all: of.all + 1000 }
    return now
  })
}

suite('the rest of who is behind', () => {
  test('is as long as the work where the machine has time to spare', () => {
    assert.equal(restOf(500).afterWork(100, 0), 100)
    assert.equal(restOf(100).afterWork(100, 0), 100)
  })

  test('is four times as long where it has none, but for full journals', () => {
    assert.equal(restOf(99).afterWork(100, 4), 400)
    assert.equal(restOf(99).afterWork(100, 5), 100)
  })

  test('goes by how it is now, and not by how it was', () => {
    const rest = restOf(0, 900, 0)
    assert.deepEqual(
      [rest.afterWork(10, 0), rest.afterWork(10, 0), rest.afterWork(10, 0)],
      [40, 10, 40],
    )
  })

  test('has an end, and does not mind processors that tell nothing', () => {
    assert.equal(restOf(0).afterWork(60_000, 0), 2000)
    assert.equal(new Rest(() => ({ idle: 0, all: 0 })).afterWork(10, 0), 40)
  })
})
