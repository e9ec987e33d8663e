import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { ERRORS, type ErrorCode, type SessionId } from '@sallyport/core'
import {
  FrameSplitter,
  LONG_BACKEND_TYPES,
  LONG_FRONTEND_TYPES,
  encodeCopyFail,
  encodeTerminate,
} from '@sallyport/wire'
import type { ClosedByAgent } from '../../../boundary/agents.ts'
import type { SessionClosed } from '../../../boundary/messages.ts'
import type { HoldNotice } from '../../approvals/hold-desk.ts'
import type { SessionAgent } from '../../agents/session-agent.ts'
import type { SessionJournal } from '../../journal/session-journal.ts'
import type { ConnectionMeter } from '../../meters/worker-meter.ts'
import { CallerReader } from './caller-reader.ts'
import { FreezeHold } from './freeze-hold.ts'
import { Judge, type JudgeDeps } from './judge.ts'
import { Names } from './names.ts'
import { Outlet } from './outlet.ts'
import { Readiness } from './readiness.ts'
import { fatalError, notice } from './refuse.ts'
import { asKnown } from './session-failure.ts'
import { Fifo, type SessionState } from './session-state.ts'
import { TargetReader, type TargetReaderDeps } from './target-reader.ts'

/** One turn of one session handles at most this much, so that a bulk stream leaves room for its neighbours. */
const turnBytesMax = 64 * 1024

/** What a caller may send beyond the command that waits before it is read no further. */
const aheadBytesMax = 64 * 1024

/** Entries that wait for the disk beyond this pause the session that makes them. */
const journalBytesMax = 16 * 1024 * 1024

/** How often a session looks whether the journal has room again. */
const journalWaitMs = 20

export interface SessionOptions extends Omit<
  TargetReaderDeps,
  'settled' | 'catalogChanged' | 'cancelTarget' | 'resumed' | 'failed'
> {
  readonly id: SessionId
  readonly caller: Socket
  readonly target: Socket
  /** The connection below the target's TLS. */
  readonly targetWire: Socket
  /** Bytes that had arrived before the session took over. */
  readonly callerRest: Buffer
  readonly targetRest: Buffer
  readonly journal: SessionJournal
  readonly meter: ConnectionMeter
  readonly agent: SessionAgent
  readonly judge: Omit<JudgeDeps, 'journal' | 'names' | 'purse' | 'transactionStatus'>
  readonly isPathKnown: boolean
  readonly limits: {
    readonly messageBytesMax: number
    readonly preparedStatementsMax: number
    readonly portalsMax: number
  }
  readonly log: Logger
  /** Ends the statement that runs at the target. */
  cancelTarget(): Promise<void>
  now(): number
  onClosed(closed: SessionClosed): void
}

/** One recorded conversation: a caller, a target, and what stands between them. Ends as a whole, whatever side ends it. */
export class PostgresSession implements SessionState {
  readonly journal: SessionJournal
  readonly meter: ConnectionMeter
  readonly names: Names
  readonly fifo = new Fifo()
  readonly toTarget: Outlet
  readonly toCaller: Outlet
  readonly target: Socket
  readonly caller: Socket
  readonly messageBytesMax: number
  copyIn: { readonly seq: number } | undefined
  isSkipping = false
  transactionStatus: 'I' | 'T' | 'E' = 'I'
  isClosed = false
  isTaken = false
  wasCancelled = false
  hasMetMasked = false
  targetSaidFatal = false
  progressCount = 0

  readonly #options: SessionOptions
  readonly #callerReader: CallerReader
  readonly #targetReader: TargetReader
  readonly #judge: Judge
  readonly #callerSplitter: FrameSplitter
  readonly #targetSplitter: FrameSplitter
  readonly #waiting: Buffer[] = []
  readonly #hold: FreezeHold
  readonly #readiness: Readiness
  #isReading = false
  /** What has come from the caller while it was being read. */
  #aheadBytes = 0
  #onProgress: (() => void)[] = []

