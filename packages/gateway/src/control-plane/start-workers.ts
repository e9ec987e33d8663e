import { availableParallelism, hostname } from 'node:os'
import type { WorkerConfig } from '../boundary/messages.ts'
import type { Parts } from './parts.ts'
import { lostForMs } from './agents/admissions.ts'
import type { Approvals } from './approvals/approvals.ts'
import { openApprovals } from './approvals/open-approvals.ts'
import { gatewayBy } from './ledger/ledger.ts'
import { TargetCancels } from './target-cancels.ts'
import { workerSpace } from './recordings/journal-space.ts'
import { WorkerPool } from './worker-pool.ts'

const workersMax = 8
/** A worker that heard nothing for five heartbeats no longer knows what was revoked. */
const staleAfterMs = 5000
const mebibyte = 1024 * 1024

/** The workers, and the requests for approval of their sessions. */
export interface DataPlane {
  readonly pool: WorkerPool
  readonly approvals: Approvals
}

/** Starts the data plane: its workers hear of agents from here on, and tell of their sessions. */
export async function startWorkers(parts: Parts, undo: AsyncDisposableStack): Promise<DataPlane> {
  const { options, agents, ledger, sessions, snapshots, counts, fault } = parts
  const count = options.workers ?? Math.min(availableParallelism(), workersMax)
  const targets = new TargetCancels(lostForMs)
  const approvals = await openApprovals(parts, {
    send: (worker, id, answer) => pool.answerHold(worker, id, answer),
    tell: (worker, id, text) => pool.tellHold(worker, id, text),
  })
  undo.defer(async () => await approvals.stop())
  const pool: WorkerPool = new WorkerPool({
    count,
    entry: options.parts.workerEntry,
    snapshot: await snapshots.build(),
    agents,
    onFault: fault,
    config: (worker, port) => ({
      ...workerConfig(parts, count, worker, port),
      // An earlier start may have had more workers; one of this start recovers what those left.
      ...(worker === 0 ? { recoversFrom: count } : {}),
    }),
    onTarget: (worker, session, target) => targets.opened(worker, session, target),
    onOpened: (session) => void sessions.opened(session).catch(fault),
    onClosed: (session) => {
      agents.sessionClosed(session.id)
      targets.closed(session.id)
      void sessions.closed(session).catch(fault)
    },
    onHoldAsked: (worker, hold, questions) => void approvals.asked(worker, hold, questions),
    onHoldWithdrawn: (id, why) => void approvals.withdrawn(id, why),
    onCounted: (worker, counted) => counts.workers.add(worker, counted),
    onLost: (worker, why) => {
      counts.workers.lost(worker)
      targets.workerLost(worker)
      void approvals.workerLost(worker)
      const actor = gatewayBy('workers')
      const detail = { why }
      void ledger.write({ what: 'worker.lost', actor, subject: `worker ${worker}`, detail })
      options.onEvent({ kind: 'worker.lost', worker, why })
      void sessions.closeLost('the worker ended', worker).catch(fault)
    },
  })
  agents.onChange((changes) => {
    pool.publishAgents(changes)
    approvals.agentsChanged()
  })
  await pool.start()
  approvals.start()
  undo.defer(() => pool.stop(0))
  agents.closer = async (version) => await pool.closing(version)
  agents.canceller = async (orphans) => await targets.cancel(orphans)
  return { pool, approvals }
}

function workerConfig(
  { options, keys, journalDir }: Parts,
  count: number,
  worker: number,
  port: number | undefined,
): WorkerConfig {
  return {
    worker,
    node: hostname(),
    listen: { host: options.host, port: port ?? options.ports.postgres },
    tls: keys.tls,
    tlsRequired: options.plainText !== true,
    journal: {
      dir: journalDir,
      durability: options.durability,
      ...workerSpace(options.journal, count),
      recordingKey: keys.recording.expose().toString('base64'),
    },
    limits: {
      messageBytesMax: 64 * mebibyte,
      // PostgreSQL's own limit for a startup packet.
      startupBytesMax: 10_000,
      loginMsMax: 60_000,
      preparedStatementsMax: 10_000,
      portalsMax: 1000,
      sessionsMax: 1000,
    },
    staleAfterMs,
    logLevel: 'warn',
  }
}
