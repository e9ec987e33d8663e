import { ERRORS, SallyportError } from '@sallyport/core'
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
import { runCommand, type Stages } from '../../pipeline/run-command.ts'
import type { Awaited, NameChange } from './awaited.ts'
import type { Portal, Statement } from './names.ts'
import { poison, poisonPortal } from './poison.ts'
import {
  addDescription,
  endOfCopyData,
  needsDescription,
  portalMessages,
} from './portal-messages.ts'
import { unknownPortalError } from './refuse.ts'
import type { SessionState } from './session-state.ts'
import { sqlNameChanges } from './sql-names.ts'
import type { Slot, Unit } from './unit.ts'

/** Statements that do what an earlier one said under a name: what it stands for must be known before they are judged. */
const usesNames = /\b(?:execute|fetch)\b/i

/** Reads the caller's messages, carries commands through the pipeline, and sends to the target what may pass, in order. */
export class CallerReader {
  readonly #state: SessionState
  readonly #stages: Stages<Unit>
  #slots: Slot[] = []
  #running: Promise<void>[] = []
  #batch = 1
  /** After a refusal, what follows up to Sync is dropped (protocol section 54.2.3). */
  #isDiscarding = false
  /** Extended messages have come, and the Sync that ends their batch has not. */
  #isMidBatch = false
  /** A fault of our own in the pipeline: thrown by the next flush, so that nothing of this turn leaves. */
  #failure: Error | undefined

