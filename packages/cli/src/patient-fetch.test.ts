import assert from 'node:assert/strict'
import { test } from 'node:test'
import { patientFetch } from './patient-fetch.ts'

function answers(...list: readonly (readonly [number, string?])[]): {
  send: () => Promise<Response>
  sent: () => number
} {
  let sent = 0
  const send = async (): Promise<Response> => {
    const [status, after] = list[sent] ?? list.at(-1) ?? [500]
    sent += 1
    const headers = after === undefined ? {} : { 'retry-after': after }
    return await Promise.resolve(new Response('x', { status, headers }))
  }
  return { send, sent: () => sent }
}

test('what came too often is sent again when the gateway says so', async () => {
  const { send, sent } = answers([429, '0'], [429, '0'], [200])
  assert.equal((await patientFetch(send)).status, 200)
  assert.equal(sent(), 3)
})

test('nothing else is sent twice, and nothing for ever', async () => {
  for (const once of [
    [503, '0'],
    [429],
    [429, '3600'],
    [429, 'Wed, 21 Oct'],
    [200, '0'],
  ] as const) {
    const { send, sent } = answers(once)
    assert.equal((await patientFetch(send)).status, once[0])
    assert.equal(sent(), 1, String(once))
  }
  const { send, sent } = answers([429, '0'])
  assert.equal((await patientFetch(send)).status, 429)
  assert.equal(sent(), 5)
})
