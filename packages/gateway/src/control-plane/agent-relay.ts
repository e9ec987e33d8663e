import { SallyportError } from '@sallyport/core'
import type {
  Admission,
  AdmissionRequest,
  AgentChanges,
  ClosedByAgent,
  Lease,
  LeaseRequest,
} from '../boundary/agents.ts'
import type { FromWorker, ToWorker } from '../boundary/messages.ts'

/** Who knows the agents and counts what they spend. */
export interface AgentSource {
  /** Everything where `version` is 0. */
  changesSince(version: number): AgentChanges
  admit(request: AdmissionRequest, worker: number): Promise<Admission>
  lease(request: LeaseRequest, worker: number): Promise<Lease>
  returnLease(request: LeaseRequest, worker: number): Promise<void>
  workerLost(worker: number): void
}

/** What workers have closed because of a change, and how many of them have said so. */
export interface Closing {
  readonly workers: number
  readonly acknowledged: number
  /** Those that have not answered. */
  readonly silent: readonly number[]
  readonly closed: readonly ClosedByAgent[]
  /** The same, after so many milliseconds more or when nobody is silent any longer. */
  later(ms: number): Promise<Closing>
}

/** Workers that have not answered by then are asked whether the change has reached them. */
const askedAfterMs = 200
/** Workers that have not closed their sessions by then are named in the report, and are fenced by their own staleness. */
const acknowledgedMsMax = 1_000
/** Nobody waits longer. */
const waitedMsMax = 20_000

type AgentMessage = Extract<
  FromWorker,
  { kind: 'agents.missed' | 'agents.applied' | 'admit' | 'lease' | 'lease.return' }
>

interface Waiter {
  readonly version: number
  readonly left: Set<number>
  readonly closed: ClosedByAgent[]
  readonly done: () => void
}

/** Carries agents to the workers, and their questions about agents to whoever knows them. */
export class AgentRelay {
  readonly #source: AgentSource
  readonly #send: (worker: number, message: ToWorker) => void
  readonly #fault: (error: unknown) => void
  readonly #waiters = new Set<Waiter>()
  #version: number

  constructor(
    source: AgentSource,
    send: (worker: number, message: ToWorker) => void,
    fault: (error: unknown) => void,
  ) {
    this.#source = source
    this.#send = send
    this.#fault = fault
    this.#version = source.changesSince(0).version
  }

  /** The version that every worker should have. */
  get version(): number {
    return this.#version
  }

  /** What a worker that starts is to know. */
  everything(): AgentChanges {
    const all = this.#source.changesSince(0)
    this.#version = Math.max(this.#version, all.version)
    return { ...all, from: 0 }
  }

  /** Tells the workers of changes, in the order in which they were made. */
  publish(changes: AgentChanges, workers: readonly number[]): void {
    this.#version = Math.max(this.#version, changes.version)
    for (const worker of workers) this.#send(worker, { kind: 'agents', changes })
  }

  /**
   * Resolves when all of these workers have closed what the changes up to `version` end, or after a second; `later` waits
   * on for those that are silent.
   */
  async closing(version: number, workers: readonly number[]): Promise<Closing> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const left = new Set(workers)
    const waiter: Waiter = { version, left, closed: [], done: resolve }
    this.#waiters.add(waiter)
    if (left.size === 0) resolve()
    const ask = setTimeout(() => {
      for (const worker of left) this.#send(worker, { kind: 'agents.version', version })
    }, askedAfterMs)
    ask.unref()
    const forget = setTimeout(() => this.#waiters.delete(waiter), waitedMsMax)
    forget.unref()
    void promise.then(() => {
      clearTimeout(forget)
      clearTimeout(ask)
      this.#waiters.delete(waiter)
    })
    const later = async (ms: number): Promise<Closing> => {
      const stop = Promise.withResolvers<void>()
      const timer = setTimeout(stop.resolve, Math.max(0, ms))
      await Promise.race([promise, stop.promise])
      clearTimeout(timer)
      const acknowledged = workers.length - left.size
      const closed = [...waiter.closed]
      return { workers: workers.length, acknowledged, silent: [...left], closed, later }
    }
    return await later(acknowledgedMsMax)
  }

  /** A worker's sessions ended with it; what it had leased is spent. */
  lost(worker: number): void {
    this.#source.workerLost(worker)
    for (const waiter of this.#waiters) this.#settle(waiter, worker)
  }

  receive(worker: number, message: AgentMessage): void {
    switch (message.kind) {
      case 'agents.missed':
        this.#send(worker, { kind: 'agents', changes: this.everything() })
        return
      case 'agents.applied':
        for (const waiter of this.#waiters) {
          waiter.closed.push(...message.closed)
          if (message.version >= waiter.version) this.#settle(waiter, worker)
        }
        return
      case 'admit':
        void this.#admit(worker, message.id, message.request)
        return
      case 'lease':
        void this.#lease(worker, message.id, message.request)
        return
      case 'lease.return':
        this.#source.returnLease(message.request, worker).catch(this.#fault)
    }
  }

  #settle(waiter: Waiter, worker: number): void {
    waiter.left.delete(worker)
    if (waiter.left.size === 0) waiter.done()
  }

  async #admit(worker: number, id: number, request: AdmissionRequest): Promise<void> {
    const admission = await this.#source
      .admit(request, worker)
      .catch((error: unknown): Admission => {
        if (!(error instanceof SallyportError)) this.#fault(error)
        const code = error instanceof SallyportError ? error.code : 'SP_STATE_STALE'
        const detail = error instanceof SallyportError ? (error.detail ?? error.message) : ''
        return { kind: 'refused', code, detail }
      })
    this.#send(worker, { kind: 'admission', id, admission })
  }

  async #lease(worker: number, id: number, request: LeaseRequest): Promise<void> {
    const lease = await this.#source.lease(request, worker).catch((error: unknown): Lease => {
      // What can't be counted can't be spent.
      this.#fault(error)
      return { granted: {} }
    })
    this.#send(worker, { kind: 'leased', id, ...lease })
  }
}
