import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { GrantLayer } from '@sallyport/core'
import { startPostgres } from '@sallyport/testkit'
import { openPgliteStore } from '../packages/gateway/src/control-plane/adapters/pglite-store.ts'
import { openPostgresStore } from '../packages/gateway/src/control-plane/adapters/postgres-store.ts'
import { MemoryLedger } from '../packages/gateway/src/control-plane/ledger/memory-ledger.fixture.ts'
import { AgentService } from '../packages/gateway/src/control-plane/agents/agent-service.ts'
import { measureLogins, type Report } from './logins.ts'
import type { Store } from '../packages/gateway/src/control-plane/ports/store.ts'

/** Births, credentials and revocations of agents on both stores: how many in a second, how long each, and what memory they take. */
const births = 1000
const treeAgents = 500
const liveAgents = 10_000
const logins = 1000
/** Callers that ask at once; each waits for its answer before it asks again. */
const callers = 8
const everything: GrantLayer = {
  permits: [{ connections: ['*'], classes: ['*'], dimensions: {} }],
}

/** What the ledger costs is measured where it is on a disk. */
const ledger = new MemoryLedger()

interface Root {
  readonly id: string
  readonly handle: string
}

async function measure(name: string, store: Store, live: number): Promise<void> {
  await store.db
    .insertInto('connection')
    .values({
      name: 'orders',
      type: 'postgres',
      labels: '{}',
      host: 'db',
      port: 5432,
      login_user: 'app',
      database: 'orders',
      tls_mode: 'off',
      tls_ca: null,
      notices: 'auto',
      responses: 'masked',
      trusted_functions: '[]',
      created_at: new Date(),
    })
    .execute()
  const service = await AgentService.open(store, {
    ledger,
    onFault: (error) => {
      throw error
    },
    spawnsPerSecond: Number.MAX_SAFE_INTEGER,
  })
  const root = await newRoot(service)
  const parents = await inParallel(callers, async (at) =>
    newChild(service, root.id, `parent-${at}`),
  )
  const report = reportOf(name)

  await report('spawn', births, async (at) =>
    newChild(service, parents[at % callers] ?? '', 'worker'),
  )
  await report('mint a credential', births, async (at) =>
    service.mintCredential(parents[at % callers] ?? '', {
      connection: 'orders',
      protocol: 'postgres',
    }),
  )
  await report('check a handle', births * 100, async () => service.authenticateHandle(root.handle))
  const capped = await service.spawn(root.id, {
    name: 'capped',
    layers: [],
    born: 'mint',
    handle: false,
    budget: { commands: 10_000_000 },
  })
  await report('lease of commands', births, async () =>
    service.lease({ agent: capped.agent.id, amounts: { commands: 64 } }, 0),
  )

  const large = await newTree(service, treeAgents - 1)
  const report500 = await service.revoke(large, 'dana', 'bench')
  assert.equal(report500.agents, treeAgents)
  print(name, `revoke of ${treeAgents} agents`, `${report500.ms} ms`)

  const before = heapMiB()
  const rest = live - service.list().filter(({ state }) => state === 'active').length
  const started = performance.now()
  for (let made = 0; made < rest; made += treeAgents)
    await newTree(service, Math.min(treeAgents, rest - made) - 1)
  print(name, `${rest} more agents`, `${((performance.now() - started) / 1000).toFixed(1)} s`)
  print(name, `memory of ${rest} agents`, `${(heapMiB() - before).toFixed(1)} MiB`)
  const swept = performance.now()
  await service.sweep()
  print(name, `look at ${live} agents`, `${(performance.now() - swept).toFixed(1)} ms`)
  const again = await newTree(service, treeAgents - 1)
  print(
    name,
    `revoke of ${treeAgents} agents of ${live}`,
    `${(await service.revoke(again, 'dana', 'bench')).ms} ms`,
  )
  await service.stop()
  const opened = performance.now()
  await AgentService.open(store, { ledger, onFault: () => undefined })
  print(name, `read ${live} agents at a start`, `${(performance.now() - opened).toFixed(0)} ms`)
  await store.close()
}

function reportOf(name: string): Report {
  return async (what, count, each) => {
    const times: number[] = []
    const started = performance.now()
    await inParallel(count, async (at) => {
      const from = performance.now()
      await each(at)
      times.push(performance.now() - from)
    })
    const perSecond = Math.round((count * 1000) / (performance.now() - started))
    times.sort((left, right) => left - right)
    const at = (share: number): string => (times[Math.floor(times.length * share)] ?? 0).toFixed(1)
    print(name, what, `${perSecond} / s`, `p50 ${at(0.5)} ms`, `p99 ${at(0.99)} ms`)
  }
}

async function newRoot(service: AgentService): Promise<Root> {
  const { agent, handle = '' } = await service.createRoot({
    name: 'dana',
    born: 'login',
    owner: 'user:dana',
    handle: true,
    ttlMs: 8 * 3600_000,
    principal: { id: 'user:dana', kind: 'human', name: 'dana', groups: [] },
    layers: [everything],
    budget: {},
    delegate: { agents: 10_000, children: 256 },
  })
  return { id: agent.id, handle }
}

async function newChild(service: AgentService, parent: string, name: string): Promise<string> {
  const { agent } = await service.spawn(parent, { name, layers: [], born: 'mint', handle: true })
  return agent.id
}

/** A root with so many agents below it, 25 to each parent. */
async function newTree(service: AgentService, below: number): Promise<string> {
  const ids = [(await newRoot(service)).id]
  await inParallel(below, async (at) => {
    ids[at + 1] = await newChild(service, ids[Math.floor(at / 25)] ?? ids[0] ?? '', 'x')
  })
  return ids[0] ?? ''
}

async function inParallel<T>(count: number, each: (at: number) => Promise<T>): Promise<T[]> {
  const results: T[] = []
  let next = 0
  const work = async (): Promise<void> => {
    while (next < count) {
      const at = next
      next += 1
      results[at] = await each(at)
    }
  }
  await Promise.all(Array.from({ length: callers }, work))
  return results
}

function heapMiB(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed / 1024 / 1024
}

function print(...words: readonly string[]): void {
  const [store = '', what = '', ...rest] = words
  process.stdout.write(
    `${store.padEnd(10)} ${what.padEnd(34)} ${rest.map((word) => word.padEnd(12)).join(' ')}\n`,
  )
}

const { values } = parseArgs({
  options: {
    live: { type: 'string', default: String(liveAgents) },
    only: { type: 'string', default: 'all' },
  },
})
await measureLogins(logins, reportOf('gateway'))
if (values.only === 'logins') process.exit(0)
const dir = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
await measure('PGlite', await openPgliteStore(dir), Number(values.live))
await rm(dir, { recursive: true, force: true })
// With fsync, as a server of an operator runs.
const server = await startPostgres({ config: ['fsync = on', `log_statement = 'none'`] })
const url = `postgresql://postgres:${server.password}@${server.host}:${server.port}/postgres`
await measure('PostgreSQL', await openPostgresStore(url), Number(values.live))
await server.stop()
