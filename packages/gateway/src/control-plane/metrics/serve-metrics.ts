import { monitorEventLoopDelay } from 'node:perf_hooks'
import type { Channels } from '../approvals/channels/channels.ts'
import type { Exports } from '../exports/exports.ts'
import type { Parts } from '../parts.ts'
import { journalSpace, workerSpace } from '../recordings/journal-space.ts'
import type { WorkerPool } from '../worker-pool.ts'
import { printMetrics } from './exposition.ts'
import { gatewayMetrics, type MetricsView } from './gateway-metrics.ts'
import { listenMetrics } from './listen-metrics.ts'
import { readiness } from './readiness.ts'

/** How often it is looked whether the event loop is late. */
const lookEveryMs = 20
const secondMs = 1000
const loopbackHost = '127.0.0.1'

type Served = Parts & { readonly exports: Exports; readonly channels: Channels }

/** Serves metrics where a port was asked for, and gives its number. */
export async function serveMetrics(
  parts: Served,
  pool: WorkerPool,
  version: string,
  undo: AsyncDisposableStack,
): Promise<number | undefined> {
  const { options } = parts
  if (options.ports.metrics === undefined) return undefined
  const loopLag = watchLoop(undo)
  const pages = {
    metrics: async () =>
      printMetrics(gatewayMetrics(await viewOf(parts, pool, version, loopLag()))),
    readiness: async () => {
      const { shipper, store, counts } = parts
      const failing = [...counts.workers.levels].filter(([, each]) => each.isJournalFailing)
      return await readiness({
        workers: pool.states(),
        store,
        shipping: shipper.status(),
        journals: journalSpace(parts.journalDir),
        failingJournals: failing.map(([worker]) => worker),
        limits: workerSpace(parts.options.journal, pool.states().length),
      })
    },
  }
  const host = options.metricsHost ?? loopbackHost
  const listener = await listenMetrics(pages, host, options.ports.metrics)
  undo.defer(async () => await listener.close())
  return listener.port
}

async function viewOf(
  parts: Served,
  pool: WorkerPool,
  version: string,
  loopLag: number,
): Promise<MetricsView> {
  const { counts, agents, shipper, index, snapshots, store } = parts
  return {
    version,
    policyVersion: snapshots.policyVersion,
    nowMs: Date.now(),
    totals: counts.workers,
    closures: counts.closures,
    approvals: counts.approvals,
    agents: agents.countStates(),
    apiRefusals: counts.apiRefusals,
    workers: pool.states(),
    shipping: shipper.status(),
    search: index.status(),
    // Without the database it is not known how far they are.
    exports: await parts.exports.status().catch(() => []),
    channels: await parts.channels.status().catch(() => []),
    pool: store.pool(),
    journals: journalSpace(parts.journalDir),
    loopLag,
  }
}

/** The longest that this process was late in the last whole second, in seconds. */
function watchLoop(undo: AsyncDisposableStack): () => number {
  const delay = monitorEventLoopDelay({ resolution: lookEveryMs })
  delay.enable()
  let last = 0
  const timer = setInterval(() => {
    // What it measures is the time between two looks.
    last = Math.max(0, delay.max / 1e9 - lookEveryMs / 1000)
    delay.reset()
  }, secondMs)
  timer.unref()
  undo.defer(() => {
    clearInterval(timer)
    delay.disable()
  })
  return () => last
}
