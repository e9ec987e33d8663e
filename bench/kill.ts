import { ChildProcess } from 'node:child_process'
import { parseArgs } from 'node:util'
import { Client } from 'pg'
import { AgentFamily, type TestAgent } from '../e2e/agent-family.ts'
import { startTestGateway } from '../e2e/test-gateway.ts'
import { retried } from './retried.ts'

/**
 * How long a revocation takes: from the request to the last socket closed, for a subtree of agents with one live session
 * each. Every round makes a new subtree.
 */
const { values: options } = parseArgs({
  options: {
    agents: { type: 'string', default: '500' },
    rounds: { type: 'string', default: '5' },
    workers: { type: 'string', default: '1,2' },
    /** Loses what tells the workers of each revocation. */
    lose: { type: 'boolean', default: false },
  },
})
const size = Number(options.agents)

for (const workers of options.workers.split(',').map(Number)) {
  await using gateway = await startTestGateway({
    workers,
    postgresConfig: [`max_connections = ${size + 50}`, "log_statement = 'none'"],
  })
  const family = new AgentFamily(gateway)
  const lasts: number[] = []
  const all: number[] = []
  for (let round = 1; round <= Number(options.rounds); round += 1) {
    const { top, clients } = await grow(family)
    const start = performance.now()
    const closed = clients.map(async (client) => {
      await new Promise<void>((resolve) => client.once('end', () => resolve()))
      all.push(performance.now() - start)
    })
    const losing = options.lose ? loseChanges() : undefined
    const report = await family.revoke(top)
    losing?.[Symbol.dispose]()
    await Promise.all(closed)
    lasts.push(performance.now() - start)
    process.stdout.write(
      `${workers} workers, round ${round}: report ${report.state} after ${report.ms} ms with ${report.sessions.length} sessions; last socket ${lasts.at(-1)?.toFixed(0)} ms\n`,
    )
  }
  process.stdout.write(
    `${workers} workers: sockets p50 ${quantile(all, 0.5)} ms, p99 ${quantile(all, 0.99)} ms, last of a round at most ${quantile(lasts, 1)} ms\n`,
  )
}

/** Until it is disposed of, the first message about agents to each worker is lost. */
function loseChanges(): Disposable {
  // oxlint-disable-next-line typescript/unbound-method -- called with its receiver below
  const send = ChildProcess.prototype.send
  const lost = new Set<ChildProcess>()
  ChildProcess.prototype.send = function (this: ChildProcess, message: unknown, ...rest: []) {
    const isChange = (message as { kind?: string }).kind === 'agents'
    if (!isChange || lost.has(this)) return send.call(this, message as string, ...rest)
    lost.add(this)
    return true
  } as typeof send
  return { [Symbol.dispose]: () => void (ChildProcess.prototype.send = send) }
}

/** A tree of 500: ten children, each with children of their own, and one session each. */
async function grow(family: AgentFamily): Promise<{ top: TestAgent; clients: Client[] }> {
  const root = await family.root()
  const top = await family.child(root, 'top')
  const agents: TestAgent[] = []
  const branches: TestAgent[] = []
  const perBranch = 30
  // With the root and the top of the subtree it is as many as a tree may have.
  while (agents.length < size - 2) {
    const branch = await retried(async () => await family.child(top, `branch-${branches.length}`))
    branches.push(branch)
    agents.push(branch)
    for (let n = 0; n < perBranch && agents.length < size - 2; n += 1) {
      agents.push(await retried(async () => await family.child(branch, `leaf-${n}`)))
    }
  }
  const clients: Client[] = []
  for (let at = 0; at < agents.length; at += 10) {
    const some = agents.slice(at, at + 10)
    clients.push(...(await Promise.all(some.map(async (agent) => await family.session(agent)))))
  }
  return { top, clients }
}

function quantile(values: readonly number[], part: number): string {
  const sorted = values.toSorted((a, b) => a - b)
  return (sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))] ?? 0).toFixed(0)
}