  constructor(options: SessionOptions) {
    this.#options = options
    this.journal = options.journal
    this.meter = options.meter
    this.caller = options.caller
    this.target = options.target
    this.names = new Names(options.limits)
    this.toTarget = new Outlet(options.target)
    this.toCaller = new Outlet(options.caller)
    this.#judge = new Judge(
      {
        ...options.judge,
        journal: options.journal,
        purse: options.purse,
        names: this.names,
        transactionStatus: () => this.transactionStatus,
      },
      options.isPathKnown,
    )
    const wake = (): void => this.#wake()
    this.#hold = new FreezeHold(options.agent, () => options.now(), wake)
    this.#readiness = new Readiness({
      ...options.judge,
      judge: this.#judge,
      purse: options.purse,
      isInTransaction: () => this.transactionStatus !== 'I',
      wake,
      fail: (error) => this.#fail(error),
    })
    this.#callerReader = new CallerReader(this, this.#judge)
    this.#targetReader = new TargetReader(this, {
      ...options,
      settled: (batch) => this.#judge.settled(batch),
      catalogChanged: () => {
        options.judge.catalog.markStale()
        options.judge.guard?.catalogChanged()
      },
      cancelTarget: () => options.cancelTarget(),
      resumed: () => {
        this.#resumeTarget()
        this.#wake()
      },
      failed: (error) => this.#fail(error),
    })
    const { messageBytesMax } = options.limits
    this.messageBytesMax = messageBytesMax
    this.#callerSplitter = new FrameSplitter(messageBytesMax, LONG_FRONTEND_TYPES)
    this.#targetSplitter = new FrameSplitter(
      Math.max(messageBytesMax, targetMessageBytesMax),
      LONG_BACKEND_TYPES,
    )
  }

  start(): void {
    const { caller, target } = this
    caller.on('data', this.#onCallerData)
    target.on('data', this.#onTargetData)
    caller.on('drain', this.#resumeTarget)
    target.on('drain', () => this.#wake())
    caller.on('error', () => this.end('caller lost'))
    caller.on('close', () => this.end('caller left'))
    target.on('error', () => this.#targetLost())
    target.on('close', () => this.#targetLost())
    // Either may have gone before its end could be noticed here.
    if (target.destroyed) this.#targetLost()
    else if (caller.destroyed) this.end('caller left')
    if (this.isClosed) return
    if (this.#options.callerRest.length > 0) this.#onCallerData(this.#options.callerRest)
    if (this.#options.targetRest.length > 0) this.#onTargetData(this.#options.targetRest)
    caller.resume()
    target.resume()
  }

  isReadyFor(text: string, runs: boolean): boolean {
    return !this.#hold.holdsCommand() && this.#readiness.isFor(text, runs)
  }

  waitsForDefinitions(text: string): boolean {
    return this.#judge.waitsForDefinitions(text)
  }

  mustWait(): boolean {
    return this.#hold.holdsAll()
  }

  /** What the gateway has to say while nothing else goes to the caller. */
  tell({ message, ...more }: HoldNotice): void {
    if (this.isClosed || !this.#options.tellsMasks) return
    this.toCaller.add(notice(message, more))
    this.toCaller.flush()
  }

  /** The caller has sent a cancel request. True where it has ended a command that was held: then nothing runs at the target. */
  cancelAsked(): boolean {
    this.#hold.giveUp()
    const wasHeld = this.#judge.holding.withdraw('its caller cancelled it')
    this.#wake()
    return wasHeld
  }

  async progress(): Promise<void> {
    if (this.isClosed) return
    await new Promise<void>((resolve) => {
      this.#onProgress.push(resolve)
    })
  }

  async targetDrained(): Promise<void> {
    while (!this.isClosed && this.target.writableNeedDrain) await this.progress()
  }

  end(reason: string): void {
    if (this.isClosed) return
    this.isClosed = true
    this.#hold.close()
    this.#judge.holding.withdraw(reason)
    this.#endAnswers()
    this.journal.close(reason)
    const { commands, blocked, maskedValues } = this.journal.counts()
    if (!this.caller.destroyed) this.caller.end()
    // Where hundreds of sessions are taken away at once, every caller is told before the targets' processes begin to end.
    if (this.isTaken) setImmediate(() => this.#leaveTarget())
    else this.#leaveTarget()
    // A peer that never closes its half must not keep the socket.
    setTimeout(() => {
      this.target.destroy()
      this.caller.destroy()
    }, closeMsMax).unref()
    this.#wake()
    this.#options.onClosed({
      id: this.#options.id,
      closedAtMs: Date.now(),
      reason,
      commands,
      blocked,
      maskedValues,
    })
  }

  #leaveTarget(): void {
    if (!this.target.destroyed) this.target.end(encodeTerminate())
  }

  /** Answers that will not come any more are recorded as that. */
  #endAnswers(): void {
    let last = 0
    for (let owed = this.fifo.shift(); owed !== undefined; owed = this.fifo.shift()) {
      if (owed.answer === undefined || owed.answer.entry.seq === last) continue
      last = owed.answer.entry.seq
      const { rows, bytes } = owed.answer
      this.journal.note({
        kind: 'response.end',
        seq: last,
        status: 'aborted',
        tag: '',
        rows,
        bytes,
      })
    }
  }

  /** True where the caller has all it asked for, and no transaction is open. */
  get isIdle(): boolean {
    const isAnswered = this.fifo.isEmpty && !this.#isReading
    return this.transactionStatus === 'I' && isAnswered && this.#callerReader.isBetweenBatches
  }

  /** Tells the caller why, and ends. Resolves when the target knows that nobody waits for what it still does. */
  async shutDown(): Promise<void> {
    if (this.isClosed) return
    const isRunning = !this.fifo.isEmpty
    this.#sayLast('SP_SHUTTING_DOWN')
    this.end('gateway shut down')
    if (isRunning) await this.#options.cancelTarget()
  }

  agentsChanged(): void {
    this.#withdrawRefused()
    this.#wake()
  }

  /** Nobody needs to be asked for what would be refused in any case. True where a command waited. */
  #withdrawRefused(): boolean {
    const refusal = this.#options.agent.refusal(this.#options.now())
    return refusal !== undefined && this.#judge.holding.withdraw(refusal.message)
  }

  /** The agent was taken away: nothing leaves any more, what runs is cancelled at the target, and the caller reads why. */
  async takeAway(): Promise<ClosedByAgent['outcome']> {
    if (this.isClosed) return 'idle'
    this.isTaken = true
    this.wasCancelled = false
    const wasHeld = this.#withdrawRefused()
    const isRunning = !this.fifo.isEmpty
    if (this.target.writableLength > 0 || this.fifo.hasLaterBatch) this.#dropTarget()
    if (isRunning) await this.#cancelled()
    const outcome = wasHeld ? 'withdrawn' : this.#outcome(isRunning)
    if (this.isClosed) return outcome
    const refusal = this.#options.agent.refusal(this.#options.now())
    const code = refusal?.code ?? 'SP_AGENT_ENDED'
    this.toCaller.flush()
    this.#sayLast(code, refusal?.detail)
    this.end(code)
    return outcome
  }

  /** Resolves when the target has ended what it ran, or has said nothing for too long. */
  async #cancelled(): Promise<void> {
    // A target that waits for COPY data hears no cancel request.
    if (this.copyIn !== undefined && !this.target.destroyed) {
      this.target.write(encodeCopyFail('taken away'))
    } else {
      const asked = this.#options.cancelTarget().catch(() => undefined)
      if (this.target.destroyed) {
        // It was dropped, so nothing more is heard of it but that it has read the request.
        await Promise.race([asked, sleep(cancelledMsMax, undefined, { ref: false })])
        return
      }
    }
    const deadlineMs = Date.now() + cancelledMsMax
    const late = setTimeout(() => this.#wake(), cancelledMsMax)
    const isOver = (): boolean => this.isClosed || this.fifo.isEmpty || this.wasCancelled
    while (!isOver() && Date.now() < deadlineMs) await this.progress()
    clearTimeout(late)
  }

  /**
   * A cancel request ends one command. Those that were sent behind it, or wait in our socket, run next, unless the target
   * finds that nobody is there: it looks before each command, and a reset is seen at once.
   */
  #dropTarget(): void {
    const { targetWire } = this.#options
    // A reset below TLS ends that too.
    if (targetWire.remotePort !== undefined) targetWire.resetAndDestroy()
    else this.target.destroy()
  }

  #outcome(wasRunning: boolean): ClosedByAgent['outcome'] {
    if (!wasRunning) return 'idle'
    if (this.wasCancelled) return 'terminated'
    return this.fifo.isEmpty ? 'completed-before' : 'unknown'
  }

  readonly #onCallerData = (chunk: Buffer): void => {
    try {
      const whole = this.#callerSplitter.push(chunk)
      if (whole.length > 0) this.#waiting.push(whole)
    } catch (error) {
      this.#fail(error)
      return
    }
    if (!this.#isReading) {
      void this.#readCaller()
      return
    }
    // Read on a little while a command waits: who is not read from is not seen to leave.
    this.#aheadBytes += chunk.length
    if (this.#aheadBytes > aheadBytesMax) this.caller.pause()
  }

  async #readCaller(): Promise<void> {
    this.#isReading = true
    try {
      for (let whole = this.#waiting.shift(); whole !== undefined; whole = this.#waiting.shift()) {
        await this.#callerReader.read(whole)
        if (this.isClosed) return
      }
      if (this.#callerSplitter.failure !== undefined) throw this.#callerSplitter.failure
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#isReading = false
      this.#aheadBytes = 0
      if (!this.isClosed) this.caller.resume()
    }
  }

  readonly #onTargetData = (chunk: Buffer): void => {
    if (this.isClosed) return
    try {
      const whole = this.#targetSplitter.push(chunk)
      const isFlowing = whole.length === 0 || this.#targetReader.read(whole)
      if (!isFlowing) this.target.pause()
      else if (this.journal.bufferedBytes > journalBytesMax || chunk.length >= turnBytesMax)
        this.#yield()
    } catch (error) {
      this.#fail(error)
    }
    this.#wake()
  }

  /** Lets other sessions have their turn before this target is read again. */
  #yield(): void {
    this.target.pause()
    setImmediate(this.#resumeTarget)
  }

  /** While the journal can't write, nothing more is read that would have to be recorded. */
  readonly #resumeTarget = (): void => {
    if (this.isClosed || this.caller.writableNeedDrain || this.#targetReader.isStalled) return
    if (this.journal.bufferedBytes > journalBytesMax) setTimeout(this.#resumeTarget, journalWaitMs)
    else this.target.resume()
  }

  #targetLost(): void {
    // Who was taken away reads that, and not what it does to the target.
    if (this.isClosed || this.isTaken) return
    this.toCaller.flush()
    if (!this.caller.destroyed && !this.targetSaidFatal) {
      this.#sayLast('SP_TARGET_CLOSED')
    }
    this.end('target closed')
  }

  /** A failure ends this session alone; the caller reads what it may know of it. */
  #fail(error: unknown): void {
    if (this.isClosed) return
    const known = asKnown(error)
    const { level } = ERRORS[known.code]
    this.#options.log[level]({
      event: 'session.failed',
      sessionId: this.#options.id,
      code: known.code,
      reason: known.message,
    })
    this.toCaller.flush()
    if (!this.caller.destroyed) this.#sayLast(known.code, known.detail)
    this.target.destroy()
    this.end(known.code)
  }

  /** The caller reads why nothing more comes. */
  #sayLast(code: ErrorCode, detail?: string): void {
    this.caller.write(fatalError(code, detail))
    this.meter.refused(code)
  }

  #wake(): void {
    this.progressCount += 1
    if (this.#onProgress.length === 0) return
    const waiting = this.#onProgress
    this.#onProgress = []
    for (const resolve of waiting) resolve()
  }
}

/** A row may be larger than what a caller may send: PostgreSQL's own limit on a value is 1 GiB. */
const targetMessageBytesMax = 1024 * 1024 * 1024

const closeMsMax = 2_000

/** A target gets this long to say that it has cancelled what ran; then the session ends without knowing. */
const cancelledMsMax = 250
