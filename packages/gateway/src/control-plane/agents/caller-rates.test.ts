import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RateError } from '../rates.ts'
import { CALLER_LIMITS, CallerRates } from './caller-rates.ts'
import type { ApiCaller } from './api-caller.ts'

const caller = (agent?: string, tree = 'a_root'): ApiCaller =>
  (agent === undefined ? {} : { agent, tree }) as ApiCaller
const taken = (count: number, take: () => unknown): number => {
  let done = 0
  for (let n = 0; n < count; n += 1) {
    try {
      take()
      done += 1
    } catch (error) {
      assert.ok(error instanceof RateError && error.retryAfterMs > 0)
    }
  }
  return done
}

test('an agent gets its burst at once and no more; its siblings get theirs, until the tree has had its own', () => {
  const rates = new CallerRates(() => 0)
  const { mints, treeMints, freezes } = CALLER_LIMITS
  assert.equal(
    taken(500, () => rates.mint(caller('a_1'))),
    mints.burst,
  )
  assert.equal(
    taken(500, () => rates.mint(caller('a_2'))),
    mints.burst,
  )
  let all = 2 * mints.burst
  for (let n = 3; n < 20; n += 1) all += taken(500, () => rates.mint(caller(`a_${n}`)))
  assert.equal(all, treeMints.burst)
  assert.equal(
    taken(5, () => rates.mint(caller('b_1', 'b_root'))),
    5,
  )
  assert.equal(
    taken(100, () => rates.freeze(caller('a_1'))),
    freezes.burst,
  )
  assert.equal(
    taken(1, () => rates.freeze(caller('a_2'))),
    1,
  )
})

test('the owner is never held up', () => {
  const rates = new CallerRates(() => 0)
  for (const take of [
    () => rates.mint(caller()),
    () => rates.freeze(caller()),
    () => rates.stream(caller()),
  ])
    assert.equal(taken(2000, take), 2000)
})

test('streams are counted while they are open, of an agent and of a tree', () => {
  let nowMs = 0
  const rates = new CallerRates(() => nowMs)
  const { streamsOfAgent, streamsOfTree } = CALLER_LIMITS
  const close: (() => void)[] = []
  const open = (agent: string): unknown => close.push(rates.stream(caller(agent)))
  assert.equal(
    taken(10, () => open('a_1')),
    streamsOfAgent,
  )
  close.pop()?.()
  nowMs += 60_000
  assert.equal(
    taken(10, () => open('a_1')),
    1,
  )
  for (let n = 2; n < 40; n += 1) taken(4, () => open(`a_${n}`))
  assert.equal(close.length, streamsOfTree)
  for (const each of close.splice(0)) each()
  nowMs += 60_000
  assert.equal(
    taken(1, () => open('a_1')),
    1,
  )
})
