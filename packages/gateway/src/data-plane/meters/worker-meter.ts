import { COARSE_CLASSES, type CoarseClass, type ErrorCode, type Verdict } from '@sallyport/core'
import { COUNTED_VERDICTS, type CountedVerdict, type WorkerCounts } from '../../boundary/counts.ts'
import { Latencies } from './latencies.ts'

/** How a worker is, beside what it has counted. */
type Levels = Pick<WorkerCounts, 'sessions' | 'isJournalFailing' | 'loopLag'>

const verdictOf: Readonly<Record<Verdict['effect'], CountedVerdict>> = {
  allow: 'allowed',
  approve: 'held',
  block: 'blocked',
}

/** What happened on one connection since it was last told. */
class ConnectionCounts {
  readonly commands = COUNTED_VERDICTS.map((verdict) => ({
    verdict,
    classes: COARSE_CLASSES.map((name) => ({ class: name, count: 0 })),
  }))
  masked = 0
}

/** Counts for the sessions of one connection. */
export class ConnectionMeter {
  readonly #worker: WorkerMeter
  readonly #counts: ConnectionCounts

  constructor(worker: WorkerMeter, counts: ConnectionCounts) {
    this.#worker = worker
    this.#counts = counts
  }

  /** A command was judged, `ms` after the gateway began to look at it. */
  judged(effect: Verdict['effect'], commandClass: CoarseClass, ms: number): void {
    const verdict = this.#counts.commands[COUNTED_VERDICTS.indexOf(verdictOf[effect])]
    const counted = verdict?.classes[COARSE_CLASSES.indexOf(commandClass)]
    if (counted !== undefined) counted.count += 1
    this.#worker.decision.add(ms)
  }

  /** A command may leave, `ms` after the gateway began to look at it. */
  left(ms: number): void {
    this.#worker.added.add(ms)
  }

  masked(values: number): void {
    this.#counts.masked += values
  }

  refused(code: ErrorCode): void {
    this.#worker.refused(code)
  }
}

/** Counts what one worker does, for the control plane, which adds it to what it was told before. */
export class WorkerMeter {
  readonly decision = new Latencies()
  readonly added = new Latencies()
  readonly sync = new Latencies()
  readonly #connections = new Map<string, ConnectionCounts>()
  #refusals = new Map<ErrorCode, number>()
  #sessionsOpened = 0

  sessionOpened(connection: string): ConnectionMeter {
    this.#sessionsOpened += 1
    const counts = this.#connections.get(connection) ?? new ConnectionCounts()
    this.#connections.set(connection, counts)
    return new ConnectionMeter(this, counts)
  }

  refused(code: ErrorCode): void {
    this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1)
  }

  /** What was counted since the last call. */
  take(levels: Levels): WorkerCounts {
    const commands: WorkerCounts['commands'][number][] = []
    const masked: WorkerCounts['masked'][number][] = []
    for (const [connection, counts] of this.#connections) {
      for (const { verdict, classes } of counts.commands) {
        for (const counted of classes) {
          if (counted.count > 0) commands.push({ connection, verdict, ...counted })
          counted.count = 0
        }
      }
      if (counts.masked > 0) masked.push({ connection, values: counts.masked })
      counts.masked = 0
    }
    const refusals = [...this.#refusals].map(([code, count]) => ({ code, count }))
    this.#refusals = new Map()
    const sessionsOpened = this.#sessionsOpened
    this.#sessionsOpened = 0
    return {
      commands,
      masked,
      refusals,
      sessionsOpened,
      decision: this.decision.take(),
      added: this.added.take(),
      sync: this.sync.take(),
      ...levels,
    }
  }
}
