import { createServer, type Server } from 'node:net'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { pino, type Logger } from 'pino'
import { SallyportError } from '@sallyport/core'
import type { FromWorker, ProbeResult, ToWorker, WorkerConfig } from '../boundary/messages.ts'
import type { LeaseRequest } from '../boundary/agents.ts'
import type { ConnectionConfig } from '../boundary/snapshot.ts'
import { reach, secure } from '../target/reach-target.ts'
import { AgentIndex } from './agents/agent-index.ts'
import { ControlLine } from './agents/control-line.ts'
import { Purses } from './agents/purses.ts'
import { Holds } from './approvals/holds.ts'
import { Journal } from './journal/journal.ts'
import { recoverJournals } from './journal/recover-journals.ts'
import { WorkerMeter } from './meters/worker-meter.ts'
import { Cancels } from './protocols/postgres/cancels.ts'
import { Catalogs } from './protocols/postgres/catalogs.ts'
import { GuardWatches } from './protocols/postgres/guard/guard-watch.ts'
import { SqlClassifier } from './protocols/postgres/classify/classify-sql.ts'
import { LookupMeters } from './protocols/postgres/lineage/lookup-meter.ts'
import { MaskedDatabases } from './protocols/postgres/lineage/masked-database.ts'
import { listenerTls, serveSocket } from './protocols/postgres/listener.ts'
import type { PostgresWorker } from './protocols/postgres/login.ts'
import { tryCommand } from './protocols/postgres/trial.ts'
import { dialTarget } from './protocols/postgres/target-login.ts'
import { SnapshotHolder } from './snapshot-holder.ts'

type Start = Extract<ToWorker, { kind: 'start' }>

/** One data-plane process. It serves from what the control plane sent it, and asks it nothing for an ordinary command. */
class Worker {
  readonly #postgres: PostgresWorker
  readonly #server: Server

  private constructor(postgres: PostgresWorker, server: Server) {
    this.#postgres = postgres
    this.#server = server
  }

  static async start({ config, snapshot, agents: known }: Start): Promise<Worker> {
    const log: Logger = pino(
      { level: config.logLevel, base: { worker: config.worker } },
      pino.destination(2),
    )
    const now = (): number => Date.now()
    const meter = new WorkerMeter()
    const journal = await Journal.open(config.journal, config.worker, {
      now,
      node: config.node,
      onFault: (error) => log.error({ event: 'journal.failing', reason: error.message }),
      onSynced: (ms) => meter.sync.add(ms),
    })
    const agents = new AgentIndex(now)
    void agents.apply(known)
    const line = new ControlLine(tell)
    const giveBack = (request: LeaseRequest): void => tell({ kind: 'lease.return', request })
    const classifier = await SqlClassifier.create()
    const postgres: PostgresWorker = {
      agents,
      line,
      purses: new Purses(agents, line, giveBack, now),
      worker: config.worker,
      snapshots: new SnapshotHolder(snapshot, config.staleAfterMs, now),
      journal,
      meter,
      classifier,
      databases: new MaskedDatabases((text) => classifier.parse(text)),
      lookups: new LookupMeters(now),
      catalogs: new Catalogs(now),
      guardWatches: new GuardWatches(now, log),
      cancels: new Cancels(),
      holds: new Holds(tell),
      sessions: new Set(),
      limits: config.limits,
      log,
      now,
      tell,
    }
    const tls = listenerTls(config)
    const server = createServer(
      { noDelay: true, keepAlive: true, pauseOnConnect: true },
      (socket) => {
        void serveSocket(socket, postgres, tls)
      },
    )
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      // The kernel spreads connections over the workers of one port.
      server.listen({ ...config.listen, reusePort: true }, () => {
        server.off('error', reject)
        resolve()
      })
    })
    const address = server.address()
    const port = typeof address === 'object' && address !== null ? address.port : config.listen.port
    tell({ kind: 'ready', worker: config.worker, port })
    // Callers need not wait while gigabytes are read: earlier runs share no file with this one.
    void recoverEarlierRuns(config, journal, log)
    reportCounts(postgres)
    return new Worker(postgres, server)
  }

  receive(message: Exclude<ToWorker, { kind: 'start' }>): void {
    const { snapshots, agents, line, worker, cancels, holds, log } = this.#postgres
    switch (message.kind) {
      case 'snapshot':
        try {
          snapshots.replace(message.snapshot)
          tell({ kind: 'loaded', worker, snapshotVersion: snapshots.known.version })
        } catch (error) {
          // The old snapshot stays; without its confirmation the control plane shows this worker as behind.
          const reason = error instanceof Error ? error.message : String(error)
          log.error({ event: 'snapshot.refused', reason })
          tell({ kind: 'failed', worker, code: 'SP_CONFIG_INVALID', message: reason })
        }
        return
      case 'heartbeat':
        snapshots.beat(message.snapshotVersion)
        if (message.agentsVersion > agents.version) tell({ kind: 'agents.missed', worker })
        return
      case 'agents.version':
        if (message.version > agents.version) tell({ kind: 'agents.missed', worker })
        return
      case 'agents': {
        const applied = agents.apply(message.changes)
        if (applied === 'gap') return tell({ kind: 'agents.missed', worker })
        const { version } = agents
        void applied.then((closed) => tell({ kind: 'agents.applied', worker, version, closed }))
        return
      }
      case 'admission':
      case 'leased':
        line.answered(message)
        return
      case 'hold.answered':
        holds.answered(message.id, message.answer)
        return
      case 'hold.told':
        holds.told(message.id, message.text)
        return
      case 'cancel':
        cancels.cancel(message.key).catch((error: unknown) => {
          log.warn({ event: 'cancel.failed', reason: String(error) })
        })
        return
      case 'probe':
        void probe(message.connection).then((result) =>
          tell({ kind: 'probed', id: message.id, result }),
        )
        return
      case 'try':
        void tryCommand(this.#postgres, message.request).then((result) =>
          tell({ kind: 'tried', id: message.id, result }),
        )
        return
      case 'stop':
        void this.stop(message.graceMs)
    }
  }

  /** Closes the listener, lets open transactions come to their end for `graceMs`, then ends every session and the process. */
  async stop(graceMs: number): Promise<void> {
    this.#server.close()
    const { sessions, journal } = this.#postgres
    const deadlineMs = this.#postgres.now() + graceMs
    const ended: Promise<void>[] = []
    for (;;) {
      for (const session of sessions) {
        if (!session.isIdle && this.#postgres.now() < deadlineMs) continue
        ended.push(session.shutDown().catch(() => undefined))
      }
      if (sessions.size === 0) break
      await new Promise((resolve) => setTimeout(resolve, stopStepMs))
    }
    await journal.close()
    const waited = new Promise((resolve) => setTimeout(resolve, cancelMsMax))
    await Promise.race([Promise.all(ended), waited])
    process.exit(0)
  }
}