  constructor(
    state: SessionState,
    judge: Pick<Stages<Unit>, 'classify' | 'decide' | 'recordVerdict' | 'hold'>,
  ) {
    this.#state = state
    this.#stages = {
      classify: (unit) => judge.classify(unit),
      decide: (command) => judge.decide(command),
      recordVerdict: (unit, command, verdict) => {
        unit.isRefused = verdict.effect !== 'allow'
        return judge.recordVerdict(unit, command, verdict)
      },
      hold: (command, entry, verdict) => judge.hold(command, entry, verdict),
      forward: (unit, permit, answer) => {
        permit.spend()
        unit.slot.bytes = [...unit.slot.bytes, unit.frames]
        if (needsDescription(unit, answer.masks.length > 0)) addDescription(unit)
        unit.slot.awaits = unit.awaits.map((awaited) => ({ ...awaited, answer }))
      },
      refuse: (unit, refusal, entry) => {
        state.journal.note({
          kind: 'refused',
          seq: entry.seq,
          code: refusal.code,
          message: refusal.message,
        })
        poison(unit, refusal)
      },
    }
  }

  /** Handles whole messages. Resolves when they have been sent or refused, and more may be read. */
  async read(whole: Buffer): Promise<void> {
    let at = 0
    let askedFor = -1
    while (at < whole.length) {
      const before = this.#state.progressCount
      const next = this.#message(whole, at)
      if (next === 'wait') {
        // Without Sync a target keeps its answers to itself until a Flush asks for them.
        if (askedFor !== at && !this.#isAllAnswered()) this.#pass(encodeFlush(), [])
        askedFor = at
        const hadSlots = this.#slots.length > 0
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
      }
    }
    await this.#flush()
  }

  /** True where nothing of the caller's is half done: between a completion and its ReadyForQuery it is not. */
  get isBetweenBatches(): boolean {
    return !this.#isMidBatch && this.#slots.length === 0
  }

  /** A target skips a simple query too where the batch before it fails, and a refusal brings a Sync of its own: so that must be known. */
  #mayBeSkipped(): boolean {
    return this.#isMidBatch && !this.#isAllAnswered()
  }

  #isReadyFor(text: string): boolean {
    const mayWaitForName = !this.#state.names.isSettled && usesNames.test(text)
    return !(mayWaitForName && !this.#isAllAnswered()) && this.#state.isReadyFor(text)
  }

  #isAllAnswered(): boolean {
    return this.#state.fifo.isEmpty && this.#slots.length === 0
  }

  /** Takes one message, and those that belong to it. Returns where the next begins. */
  #message(whole: Buffer, at: number): number | 'wait' | 'end' {
    const type = frameType(whole, at)
    const end = frameEnd(whole, at)
    if (type === FrontendType.terminate) return 'end'
    if (this.#isDiscarding && type !== FrontendType.sync) return end
    const copying = this.#copyMessage(type, whole, at, end)
    if (copying !== undefined) return copying
    const body = frameBody(whole, at)
    const frames = whole.subarray(at, end)
    switch (type) {
      case FrontendType.query:
        return this.#query(frames, decodeQuery(body).text) ?? end
      case FrontendType.parse:
        return this.#parse(frames, body) ?? end
      case FrontendType.bind:
        return this.#bind(whole, at)
      case FrontendType.execute:
        return this.#execute(frames, body) ?? end
      case FrontendType.describe:
        return this.#describe(frames, body) ?? end
      case FrontendType.close:
        return this.#close(frames, body) ?? end
      case FrontendType.functionCall:
        return this.#functionCall(frames, body) ?? end
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
      this.#pass(whole.subarray(at, stop), [])
      return stop
    }
    if (isCopyEnd) {
      this.#pass(whole.subarray(at, end), [])
      this.#state.copyIn = undefined
      return end
    }
    // The target ignores Flush and Sync while it copies in (protocol section 54.2.6), so no reply is owed for them.
    if (type === FrontendType.flush || type === FrontendType.sync) return end
    throw new SallyportError('SP_PROTOCOL', `message type ${type} inside COPY`)
  }

  #query(frames: Buffer, text: string): 'wait' | undefined {
    if (this.#mayBeSkipped() || !this.#isReadyFor(text)) return 'wait'
    const unit = this.#unit('query', frames, text, { endsUnnamed: true })
    unit.awaits.push({ kind: 'query', batch: unit.batch })
    this.#start(unit)
    if (unit.classified !== undefined && !unit.isRefused) {
      const { classified } = unit
      const changes = sqlNameChanges(classified, unit.batch, this.#state.names)
      unit.awaits[0] = { kind: 'query', batch: unit.batch, classified, changes, completed: 0 }
    }
    // One that the target skips ends nothing.
    if (!this.#state.isSkipping) this.#batch += 1
    return undefined
  }

  #parse(frames: Buffer, body: Buffer): 'wait' | undefined {
    const { statement: name, text } = decodeParse(body)
    const statement: Statement = { text }
    if (!this.#isReadyFor(text)) return 'wait'
    const unit = this.#unit('parse', frames, text, { statement, endsUnnamed: name === '' })
    this.#boundNames(name)
    unit.awaits.push({
      kind: 'parse',
      batch: unit.batch,
      statement,
      changes: [this.#announceStatement(name, statement)],
    })
    this.#start(unit)
    return undefined
  }

  #bind(whole: Buffer, at: number): number | 'wait' {
    const bind = decodeBind(frameBody(whole, at))
    const statement = this.#state.names.statements.lookUp(this.#batch, bind.statement)
    if (statement === 'wait') return 'wait'
    if (statement === undefined && !this.#state.fifo.isEmpty) return 'wait'
    const { end, describes, executes } = portalMessages(whole, at, bind.portal)
    const frames = whole.subarray(at, end)
    if (statement === undefined) {
      // The target knows no such statement either, and says so in its own words. Should it know one that was prepared
      // unseen, then the portal is one that nobody saw, and its Execute is not passed on.
      const change = {
        statementIndex: 0,
        apply: this.#state.names.portals.remove(this.#batch, bind.portal),
      }
      this.#pass(whole.subarray(at, frameEnd(whole, at)), [
        { kind: 'bind', batch: this.#batch, changes: [change] },
      ])
      return frameEnd(whole, at)
    }
    if (!this.#isReadyFor(statement.text)) return 'wait'
    const portal: Portal = { statement, resultFormats: bind.resultFormats, isHeld: false }
    const unit = this.#unit('execute', frames, statement.text, {
      statement,
      parameters: bind.parameters,
      formats: bind.parameterFormats,
    })
    this.#boundNames(bind.portal)
    const { portals } = this.#state.names
    const pending = portals.announce(this.#batch, bind.portal, portal)
    const change = { statementIndex: 0, apply: () => portals.confirm(pending) }
    unit.awaits.push({ kind: 'bind', batch: unit.batch, portal, changes: [change] })
    if (describes) unit.awaits.push({ kind: 'describe', batch: unit.batch, statement, portal })
    if (executes) unit.awaits.push({ kind: 'execute', batch: unit.batch, portal })
    this.#start(unit)
    if (executes) this.#announceSqlNames(unit)
    return end
  }

  #execute(frames: Buffer, body: Buffer): 'wait' | undefined {
    const { portal: name } = decodeExecute(body)
    const portal = this.#state.names.portals.lookUp(this.#batch, name)
    if (portal === 'wait') return 'wait'
    if (portal === undefined) {
      if (!this.#state.fifo.isEmpty) return 'wait'
      // No portal of that name was made in a way that was seen. A stand-in makes the target say so.
      this.#pass(encodeExecute({ portal: poisonPortal, rowsMax: 0 }), [
        { kind: 'poison', batch: this.#batch, refusal: unknownPortalError(name) },
      ])
      return undefined
    }
    if (!this.#isReadyFor(portal.statement.text)) return 'wait'
    const unit = this.#unit('execute', frames, portal.statement.text, {
      statement: portal.statement,
    })
    unit.awaits.push({ kind: 'execute', batch: unit.batch, portal })
    this.#start(unit)
    this.#announceSqlNames(unit)
    return undefined
  }

  #describe(frames: Buffer, body: Buffer): 'wait' | undefined {
    const { target, name } = decodeDescribe(body)
    const awaited = { kind: 'describe', batch: this.#batch } as const
    if (target === 'statement') {
      const statement = this.#state.names.statements.lookUp(this.#batch, name)
      if (statement === 'wait') return 'wait'
      this.#pass(frames, [statement === undefined ? awaited : { ...awaited, statement }])
    } else {
      const portal = this.#state.names.portals.lookUp(this.#batch, name)
      if (portal === 'wait') return 'wait'
      this.#pass(frames, [portal === undefined ? awaited : { ...awaited, portal }])
    }
    return undefined
  }

  #close(frames: Buffer, body: Buffer): undefined {
    const { target, name } = decodeClose(body)
    const names = this.#state.names
    const table = target === 'statement' ? names.statements : names.portals
    const change = { statementIndex: 0, apply: table.remove(this.#batch, name) }
    this.#pass(frames, [{ kind: 'close', batch: this.#batch, changes: [change] }])
  }

  #functionCall(frames: Buffer, body: Buffer): 'wait' | undefined {
    if (this.#mayBeSkipped()) return 'wait'
    const call = decodeFunctionCall(body)
    const unit = this.#unit('function', frames, `call of function ${call.oid}`, {
      oid: call.oid,
      parameters: call.arguments,
      formats: call.argumentFormats,
    })
    unit.awaits.push({ kind: 'function', batch: unit.batch })
    this.#start(unit)
    if (!this.#state.isSkipping) this.#batch += 1
    return undefined
  }

  #sync(frames: Buffer): void {
    this.#slots.push({
      batch: this.#batch,
      isSync: true,
      bytes: [frames],
      awaits: [{ kind: 'sync', batch: this.#batch }],
      isPoison: false,
    })
    this.#isDiscarding = false
    this.#isMidBatch = false
    this.#batch += 1
  }

  /** Sends messages that ask for nothing that is judged by itself. */
  #pass(frames: Buffer, awaits: Awaited[]): void {
    if (awaits.length > 0) this.#isMidBatch = true
    this.#slots.push({
      batch: this.#batch,
      isSync: false,
      bytes: [frames],
      awaits,
      isPoison: false,
    })
  }

  #unit(
    kind: Unit['kind'],
    frames: Buffer,
    text: string,
    more: {
      statement?: Statement
      parameters?: readonly (Buffer | null)[]
      formats?: readonly number[]
      oid?: number
      endsUnnamed?: boolean
    },
  ): Unit {
    const slot: Slot = { batch: this.#batch, isSync: false, bytes: [], awaits: [], isPoison: false }
    return {
      kind,
      batch: this.#batch,
      slot,
      frames,
      text,
      parameters: more.parameters ?? [],
      formats: more.formats ?? [],
      ...(more.statement === undefined ? {} : { statement: more.statement }),
      ...(more.oid === undefined ? {} : { oid: more.oid }),
      endsUnnamed: more.endsUnnamed === true,
      awaits: [],
      isRefused: false,
    }
  }

  /** Lets the pipeline carry the unit. Classifying and deciding happen before this returns; storing may take longer. */
  #start(unit: Unit): void {
    this.#slots.push(unit.slot)
    this.#isMidBatch = unit.kind === 'parse' || unit.kind === 'execute' || this.#state.isSkipping
    const running = runCommand(unit, this.#stages).catch((error: unknown) => {
      if (!(error instanceof SallyportError)) {
        this.#failure ??= error instanceof Error ? error : new Error(String(error))
        return
      }
      poison(unit, {
        code: error.code,
        message: ERRORS[error.code].say,
        detail: error.detail ?? 'Nothing was sent to the target.',
        hint: `(${error.code})`,
      })
    })
    this.#running.push(running)
    if (unit.isRefused && unit.kind !== 'query' && unit.kind !== 'function')
      this.#isDiscarding = true
  }

  /** Waits until every verdict so far is stored, then sends what may pass in one write, in the caller's order. */
  async #flush(): Promise<void> {
    if (this.#running.length > 0) {
      const running = this.#running
      this.#running = []
      if (running.length === 1) await running[0]
      else await Promise.all(running)
    }
    if (this.#failure !== undefined) throw this.#failure
    const slots = this.#slots
    this.#slots = []
    let poisonedBatch = 0
    for (const slot of slots) {
      if (slot.isSync) this.#state.isSkipping = false
      else if (slot.batch === poisonedBatch || this.#state.isSkipping) {
        this.#dropped(slot)
        continue
      }
      if (slot.isPoison) poisonedBatch = slot.batch
      for (const awaited of slot.awaits) this.#state.fifo.push(awaited)
      for (const bytes of slot.bytes) this.#state.toTarget.add(bytes)
    }
    if (poisonedBatch === this.#batch) this.#isDiscarding = true
    if (!this.#state.toTarget.flush()) await this.#state.targetDrained()
  }

  /** A command that was allowed, and dropped because one before it in its batch failed, is recorded as not run. */
  #dropped(slot: Slot): void {
    const answer = slot.awaits.find((awaited) => awaited.answer !== undefined)?.answer
    if (answer === undefined) return
    const { seq } = answer.entry
    this.#state.journal.note({
      kind: 'response.end',
      seq,
      status: 'skipped',
      tag: '',
      rows: 0,
      bytes: 0,
    })
  }

  /** PREPARE, DECLARE and their like by way of the extended protocol: the names change when their Execute is complete. */
  #announceSqlNames(unit: Unit): void {
    const last = unit.awaits.at(-1)
    if (unit.isRefused || unit.classified === undefined || last?.kind !== 'execute') return
    const changes = sqlNameChanges(unit.classified, unit.batch, this.#state.names)
    if (changes.length > 0) unit.awaits[unit.awaits.length - 1] = { ...last, changes }
  }

  #announceStatement(name: string, statement: Statement): NameChange {
    const { statements } = this.#state.names
    const pending = statements.announce(this.#batch, name, statement)
    return { statementIndex: 0, apply: () => statements.confirm(pending) }
  }

  #boundNames(name: string): void {
    const { statements, portals } = this.#state.names
    if (name === '' || (!statements.isFull && !portals.isFull)) return
    throw new SallyportError('SP_LIMIT', 'too many names in one session', {
      detail: 'The limit is 10,000 prepared statements or portals in one session.',
    })
  }
}
