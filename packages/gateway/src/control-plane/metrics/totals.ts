import { COARSE_CLASSES, type CoarseClass, type ErrorCode } from '@sallyport/core'
import {
  COUNTED_VERDICTS,
  LATENCY_BOUNDS,
  type Bins,
  type CountedVerdict,
  type WorkerCounts,
} from '../../boundary/counts.ts'
import type { Distribution } from './exposition.ts'

/** Connections beyond this are counted together: what reads metrics keeps a series for each. */
const connectionsMax = 100
/** Stands for all other connections; no connection can have this name. */
const otherConnections = '_other'

/** A latency of all workers. */
export class LatencyTotal {
  readonly #counts = LATENCY_BOUNDS.map(() => 0).concat(0)
  #sum = 0

  add({ counts, sum }: Bins): void {
    for (const [at, count] of counts.entries()) this.#counts[at] = (this.#counts[at] ?? 0) + count
    this.#sum += sum
  }

  addOne(seconds: number): void {
    const found = LATENCY_BOUNDS.findIndex((bound) => seconds <= bound)
    const at = found === -1 ? LATENCY_BOUNDS.length : found
    this.#counts[at] = (this.#counts[at] ?? 0) + 1
    this.#sum += seconds
  }

  distribution(labels: Readonly<Record<string, string>>): Distribution {
    return { labels, bounds: LATENCY_BOUNDS, counts: this.#counts, sum: this.#sum }
  }
}

/** What happened on a connection since the gateway started. */
export interface ConnectionTotal {
  readonly commands: Readonly<Record<CountedVerdict, Record<CoarseClass, number>>>
  masked: number
}

type Levels = Pick<WorkerCounts, 'sessions' | 'isJournalFailing' | 'loopLag'>

/** Adds up what workers tell. Nothing here gets less: neither when a worker dies, nor when one starts in its place. */
export class WorkerTotals {
  readonly connections = new Map<string, ConnectionTotal>()
  readonly refusals = new Map<ErrorCode, number>()
  readonly decision = new LatencyTotal()
  readonly added = new LatencyTotal()
  readonly sync = new LatencyTotal()
  sessionsOpened = 0
  /** How each worker that lives is. */
  readonly levels = new Map<number, Levels>()

  add(worker: number, counts: WorkerCounts): void {
    for (const { connection, verdict, class: name, count } of counts.commands)
      this.#connection(connection).commands[verdict][name] += count
    for (const { connection, values } of counts.masked)
      this.#connection(connection).masked += values
    for (const { code, count } of counts.refusals)
      this.refusals.set(code, (this.refusals.get(code) ?? 0) + count)
    this.decision.add(counts.decision)
    this.added.add(counts.added)
    this.sync.add(counts.sync)
    this.sessionsOpened += counts.sessionsOpened
    this.levels.set(worker, counts)
  }

  lost(worker: number): void {
    this.levels.delete(worker)
  }

  #connection(name: string): ConnectionTotal {
    const isKnown = this.connections.has(name) || this.connections.size < connectionsMax
    const label = isKnown ? name : otherConnections
    const known = this.connections.get(label) ?? nothingYet()
    this.connections.set(label, known)
    return known
  }
}

function nothingYet(): ConnectionTotal {
  const classes = (): Record<CoarseClass, number> =>
    Object.fromEntries(COARSE_CLASSES.map((name) => [name, 0])) as Record<CoarseClass, number>
  const commands = Object.fromEntries(COUNTED_VERDICTS.map((verdict) => [verdict, classes()]))
  return { commands: commands as Record<CountedVerdict, Record<CoarseClass, number>>, masked: 0 }
}