const stopStepMs = 50

/** A target that does not take a cancel request by then is not waited for. */
const cancelMsMax = 1_000

/** Ends the recordings that earlier runs left open, this worker's and those of numbers that are no longer started: a killed process could not. */
async function recoverEarlierRuns(
  config: WorkerConfig,
  journal: Journal,
  log: Logger,
): Promise<void> {
  try {
    const { damaged, tornFiles, bytesCut, sessionsClosed } = await recoverJournals(
      config.journal.dir,
      journal.stats().files,
      {
        recordingKey: Buffer.from(config.journal.recordingKey, 'base64'),
        worker: config.worker,
        ...(config.recoversFrom === undefined ? {} : { andFrom: config.recoversFrom }),
        now: () => Date.now(),
      },
    )
    if (sessionsClosed > 0 || tornFiles.length > 0)
      log.info({ event: 'journal.recovered', sessionsClosed, tornFiles, bytesCut })
    for (const { file, reason } of damaged) log.error({ event: 'journal.damaged', file, reason })
  } catch (error) {
    log.error({ event: 'journal.recovery-failed', reason: String(error) })
  }
}

const countsEveryMs = 1000
/** How often it is looked whether the event loop is late. */
const lookEveryMs = 20

/** Tells what was counted: one message a second, whatever the load. */
function reportCounts({ meter, worker, sessions, journal }: PostgresWorker): void {
  const delay = monitorEventLoopDelay({ resolution: lookEveryMs })
  delay.enable()
  setInterval(() => {
    // What it measures is the time between two looks.
    const loopLag = Math.max(0, delay.max / 1e9 - lookEveryMs / 1000)
    delay.reset()
    const isJournalFailing = journal.stats().failing
    const counts = meter.take({ sessions: sessions.size, isJournalFailing, loopLag })
    tell({ kind: 'counted', worker, counts })
  }, countsEveryMs)
}

function tell(message: FromWorker): void {
  if (process.connected) process.send?.(message)
}

/** Tries a target as a session would, and says how far it came. */
async function probe(config: ConnectionConfig): Promise<ProbeResult> {
  let result: ProbeResult = { reach: 'failed', tls: 'skipped', login: 'skipped', serverVersion: '' }
  try {
    const socket = await reach(config)
    const isOff = config.tls.mode === 'off'
    result = { ...result, reach: 'ok', tls: isOff ? 'off' : 'failed' }
    const secured = await secure(socket, config)
    secured.destroy()
    result = { ...result, tls: isOff ? 'off' : 'ok', login: 'failed' }
    const target = await dialTarget(config, new Map([['database', config.database]]))
    target.socket.destroy()
    return { ...result, login: 'ok', serverVersion: target.parameters.get('server_version') ?? '' }
  } catch (error) {
    const code = error instanceof SallyportError ? error.code : 'SP_INTERNAL'
    const message = error instanceof Error ? error.message : String(error)
    return { ...result, error: { code, message } }
  }
}

let starting: Promise<Worker> | undefined

process.on('message', (message: ToWorker) => {
  if (message.kind === 'start') {
    starting = Worker.start(message)
    starting.catch((error: unknown) => {
      const text = error instanceof Error ? error.message : String(error)
      tell({ kind: 'failed', worker: message.config.worker, code: 'SP_INTERNAL', message: text })
      process.exitCode = 1
      process.disconnect()
    })
    return
  }
  void starting?.then((worker) => worker.receive(message))
})

// Without a control plane there is nobody to revoke: the worker ends in order.
process.on('disconnect', () => {
  if (starting === undefined) process.exit(0)
  starting.then((worker) => worker.stop(0)).catch(() => process.exit(1))
})

// A terminal's Ctrl-C reaches the whole process group; the control plane stops its workers itself.
process.on('SIGINT', () => undefined)
