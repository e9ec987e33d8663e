import { parseArgs } from 'node:util'
import type { Client } from 'pg'
import { until } from '@sallyport/testkit'
import { AgentFamily } from '../e2e/agent-family.ts'
import { ApprovalCalls } from '../e2e/approval-calls.ts'
import { startTestGateway } from '../e2e/test-gateway.ts'
import { median } from './median.ts'
import { rssOf } from './processes.ts'
import { retried } from './retried.ts'

/** What commands that wait for approvals cost those that run: one worker, the same sessions, idle and held in turn. */
const { values } = parseArgs({
  options: {
    held: { type: 'string', default: '500' },
    runners: { type: 'string', default: '8' },
    seconds: { type: 'string', default: '5' },
    rounds: { type: 'string', default: '3' },
  },
})
const heldCount = Number(values.held)
const policy = `apiVersion: sallyport.dev/v1
kind: Policy
metadata: {name: ask}
spec:
  owner: group:bench
  rules:
    - name: deletes
      on: sql
      when: '"delete" in op.classes'
      effect: approve
      approve: {from: [owner], within: 1h, selfRoot: allow}
      message: "The owner looks."
`

await using gateway = await startTestGateway({
  policy,
  seed: 'create table t(id int primary key); insert into t select generate_series(1, 1000)',
  postgresConfig: [`max_connections = ${heldCount + 100}`, "log_statement = 'none'"],
})
const calls = new ApprovalCalls(gateway)
const family = new AgentFamily(gateway)
const root = await family.root()
const waiting = await sessions(heldCount)
const running = await sessions(Number(values.runners))
const { workers } = await gateway.gateway.status()
const worker = workers[0]?.pid ?? 0
const ratios: number[] = []
await throughput()
for (let round = 1; round <= Number(values.rounds); round += 1) {
  const idle = await throughput()
  const bytesBefore = rssOf(worker)
  const ends = waiting.map(async (client, n) => {
    const end = client.query(`delete from t where id = ${n + 1}`)
    return await end.then(
      () => 'ran',
      (error: unknown) => String(error),
    )
  })
  // What each would do is asked of the target first, which takes as long as it takes.
  await until(
    'all wait',
    async () => {
      const pending = await calls.list('pending')
      return pending.length === heldCount && pending.every(({ preview }) => preview !== undefined)
    },
    300_000,
  )
  const bytesEach = (rssOf(worker) - bytesBefore) / heldCount
  const held = await throughput()
  for (const { id } of await calls.list('pending')) await calls.answer(id, 'deny')
  const others = (await Promise.all(ends)).filter((end) => !end.includes('denied'))
  if (others.length > 0) throw new Error(`not denied: ${others[0]}`)
  ratios.push(held / idle)
  process.stdout.write(
    `round ${round}: ${idle.toFixed(0)}/s while ${heldCount} sessions are idle, ${held.toFixed(0)}/s while each holds a command, ratio ${(held / idle).toFixed(3)}; ${(bytesEach / 1024).toFixed(0)} KiB more for each held\n`,
  )
}
process.stdout.write(`median ratio ${median(ratios).toFixed(3)}\n`)
await Promise.all([...waiting, ...running].map(async (client) => await client.end()))

/** Each with a credential of its own: one serves one process. */
async function sessions(count: number): Promise<Client[]> {
  const open: Client[] = []
  for (let at = 0; at < count; at += 10) {
    const some = Array.from(
      { length: Math.min(10, count - at) },
      async () => await retried(async () => await family.session(root)),
    )
    open.push(...(await Promise.all(some)))
  }
  return open
}

/** Commands a second of all runners together. */
async function throughput(): Promise<number> {
  const startedMs = performance.now()
  const endsMs = startedMs + Number(values.seconds) * 1000
  const counts = await Promise.all(
    running.map(async (client) => {
      let count = 0
      while (performance.now() < endsMs) {
        await client.query('select id from t where id = 7')
        count += 1
      }
      return count
    }),
  )
  return (counts.reduce((sum, count) => sum + count, 0) * 1000) / (performance.now() - startedMs)
}
