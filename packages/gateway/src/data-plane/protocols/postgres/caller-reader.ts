import { ERRORS, SallyportError, type Refusal } from '@sallyport/core'
import {
  FrontendType,
  decodeBind,
  decodeClose,
  decodeDescribe,
  decodeExecute,
  decodeFunctionCall,
  decodeParse,
  decodeQuery,
  encodeExecute,
  encodeFlush,
  frameBody,
  frameEnd,
  frameType,
} from '@sallyport/wire'
import { meteredStages } from '../../pipeline/metered-stages.ts'
import { runCommand, type Stages } from '../../pipeline/run-command.ts'
import { Awaited } from './awaited.ts'
import { CallerNames } from './caller-names.ts'
import { Departures } from './departures.ts'
import type { Judge } from './judge.ts'
import type { Portal, Statement } from './names.ts'
import { poison, poisonPortal } from './poison.ts'
import {
  endOfCopyData,
  needsDescription,
  portalMessages,
  withDescription,
} from './portal-messages.ts'
import { unknownPortalError } from './refuse.ts'
import type { SessionState } from './session-state.ts'
import {
  emptySlot,
  fillSlot,
  firstBody,
  isExecution,
  newUnit,
  wholeOf,
  type Frames,
  type Unit,
} from './unit.ts'

/** Statements that do what an earlier one said under a name: what it stands for must be known before they are judged. */
const usesNames = /\b(?:execute|fetch)\b/i

/** Nobody reads it: the target skips the command in any case. */
const skippedRefusal: Refusal = {
  code: 'SP_APPROVAL_WITHDRAWN',
  message: 'a command before it in its batch failed',
  detail: 'Not executed.',
  hint: '(SP_APPROVAL_WITHDRAWN)',
}

/** A command that has to be asked for. `turn` resolves when all before it is answered: true where it may still run. */
interface HeldTurn {
  readonly unit: Unit
  readonly turn: PromiseWithResolvers<boolean>
  /** Locks are held meanwhile: by a transaction, or by what its batch did before it. */
  readonly inTransaction: boolean
}

