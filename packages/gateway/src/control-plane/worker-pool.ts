import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { SallyportError, type ApprovalId, type SessionId } from '@sallyport/core'
import type { HoldAnswer, HoldAsked, TargetQuestions } from '../boundary/approvals.ts'
import type {
  FromWorker,
  OpenedTarget,
  ProbeResult,
  SessionClosed,
  SessionOpened,
  ToWorker,
  WorkerConfig,
} from '../boundary/messages.ts'
import type { WorkerCounts } from '../boundary/counts.ts'
import type { AgentChanges } from '../boundary/agents.ts'
import type { TrialRequest, TrialResult } from '../boundary/trial.ts'
import type { ConnectionConfig, Snapshot } from '../boundary/snapshot.ts'
import { AgentRelay, type AgentSource, type Closing } from './agent-relay.ts'

/** What the pool needs from its surroundings. */
export interface WorkerPoolOptions {
  readonly count: number
  /** The worker's program. */
  readonly entry: URL
  /** The port is absent for the first start of the first worker where any free one will do. */
  readonly config: (worker: number, port: number | undefined) => WorkerConfig
  readonly snapshot: Snapshot
  readonly agents: AgentSource
  readonly onFault: (error: unknown) => void
  /** Told before anything of a session can reach its target. */
  readonly onTarget: (worker: number, session: SessionId, target: OpenedTarget) => void
  readonly onOpened: (session: SessionOpened) => void
  readonly onClosed: (session: SessionClosed) => void
  readonly onHoldAsked: (worker: number, hold: HoldAsked, questions: TargetQuestions) => void
  readonly onHoldWithdrawn: (id: ApprovalId, why: string) => void
  readonly onCounted: (worker: number, counts: WorkerCounts) => void
  /** A worker ended unasked; its sessions ended with it. */
  readonly onLost: (worker: number, why: string) => void
}

/** A worker as `status` and `doctor` show it. */
export interface WorkerState {
  readonly worker: number
  readonly pid: number | undefined
  readonly state: 'starting' | 'ready' | 'restarting' | 'stopped'
  readonly snapshotVersion: number
  readonly restarts: number
}

interface Slot {
  readonly worker: number
  child: ChildProcess | undefined
  state: WorkerState['state']
  snapshotVersion: number
  restarts: number
  backOffMs: number
  timer: NodeJS.Timeout | undefined
  /** The worker's own words on why it can't go on. */
  failure: string | undefined
}

interface Waiter {
  readonly done: () => boolean
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

const heartbeatMs = 1000
const backOffMsFirst = 250
const backOffMsMax = 5000
/** Compiling the parser and the policies takes about a second on a busy machine. */
const readyMsMax = 30_000
/** A worker that does not load a snapshot in this time is busy or gone; callers go on, and it loads when it can. */
const loadedMsMax = 2000
const askMsMax = 15_000
/** Beyond the grace that a worker was given, for its own exit. */
const exitMsExtra = 2000

/** Starts data-plane workers, keeps them alive, and carries messages between them and the control plane. */
export class WorkerPool {
  readonly #options: WorkerPoolOptions
  readonly #slots: Slot[]
  readonly #waiters = new Set<Waiter>()
  readonly #probes = new Map<string, (result: ProbeResult) => void>()
  readonly #trials = new Map<string, (result: TrialResult) => void>()
  readonly #relay: AgentRelay
  #snapshot: Snapshot
  #port: number | undefined
  #heartbeat: NodeJS.Timeout | undefined
  #stopping = false

