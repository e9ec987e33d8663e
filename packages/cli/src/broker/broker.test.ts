import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { SallyportError } from '@sallyport/core'
import { Broker } from './broker.ts'
import { HeldAgent } from './held-agent.ts'

test('a login that is over at the gateway is let go, so that the broker can end; a wrapper is told first', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sp-broker-'))
  const broker = new Broker(folder, 'not looked at')
  try {
    const hold = (id: string, kind: 'login' | 'run', pid: number): HeldAgent => {
      const view = { id, name: id, chain: [id] } as never
      const adoption = { handle: 'spa_x', agent: view, gateway: { dataDir: folder } }
      const agent = new HeldAgent(adoption, undefined, folder)
      broker.agents.set(id, agent)
      broker.anchor(agent, { pid, startTime: 1 }, kind)
      return agent
    }
    const [person, program] = [hold('a_login', 'login', 1), hold('a_run', 'run', 2)]
    const told: string[] = []
    broker.onState(program, (code) => told.push(code))
    for (const agent of [person, program]) {
      broker.stateChanged(agent, new SallyportError('SP_AGENT_FROZEN', 'x'))
      broker.stateChanged(agent, new SallyportError('SP_GATEWAY_UNREACHABLE', 'x'))
    }
    assert.equal(broker.agents.size, 2)
    for (const agent of [person, program])
      broker.stateChanged(agent, new SallyportError('SP_AGENT_ENDED', 'x'))
    assert.deepEqual([...broker.agents.keys()], ['a_run'])
    assert.deepEqual(told, ['SP_AGENT_FROZEN', 'SP_AGENT_ENDED'])
  } finally {
    broker.stop()
    rmSync(folder, { recursive: true, force: true })
  }
})