/** Reads the caller's messages, carries commands through the pipeline, and sends to the target what may pass, in order. */
export class CallerReader {
  readonly #state: SessionState
  readonly #stages: Stages<Unit>
  readonly #departures: Departures
  readonly #names: CallerNames
  #batch = 1
  /** After a refusal, what follows up to Sync is dropped (protocol section 54.2.3). */
  #isDiscarding = false
  /** Extended messages have come, and the Sync that ends their batch has not. */
  #isMidBatch = false
  /** Whether a message that waits does so for answers of the target. */
  #waitsForTarget = true
  /** The command that waits for an approval, and what lets it ask for one. */
  #held: HeldTurn | undefined
  /** The newest batch in which something was executed. */
  #executedIn = 0
  constructor(
    state: SessionState,
    judge: Pick<Judge, 'classify' | 'decide' | 'recordVerdict' | 'recheck' | 'holding'>,
  ) {
    this.#state = state
    this.#departures = new Departures(state)
    this.#names = new CallerNames(state.names, state.messageBytesMax)
    const stages: Stages<Unit> = {
      classify: (unit) => judge.classify(unit),
      decide: (unit, command) => judge.decide(unit, command),
      recordVerdict: (unit, command, verdict) => {
        unit.isRefused = verdict.effect === 'block'
        if (verdict.effect === 'approve') {
          const inTransaction = command.inTransaction || this.#executedIn === unit.slot.batch
          this.#held = { unit, turn: Promise.withResolvers(), inTransaction }
        }
        return judge.recordVerdict(unit, command, verdict)
      },
      hold: async (unit, command, entry, verdict) => {
        const held = this.#held
        if ((await held?.turn.promise) !== true) return skippedRefusal
        const asked = { ...command, inTransaction: held?.inTransaction === true }
        return await judge.holding.hold({ unit, command: asked, entry, verdict }, async () => {
          const waits = (): boolean => !this.#state.isClosed && !judge.holding.isGivenUp
          while (waits() && !this.#isReadyFor(unit.text)) await this.#state.progress()
          return !this.#state.isClosed
        })
      },
      forward: (unit, permit, answer) => {
        permit.spend()
        const { slot, awaits } = unit
        for (const awaited of awaits) {
          awaited.answer = answer
          awaited.classified = unit.classified
          awaited.followed = unit.followed
          awaited.place = unit.renamed?.place
        }
        if (!needsDescription(unit, answer.masks.length > 0)) {
          fillSlot(slot, unit.renamed?.frames ?? unit.frames, awaits)
          return
        }
        const portal = awaits[0]?.portal
        const hidden = new Awaited('describe', slot.batch, { isHidden: true, portal })
        hidden.answer = answer
        fillSlot(slot, withDescription(unit), awaits.toSpliced(1, 0, hidden))
      },
      recheck: (unit, command) => judge.recheck(unit, command),
      refuse: (unit, refusal, { seq }) => {
        const { code, message } = refusal
        // A session that ended while its command was held has recorded that.
        if (!state.journal.closed) state.journal.note({ kind: 'refused', seq, code, message })
        poison(unit, refusal)
      },
    }
    this.#stages = meteredStages(stages, state.meter)
  }

  /** Handles whole messages. Resolves when they have been sent or refused, and more may be read. */
  async read(whole: Buffer): Promise<void> {
    let at = 0
    let askedFor = -1
    while (at < whole.length) {
      const before = this.#state.progressCount
      this.#waitsForTarget = true
      const next = this.#message(whole, at)
      if (next === 'wait') {
        // Without Sync a target keeps its answers to itself until a Flush asks for them.
        if (this.#waitsForTarget && askedFor !== at) {
          if (!this.#isAllAnswered()) this.#pass(wholeOf(encodeFlush()), [])
          askedFor = at
        }
        const hadSlots = !this.#departures.isEmpty
        await this.#flush()
        // What is waited for may have come during the flush, or been dropped by it.
        const hasMoved = before !== this.#state.progressCount
        if (!hasMoved && !(hadSlots && this.#isAllAnswered())) await this.#state.progress()
        if (this.#state.isClosed) return
      } else if (next === 'end') {
        await this.#flush()
        this.#state.end('caller said goodbye')
        return
      } else {
        at = next
        if (this.#held !== undefined) await this.#waitForAnswer(this.#held)
        if (this.#state.isClosed) return
      }
    }
    await this.#flush()
  }

  /**
   * What came before a command that is held leaves, and is answered, since the caller may wait for it; what comes behind waits.
   * Where one before it failed, the target would skip it: then nobody is asked.
   */
  async #waitForAnswer({ unit, turn }: HeldTurn): Promise<void> {
    const running = this.#departures.takeNewest()
    if (!this.#isAllAnswered()) this.#pass(wholeOf(encodeFlush()), [])
    await this.#flush()
    while (!this.#state.isClosed && !this.#state.fifo.isEmpty && !this.#isOver(unit))
      await this.#state.progress()
    this.#departures.add(unit.slot)
    turn.resolve(!this.#isOver(unit))
    await running
    this.#held = undefined
    if (unit.slot.isPoison && unit.kind === 'execute') this.#isDiscarding = true
  }

  /** Another command of its batch has failed. */
  #isOver({ slot }: Unit): boolean {
    return this.#isSkipped() || this.#departures.isPoisoned(slot.batch)
  }

  /** True where nothing of the caller's is half done: between a completion and its ReadyForQuery it is not. */
  get isBetweenBatches(): boolean {
    return !this.#isMidBatch && this.#departures.isEmpty
  }

  /** A target skips a simple query too where the batch before it fails, and a refusal brings a Sync of its own: so that must be known. */
  #mayBeSkipped(): boolean {
    return this.#isMidBatch && !this.#isAllAnswered()
  }

  /** True while the target drops what is sent: up to a Sync, which may be among what has yet to leave. */
  #isSkipped(): boolean {
    return this.#state.isSkipping && !this.#departures.hasSync
  }

  #isReadyFor(text: string, runs = true): boolean {
    if (!this.#isAllAnswered()) {
      const mayWaitForName = !this.#state.names.isSettled && usesNames.test(text)
      if (mayWaitForName || this.#state.waitsForDefinitions(text)) return false
    }
    this.#waitsForTarget = false
    return this.#state.isReadyFor(text, runs)
  }

  #isAllAnswered(): boolean {
    return this.#state.fifo.isEmpty && this.#departures.isEmpty
  }

  /** Takes one message, and those that belong to it. Returns where the next begins. */
  #message(whole: Buffer, at: number): number | 'wait' | 'end' {
    const type = frameType(whole, at)
    const end = frameEnd(whole, at)
    if (type === FrontendType.terminate) return 'end'
    if (this.#isDiscarding && type !== FrontendType.sync) return end
    const copying = this.#copyMessage(type, whole, at, end)
    if (copying !== undefined) return copying
    const frames = { bytes: whole, start: at, end }
    switch (type) {
      case FrontendType.query:
        return this.#query(frames) ?? end
      case FrontendType.parse:
        return this.#parse(frames) ?? end
      case FrontendType.bind:
        return this.#bind(whole, at)
      case FrontendType.execute:
        return this.#execute(frames) ?? end
      case FrontendType.describe:
        return this.#describe(frames) ?? end
      case FrontendType.close:
        return this.#close(frames) ?? end
      case FrontendType.functionCall:
        return this.#functionCall(frames) ?? end
      case FrontendType.flush:
        this.#pass(frames, [])
        return end
      case FrontendType.sync:
        this.#sync(frames)
        return end
      default:
        throw new SallyportError('SP_PROTOCOL', `message type ${type} from the caller`)
    }
  }

  /** Messages of a COPY that runs, and those that can only belong to one. */
  #copyMessage(type: number, whole: Buffer, at: number, end: number): number | 'wait' | undefined {
    const isCopyData = type === FrontendType.copyData
    const isCopyEnd = type === FrontendType.copyDone || type === FrontendType.copyFail
    const copy = this.#state.copyIn
    if (copy === undefined) {
      if (!isCopyData && !isCopyEnd) return undefined
      // Sent before the target's answer: wait for it. With nothing under way a server drops these, so nothing is lost.
      return this.#isAllAnswered() ? end : 'wait'
    }
    if (isCopyData) {
      const stop = endOfCopyData(whole, end)
      this.#state.journal.note({
        kind: 'copy.data',
        seq: copy.seq,
        bytes: whole.subarray(at, stop),
      })
      this.#pass({ bytes: whole, start: at, end: stop }, [])
      return stop
    }
    if (isCopyEnd) {
      this.#pass({ bytes: whole, start: at, end }, [])
      this.#state.copyIn = undefined
      return end
    }
    // The target ignores Flush and Sync while it copies in (protocol section 54.2.6), so no reply is owed for them.
    if (type === FrontendType.flush || type === FrontendType.sync) return end
    throw new SallyportError('SP_PROTOCOL', `message type ${type} inside COPY`)
  }

  #query(frames: Frames): 'wait' | undefined {
    const { text } = decodeQuery(firstBody(frames))
    if (this.#mayBeSkipped() || !this.#isReadyFor(text)) return 'wait'
    const unit = newUnit('query', this.#batch, frames, text, { endsUnnamed: true })
    unit.awaits.push(new Awaited('query', this.#batch))
    this.#start(unit)
    this.#names.sql(this.#batch, unit)
    // One that the target skips ends nothing.
    if (!this.#isSkipped()) this.#batch += 1
    return undefined
  }

  #parse(frames: Frames): 'wait' | undefined {
    const { statement: name, text, parameterTypes } = decodeParse(firstBody(frames))
    const statement: Statement = { text, parameterTypes }
    if (!this.#isReadyFor(text, false)) return 'wait'
    const unit = newUnit('parse', this.#batch, frames, text, {
      statement,
      endsUnnamed: name === '',
    })
    const changes = [this.#names.statement(this.#batch, name, statement)]
    unit.awaits.push(new Awaited('parse', this.#batch, { statement, changes }))
    this.#start(unit)
    return undefined
  }

  #bind(whole: Buffer, at: number): number | 'wait' {
    const bind = decodeBind(frameBody(whole, at))
    const statement = this.#state.names.statements.lookUp(this.#batch, bind.statement)
    if (statement === 'wait') return 'wait'
    if (statement === undefined && !this.#state.fifo.isEmpty) return 'wait'
    const { end, describes, executes } = portalMessages(whole, at, bind.portal)
    if (statement === undefined) {
      // The target knows no such statement either, and says so in its own words. Should it know one that was prepared
      // unseen, then the portal is one that nobody saw, and its Execute is not passed on.
      const change = this.#names.removal(this.#batch, 'portals', bind.portal)
      const bindEnd = frameEnd(whole, at)
      this.#pass({ bytes: whole, start: at, end: bindEnd }, [
        new Awaited('bind', this.#batch, { changes: [change] }),
      ])
      return bindEnd
    }
    if (!this.#isReadyFor(statement.text)) return 'wait'
    const portal: Portal = {
      statement,
      resultFormats: bind.resultFormats,
      isHeld: false,
      ...(executes ? {} : { values: this.#names.keptValues(bind) }),
    }
    const frames = { bytes: whole, start: at, end }
    const unit = newUnit('execute', this.#batch, frames, statement.text, {
      statement,
      parameters: bind.parameters,
      formats: bind.parameterFormats,
    })
    const change = this.#names.portal(this.#batch, bind.portal, portal)
    unit.awaits.push(new Awaited('bind', this.#batch, { portal, changes: [change] }))
    if (describes) unit.awaits.push(new Awaited('describe', this.#batch, { portal }))
    if (executes) unit.awaits.push(new Awaited('execute', this.#batch, { portal }))
    this.#start(unit)
    if (executes) this.#names.sql(this.#batch, unit, bind.portal)
    return end
  }

  #execute(frames: Frames): 'wait' | undefined {
    const { portal: name } = decodeExecute(firstBody(frames))
    const portal = this.#state.names.portals.lookUp(this.#batch, name)
    if (portal === 'wait') return 'wait'
    if (portal === undefined) {
      if (!this.#state.fifo.isEmpty) return 'wait'
      // No portal of that name was made in a way that was seen. A stand-in makes the target say so.
      this.#pass(wholeOf(encodeExecute({ portal: poisonPortal, rowsMax: 0 })), [
        new Awaited('poison', this.#batch, { refusal: unknownPortalError(name) }),
      ])
      return undefined
    }
    if (!this.#isReadyFor(portal.statement.text)) return 'wait'
    const unit = newUnit('execute', this.#batch, frames, portal.statement.text, {
      statement: portal.statement,
      ...portal.values,
    })
    unit.awaits.push(new Awaited('execute', this.#batch, { portal }))
    this.#start(unit)
    this.#names.sql(this.#batch, unit, name)
    return undefined
  }

  #describe(frames: Frames): 'wait' | undefined {
    const { target, name } = decodeDescribe(firstBody(frames))
    const { statements, portals } = this.#state.names
    const isStatement = target === 'statement'
    const found = (isStatement ? statements : portals).lookUp(this.#batch, name)
    if (found === 'wait') return 'wait'
    const described =
      found === undefined || 'text' in found ? { statement: found } : { portal: found }
    this.#pass(frames, [new Awaited('describe', this.#batch, described)])
    return undefined
  }

  #close(frames: Frames): undefined {
    const { target, name } = decodeClose(firstBody(frames))
    const of = target === 'statement' ? 'statements' : 'portals'
    const change = this.#names.removal(this.#batch, of, name)
    this.#pass(frames, [new Awaited('close', this.#batch, { changes: [change] })])
  }

  #functionCall(frames: Frames): 'wait' | undefined {
    const call = decodeFunctionCall(firstBody(frames))
    const text = `call of function ${call.oid}`
    if (this.#mayBeSkipped() || !this.#isReadyFor(text)) return 'wait'
    const unit = newUnit('function', this.#batch, frames, text, {
      oid: call.oid,
      parameters: call.arguments,
      formats: call.argumentFormats,
    })
    unit.awaits.push(new Awaited('function', this.#batch))
    this.#start(unit)
    if (!this.#isSkipped()) this.#batch += 1
    return undefined
  }

  #sync(frames: Frames): void {
    const slot = emptySlot(this.#batch, true)
    fillSlot(slot, frames, [new Awaited('sync', this.#batch)])
    this.#departures.add(slot)
    this.#isDiscarding = false
    this.#isMidBatch = false
    this.#batch += 1
  }

  /** Sends messages that ask for nothing that is judged by itself. */
  #pass(frames: Frames, awaits: readonly Awaited[]): void {
    if (awaits.length > 0) this.#isMidBatch = true
    const slot = emptySlot(this.#batch)
    fillSlot(slot, frames, awaits)
    this.#departures.add(slot)
  }

  /** Lets the pipeline carry the unit. Classifying and deciding happen before this returns; storing may take longer. */
  #start(unit: Unit): void {
    this.#departures.add(unit.slot)
    this.#isMidBatch = unit.kind === 'parse' || unit.kind === 'execute' || this.#isSkipped()
    const running = runCommand(unit, this.#stages).catch((error: unknown) => {
      if (!(error instanceof SallyportError)) {
        this.#departures.failed(error)
        return
      }
      this.#state.meter.refused(error.code)
      poison(unit, {
        code: error.code,
        message: ERRORS[error.code].say,
        detail: error.detail ?? 'Nothing was sent to the target.',
        hint: `(${error.code})`,
      })
    })
    this.#departures.waitFor(running)
    if (unit.kind === 'execute' && isExecution(unit)) this.#executedIn = unit.slot.batch
    if (unit.isRefused && unit.kind !== 'query' && unit.kind !== 'function')
      this.#isDiscarding = true
  }

  async #flush(): Promise<void> {
    await this.#departures.flush()
    if (this.#departures.isPoisoned(this.#batch)) this.#isDiscarding = true
  }
}
