import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { test } from 'node:test'
import type { AgentId, SessionId } from '@sallyport/core'
import { listenScripted, type ScriptedListener, type ScriptedPeer, until } from '@sallyport/testkit'
import { encodeCancelRequest } from '@sallyport/wire'
import type { OpenedTarget } from '../boundary/messages.ts'
import { TargetCancels } from './target-cancels.ts'

const secretKey = Buffer.from('a1b2c3d4', 'hex')
const request = encodeCancelRequest(4711, secretKey)
const orphan = (session: string) => ({
  session: session as SessionId,
  agent: 'a' as AgentId,
  connection: 'shop',
})

function targetAt({ port }: { readonly port: number }): OpenedTarget {
  const place = {
    name: 'shop',
    // Only the address that the session was opened at counts.
    target: { host: 'unknown.invalid', port },
    tls: { mode: 'off' },
    address: '127.0.0.1',
  } as const
  return { place, processId: 4711, secretKey }
}

async function outcome(script: (peer: ScriptedPeer) => Promise<void>): Promise<string | undefined> {
  await using target: ScriptedListener = await listenScripted(script)
  const cancels = new TargetCancels(60_000)
  cancels.opened(0, 's_1' as SessionId, targetAt(target))
  return (await cancels.cancel([orphan('s_1')])).get('s_1' as SessionId)
}

test('a target that reads the request is asked once, with its own key', async () => {
  let asked = 0
  const said = await outcome(async (peer) => {
    asked += 1
    await peer.expectBytes(request)
    peer.hangUp()
  })
  assert.deepEqual([said, asked], ['cancel-sent', 1])
})

test('a target that says nothing, hangs up early or is not there leaves it unknown', async () => {
  assert.equal(await outcome(async () => await new Promise(() => undefined)), 'unknown')
  assert.equal(
    await outcome(async (peer) => await Promise.resolve(peer.hangUp('reset'))),
    'unknown',
  )
  const cancels = new TargetCancels(60_000)
  cancels.opened(0, 's_1' as SessionId, targetAt({ port: 1 }))
  const outcomes = await cancels.cancel([orphan('s_1'), orphan('s_of_nobody')])
  assert.deepEqual([...outcomes.values()], ['unknown', 'unknown'])
})

test('many sessions at a target that says nothing are given up together', async () => {
  await using target = await listenScripted(async () => await new Promise(() => undefined))
  const cancels = new TargetCancels(60_000)
  const orphans = Array.from({ length: 200 }, (_, n) => orphan(`s_${n}`))
  for (const { session } of orphans) cancels.opened(0, session, targetAt(target))
  const outcomes = await cancels.cancel(orphans)
  assert.equal(outcomes.size, 200)
  assert.deepEqual([...new Set(outcomes.values())], ['unknown'])
})

test('keys are forgotten with their sessions, and a while after a worker died', async () => {
  const cancels = new TargetCancels(20)
  const target = targetAt({ port: 1 })
  cancels.opened(0, 's_1' as SessionId, target)
  cancels.opened(0, 's_2' as SessionId, target)
  cancels.opened(1, 's_3' as SessionId, target)
  cancels.closed('s_1' as SessionId)
  cancels.workerLost(0)
  assert.equal(cancels.size, 2)
  await until('the key of the lost worker to be forgotten', () => cancels.size === 1)
})

test('nothing that prints shows a key', () => {
  const cancels = new TargetCancels(20)
  cancels.opened(0, 's_1' as SessionId, targetAt({ port: 1 }))
  const shown = inspect(cancels, { depth: 9, showHidden: true }) + JSON.stringify(cancels)
  assert.doesNotMatch(shown, /4711|a1 ?b2 ?c3|161, 178/u)
})
