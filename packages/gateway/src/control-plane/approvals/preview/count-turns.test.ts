import assert from 'node:assert/strict'
import test from 'node:test'
import { CountTurns } from './count-turns.ts'

const rateLimit = { code: 'SP_RATE_LIMIT' }

test('a request is counted one time after the other, with a rest, also where a count fails', async () => {
  let nowMs = 1000
  const turns = new CountTurns()
  const now = (): number => nowMs
  const slow = Promise.withResolvers<number>()
  const first = turns.take(now, async () => await slow.promise)
  await assert.rejects(
    turns.take(now, async () => await Promise.resolve(0)),
    rateLimit,
  )
  slow.resolve(7)
  assert.equal(await first, 7)
  const fails = async (): Promise<never> => await Promise.reject(new Error('away'))
  await assert.rejects(turns.take(now, fails), /Retry after 2000 ms/)
  nowMs += 1999
  await assert.rejects(turns.take(now, fails), rateLimit)
  nowMs += 1
  await assert.rejects(turns.take(now, fails), /away/)
  await assert.rejects(turns.take(now, fails), rateLimit)
})

test('and not without end; a refused one takes none of its number', async () => {
  let nowMs = 0
  let counted = 0
  const turns = new CountTurns()
  const take = async (): Promise<number> =>
    await turns.take(
      () => nowMs,
      async () => await Promise.resolve((counted += 1)),
    )
  for (let n = 0; n < 20; n += 1) {
    nowMs += 2000
    await take()
    await assert.rejects(take(), n === 19 ? { code: 'SP_PREVIEW_UNKNOWN' } : rateLimit)
  }
  nowMs += 1_000_000
  await assert.rejects(take(), /counted 20 times already/)
  assert.equal(counted, 20)
})