  constructor(options: WorkerPoolOptions) {
    this.#options = options
    this.#snapshot = options.snapshot
    const send = (worker: number, message: ToWorker): void => {
      const slot = this.#slots[worker]
      if (slot !== undefined) this.#send(slot, message)
    }
    this.#relay = new AgentRelay(options.agents, send, options.onFault)
    this.#slots = Array.from({ length: options.count }, (_, worker) => ({
      worker,
      child: undefined,
      state: 'starting' as const,
      snapshotVersion: 0,
      restarts: 0,
      backOffMs: backOffMsFirst,
      timer: undefined,
      failure: undefined,
    }))
  }

  /** The port that the workers share. */
  get port(): number {
    return this.#port ?? 0
  }

  /** Resolves when every worker listens; throws, with all of them stopped, when one can't. */
  async start(): Promise<void> {
    this.#heartbeat = setInterval(() => {
      this.#broadcast({
        kind: 'heartbeat',
        snapshotVersion: this.#snapshot.version,
        agentsVersion: this.#relay.version,
      })
    }, heartbeatMs)
    const [first, ...rest] = this.#slots
    if (first === undefined)
      throw new SallyportError('SP_CONFIG_INVALID', 'at least one worker is needed')
    try {
      // The first one may choose the port, so the others wait for it.
      this.#spawn(first)
      await this.#until(() => first.state === 'ready', readyMsMax, 'the first worker did not start')
      for (const slot of rest) this.#spawn(slot)
      await this.#until(
        () => rest.every((slot) => slot.state === 'ready'),
        readyMsMax,
        'a worker did not start',
      )
    } catch (error) {
      await this.stop(0)
      throw error
    }
  }

  /** Gives every worker a new snapshot, and resolves once those that are ready have loaded it. */
  async publish(snapshot: Snapshot): Promise<void> {
    this.#snapshot = snapshot
    this.#broadcast({ kind: 'snapshot', snapshot })
    const loaded = (): boolean =>
      this.#slots.every(
        (slot) => slot.state !== 'ready' || slot.snapshotVersion >= snapshot.version,
      )
    await this.#until(loaded, loadedMsMax, 'slow').catch(() => undefined)
  }

  /** Tells every worker of agents that have changed. */
  publishAgents(changes: AgentChanges): void {
    this.#relay.publish(
      changes,
      this.#slots.map((slot) => slot.worker),
    )
  }

  /** Waits for the workers that serve to close what the agents of this version end. */
  async closing(version: number): Promise<Closing> {
    const serving = this.#slots.filter((slot) => slot.state === 'ready').map((slot) => slot.worker)
    return await this.#relay.closing(version, serving)
  }

  /** Lets a worker try a target, since only the data plane opens connections to targets. */
  async probe(connection: ConnectionConfig): Promise<ProbeResult> {
    const late = `no result from "${connection.name}" in ${askMsMax / 1000} s`
    return await this.#ask(this.#probes, (id) => ({ kind: 'probe', id, connection }), late)
  }

  /** Lets a worker judge a command that nobody sends, since only the data plane can tell what it does. */
  async tryCommand(request: TrialRequest): Promise<TrialResult> {
    const late = `no worker has judged the command in ${askMsMax / 1000} s`
    return await this.#ask(this.#trials, (id) => ({ kind: 'try', id, request }), late)
  }

  async #ask<T>(
    waiting: Map<string, (result: T) => void>,
    message: (id: string) => ToWorker,
    late: string,
  ): Promise<T> {
    const slot = this.#slots.find((each) => each.state === 'ready')
    if (slot === undefined)
      throw new SallyportError('SP_STATE_STALE', 'no worker is ready to be asked')
    const id = randomUUID()
    const { promise, resolve, reject } = Promise.withResolvers<T>()
    const timer = setTimeout(() => {
      reject(new SallyportError('SP_TARGET_UNREACHABLE', late))
    }, askMsMax)
    waiting.set(id, resolve)
    this.#send(slot, message(id))
    return promise.finally(() => {
      clearTimeout(timer)
      waiting.delete(id)
    })
  }

  /** Tells a worker how a request for approval ended. */
  answerHold(worker: number, id: ApprovalId, answer: HoldAnswer): void {
    const slot = this.#slots[worker]
    if (slot !== undefined) this.#send(slot, { kind: 'hold.answered', id, answer })
  }

  /** Has a worker tell the caller of a request something, while it is held. */
  tellHold(worker: number, id: ApprovalId, text: string): void {
    const slot = this.#slots[worker]
    if (slot !== undefined) this.#send(slot, { kind: 'hold.told', id, text })
  }

  states(): WorkerState[] {
    return this.#slots.map(({ worker, child, state, snapshotVersion, restarts }) => ({
      worker,
      pid: child?.pid,
      state,
      snapshotVersion,
      restarts,
    }))
  }

  /** Lets sessions end for `graceMs`, then ends the workers. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true
    clearInterval(this.#heartbeat)
    for (const slot of this.#slots) clearTimeout(slot.timer)
    this.#broadcast({ kind: 'stop', graceMs })
    const gone = (): boolean => this.#slots.every((slot) => slot.child === undefined)
    await this.#until(gone, graceMs + exitMsExtra, 'slow').catch(() => {
      for (const slot of this.#slots) slot.child?.kill('SIGKILL')
    })
    await this.#until(gone, exitMsExtra, 'a worker does not end')
  }

  #spawn(slot: Slot): void {
    slot.failure = undefined
    const child = fork(this.#options.entry, {
      serialization: 'advanced',
      execArgv: workerFlags(process.execArgv),
      // The command's own output is data; what a worker prints are words.
      stdio: ['ignore', 2, 2, 'ipc'],
    })
    slot.child = child
    child.on('message', (message: FromWorker) => this.#receive(slot, message))
    child.on('error', (error) => {
      slot.failure = error.message
    })
    // Not `exit`: what the worker had told before comes first.
    child.once('close', (code, signal) => this.#exited(slot, signal ?? `exit code ${code}`))
    const config = this.#options.config(slot.worker, this.#port)
    const agents = this.#relay.everything()
    this.#send(slot, { kind: 'start', config, snapshot: this.#snapshot, agents })
  }

  #receive(slot: Slot, message: FromWorker): void {
    switch (message.kind) {
      case 'ready':
        slot.state = 'ready'
        slot.backOffMs = backOffMsFirst
        this.#port ??= message.port
        break
      case 'loaded':
        slot.snapshotVersion = message.snapshotVersion
        break
      case 'failed':
        slot.failure = `${message.code}: ${message.message}`
        break
      case 'cancel':
        for (const other of this.#slots) {
          if (other !== slot) this.#send(other, { kind: 'cancel', key: message.key })
        }
        break
      case 'probed':
        this.#probes.get(message.id)?.(message.result)
        break
      case 'tried':
        this.#trials.get(message.id)?.(message.result)
        break
      case 'target.opened':
        this.#options.onTarget(slot.worker, message.session, message.target)
        break
      case 'hold.asked':
        return this.#options.onHoldAsked(slot.worker, message.hold, message.questions)
      case 'hold.withdrawn':
        return this.#options.onHoldWithdrawn(message.id, message.why)
      case 'counted':
        return this.#options.onCounted(slot.worker, message.counts)
      case 'session.opened':
        this.#options.onOpened(message.session)
        break
      case 'session.closed':
        this.#options.onClosed(message.session)
        break
      case 'agents.missed':
      case 'agents.applied':
      case 'admit':
      case 'lease':
      case 'lease.return':
        this.#relay.receive(slot.worker, message)
    }
    this.#checkWaiters()
  }

  #exited(slot: Slot, how: string): void {
    const wasReady = slot.state === 'ready'
    const why = slot.failure ?? how
    slot.child = undefined
    slot.snapshotVersion = 0
    slot.state = this.#stopping ? 'stopped' : 'restarting'
    if (!this.#stopping) {
      this.#relay.lost(slot.worker)
      this.#options.onLost(slot.worker, why)
      // Before the first `ready` there is nothing to keep up: whoever starts the gateway should read why.
      if (!wasReady && slot.restarts === 0) this.#failStart(slot.worker, why)
      else this.#restartLater(slot)
    }
    this.#checkWaiters()
  }

  #restartLater(slot: Slot): void {
    slot.timer = setTimeout(() => {
      slot.restarts += 1
      this.#spawn(slot)
    }, slot.backOffMs)
    slot.backOffMs = Math.min(slot.backOffMs * 2, backOffMsMax)
  }

  #failStart(worker: number, why: string): void {
    const error = new SallyportError('SP_INTERNAL', `worker ${worker} did not start: ${why}`, {
      detail: why,
    })
    for (const waiter of this.#waiters) waiter.reject(error)
  }

  #broadcast(message: ToWorker): void {
    for (const slot of this.#slots) this.#send(slot, message)
  }

  #send(slot: Slot, message: ToWorker): void {
    // A worker that is just going gives an error here; its exit is handled where it is reported.
    if (slot.child?.connected === true) slot.child.send(message, () => undefined)
  }

  #until(done: () => boolean, msMax: number, message: string): Promise<void> {
    if (done()) return Promise.resolve()
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const waiter = { done, resolve, reject }
    const timer = setTimeout(() => reject(new SallyportError('SP_INTERNAL', message)), msMax)
    this.#waiters.add(waiter)
    return promise.finally(() => {
      clearTimeout(timer)
      this.#waiters.delete(waiter)
    })
  }

  #checkWaiters(): void {
    for (const waiter of this.#waiters) if (waiter.done()) waiter.resolve()
  }
}

/**
 * The parser of SQL is one WebAssembly function of enormous size: optimising it takes V8 more than 500 MiB and seconds of
 * processor time, in the middle of whatever the worker is doing. V8's baseline code parses a statement in a few
 * microseconds more, and texts seen before are not parsed at all.
 */
const parserStaysBaseline = '--liftoff-only'

/** Workers run as their parent does, but a test runner's own flags would make each of them a test. */
function workerFlags(flags: readonly string[]): string[] {
  const kept = flags.filter((flag) => !flag.startsWith('--test') && !flag.startsWith('--inspect'))
  return [...kept, parserStaysBaseline]
}
