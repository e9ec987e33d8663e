import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SharedSync } from './shared-sync.ts'

/** A sync that ends when the test says so. */
function controlled(): { shared: SharedSync; ends: ((error?: Error) => void)[] } {
  const ends: ((error?: Error) => void)[] = []
  const shared = new SharedSync(
    () =>
      new Promise((resolve, reject) => {
        ends.push((error) => (error === undefined ? resolve() : reject(error)))
      }),
  )
  return { shared, ends }
}

async function isOver(promise: Promise<void>): Promise<boolean> {
  await new Promise((resolve) => setImmediate(resolve))
  return Promise.race([promise.then(() => true), Promise.resolve(false)])
}

test('those who come while a sync runs wait for one that begins after them, and share it', async () => {
  const { shared, ends } = controlled()
  const first = shared.next()
  const [second, third] = [shared.next(), shared.next()]
  assert.equal(ends.length, 1)
  ends[0]?.()
  await first
  assert.equal(await isOver(second), false)
  assert.equal(ends.length, 2)
  ends[1]?.()
  await Promise.all([second, third])
  const last = shared.next()
  assert.equal(ends.length, 3)
  ends[2]?.()
  await last
})

test('a sync that fails fails those who waited for it, and nobody after them', async () => {
  const { shared, ends } = controlled()
  const first = shared.next()
  const second = shared.next()
  ends[0]?.(new Error('disk'))
  await assert.rejects(first, /disk/)
  await isOver(second)
  ends[1]?.()
  await second
})

test('who waits until none runs waits for those that were asked for, and is not told of failures', async () => {
  const { shared, ends } = controlled()
  await shared.idle()
  const [first, second] = [shared.next(), shared.next()]
  const idle = shared.idle()
  ends[0]?.(new Error('disk'))
  await assert.rejects(first, /disk/)
  assert.equal(await isOver(idle), false)
  ends[1]?.()
  await Promise.all([second, idle])
})
