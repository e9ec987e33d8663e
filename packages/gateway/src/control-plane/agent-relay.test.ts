import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { until } from '@sallyport/testkit'
import type { AgentChanges } from '../boundary/agents.ts'
import type { ToWorker } from '../boundary/messages.ts'
import { AgentRelay } from './agent-relay.ts'

const changes: AgentChanges = { from: 6, version: 7, agents: [] } as unknown as AgentChanges

function relayTo(sent: { worker: number; message: ToWorker }[]): AgentRelay {
  const refused = async (): Promise<never> => await Promise.reject(new Error('not asked here'))
  return new AgentRelay(
    {
      changesSince: () => changes,
      admit: refused,
      lease: refused,
      returnLease: refused,
      workerLost: () => undefined,
    },
    (worker, message) => sent.push({ worker, message }),
    (error) => assert.fail(String(error)),
  )
}

suite('the relay to the workers', () => {
  test('a worker that confirms no change is asked whether it has it, and is sent what was lost', async () => {
    const sent: { worker: number; message: ToWorker }[] = []
    const relay = relayTo(sent)
    relay.publish(changes, [0, 1])
    const closing = relay.closing(7, [0, 1])
    relay.receive(0, { kind: 'agents.applied', worker: 0, version: 7, closed: [] })
    sent.length = 0
    await until('the silent worker to be asked', () => Promise.resolve(sent.length > 0))
    assert.deepEqual(sent, [{ worker: 1, message: { kind: 'agents.version', version: 7 } }])
    relay.receive(1, { kind: 'agents.missed', worker: 1 })
    assert.deepEqual(sent.at(-1), {
      worker: 1,
      message: { kind: 'agents', changes: { ...changes, from: 0 } },
    })
    relay.receive(1, { kind: 'agents.applied', worker: 1, version: 7, closed: [] })
    const { acknowledged, silent } = await closing
    assert.deepEqual([acknowledged, silent], [2, []])
  })

  test('a worker that is still silent then is named', async () => {
    const relay = relayTo([])
    const { acknowledged, silent } = await relay.closing(7, [3])
    assert.deepEqual([acknowledged, silent], [0, [3]])
  })
})
