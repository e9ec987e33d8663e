import { SallyportError } from '@sallyport/core'
import {
  BackendType,
  decodeCommandComplete,
  decodeCopyResponse,
  decodeErrorResponse,
  decodeNoticeResponse,
  decodeNotificationResponse,
  encodeCopyFail,
  encodeErrorResponse,
  encodeNoticeResponse,
  encodeNotificationResponse,
  encodeSync,
  frameBody,
  frameEnd,
  frameType,
  type DiagnosticFields,
} from '@sallyport/wire'
import type { Answer } from '../../pipeline/answer.ts'
import type { Awaited } from './awaited.ts'
import { Delivery } from './delivery.ts'
import { DescribedColumns } from './described-columns.ts'
import { withheldText } from './diagnostics.ts'
import { checkSetting } from './pinned-settings.ts'
import type { AnswerMasker, Rewriter, Source } from './rewrite.ts'
import { notice } from './refuse.ts'
import { RowGate, type RowGateDeps } from './row-gate.ts'
import type { SessionState } from './session-state.ts'

export interface TargetReaderDeps extends Omit<RowGateDeps, 'read'> {
  readonly rewriter: Rewriter
  readonly recordsAnswers: boolean
  /** The caller reads notices: an interactive client, or an agent. */
  readonly tellsMasks: boolean
  /** No transaction is open after this batch. */
  settled(batch: number): void
  /** A statement that changes the catalog is complete. */
  catalogChanged(): void
}

/** SQLSTATE of a statement that a cancel request ended. */
const queryCancelled = '57014'

/** Reads the target's messages, matches them with what is owed, masks and records what the caller gets. */
export class TargetReader {
  readonly #state: SessionState
  readonly #deps: TargetReaderDeps
  readonly #delivery: Delivery
  readonly #gate: RowGate
  readonly #columns = new DescribedColumns()
  /** Masks of the rows under way; `undefined` passes rows as they are. */
  #masker: AnswerMasker | undefined
  #changedCatalog = false
  /** Rows may only pass while this holds, or a masker stands: it is set by the message that describes them. */
  #rowsMayPass = false
  constructor(state: SessionState, deps: TargetReaderDeps) {
    this.#state = state
    this.#deps = deps
    this.#delivery = new Delivery(state, deps.recordsAnswers)
    this.#gate = new RowGate(state, this.#delivery, {
      ...deps,
      read: (waited) => this.read(waited),
    })
  }

  /** Handles whole messages. Returns false when the caller's socket asks to wait. */
  read(whole: Buffer): boolean {
    let at = 0
    while (at < whole.length) {
      const end = frameEnd(whole, at)
      if (!this.#gate.admits(whole, at, end)) break
      this.#message(whole, at, end)
      at = end
    }
    this.#delivery.record()
    return this.#state.toCaller.flush() && !this.isStalled
  }

  /** True while messages wait for a budget or a cancel request: the target must not be read. */
  get isStalled(): boolean {
    return this.#gate.isStalled
  }

  #message(whole: Buffer, at: number, end: number): void {
    const front = this.#state.fifo.front
    switch (frameType(whole, at)) {
      case BackendType.dataRow:
        return this.#dataRow(whole, at, end, front)
      case BackendType.commandComplete:
        return this.#commandComplete(whole, at, end, front)
      case BackendType.readyForQuery:
        return this.#readyForQuery(whole, at, end, front)
      case BackendType.parseComplete:
      case BackendType.bindComplete:
      case BackendType.closeComplete:
      case BackendType.noData:
        return this.#plainReply(whole, at, end, front)
      case BackendType.rowDescription:
        return this.#rowDescription(whole, at, end, front)
      case BackendType.parameterDescription:
        return this.#pass(whole, at, end, front)
      case BackendType.emptyQueryResponse:
      case BackendType.portalSuspended:
      case BackendType.functionCallResponse:
        return this.#otherEnd(whole, at, end, front)
      case BackendType.copyInResponse:
        return this.#copyIn(whole, at, end, front)
      case BackendType.copyOutResponse:
        return this.#copyOut(whole, at, end, front)
      case BackendType.copyData:
        return this.#copyData(whole, at, end, front)
      case BackendType.copyDone:
        return this.#copyDone(whole, at, end, front)
      case BackendType.errorResponse:
        return this.#error(whole, at, end, front)
      case BackendType.parameterStatus:
        checkSetting(frameBody(whole, at))
        return this.#delivery.send(whole, at, end, undefined)
      case BackendType.noticeResponse:
        return this.#notice(whole, at, end, front)
      case BackendType.notificationResponse:
        return this.#notification(whole, at, end)
      default:
        throw new SallyportError(
          'SP_PROTOCOL',
          `message type ${frameType(whole, at)} from the target`,
        )
    }
  }

  #dataRow(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    const answer = front?.answer
    if (front === undefined || answer === undefined) throw unexpected('DataRow', front)
    if (!this.#gate.take(answer, front, end - at)) return this.#endRows()
    if (!this.#rowsMayPass) this.#letRowsPass(front, answer)
    const masker = this.#masker
    const masked = masker?.row(whole, at, end)
    if (masked === undefined) this.#delivery.send(whole, at, end, answer)
    else this.#delivery.add(masked, answer)
  }

  /** Rows without a description of their own belong to a portal or a cursor; without any they don't pass where masks apply. */
  #letRowsPass(front: Awaited, answer: Answer): void {
    if (answer.masks.length > 0) {
      const columns = front.portal?.columns
      if (columns === undefined) {
        throw new SallyportError('SP_MASK_IMPOSSIBLE', 'rows without a description')
      }
      const source = sourceOf(answer, front)
      this.#masker = this.#deps.rewriter.rows(source, columns, front.portal?.resultFormats)
    }
    this.#rowsMayPass = true
  }

  #rowDescription(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    if (front === undefined) throw unexpected('RowDescription', front)
    this.#endRows()
    const columns = this.#columns.read(whole, at, end, front.classified)
    if (front.kind === 'describe') {
      if (front.portal !== undefined) front.portal.columns = columns
      return this.#plainReply(whole, at, end, front)
    }
    const { answer } = front
    if (answer === undefined) throw unexpected('RowDescription', front)
    this.#delivery.send(whole, at, end, answer)
    if (answer.masks.length > 0) {
      this.#masker = this.#deps.rewriter.rows(sourceOf(answer, front), columns, undefined)
    }
    this.#rowsMayPass = true
  }

  /** Replies without content: they confirm names, and are swallowed where the gateway itself had asked. */
  #plainReply(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    if (front === undefined) throw unexpected('a reply', front)
    this.#state.fifo.shift()
    for (const change of front.changes) change.apply()
    if (!front.isHidden) this.#delivery.send(whole, at, end, front.answer)
  }

  #commandComplete(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    const answer = front?.answer
    if (front === undefined || answer === undefined) throw unexpected('CommandComplete', front)
    this.#tellMasks(answer)
    this.#delivery.send(whole, at, end, answer)
    const { tag } = decodeCommandComplete(frameBody(whole, at))
    this.#state.copyIn = undefined
    this.#endRows()
    this.#statementDone(front)
    if (isDdl(tag) || front.classified?.effects.classes.includes('ddl') === true)
      this.#catalogChanged()
    this.#delivery.end(answer, 'complete', tag)
    if (front.kind === 'execute') this.#state.fifo.shift()
  }

  /** Told at once, and again at the end of the transaction: a catalog that was read in between shows nothing of it. */
  #catalogChanged(): void {
    this.#changedCatalog = true
    this.#deps.catalogChanged()
  }

  #statementDone(front: Awaited): void {
    const { followed } = front
    if (followed?.isTouched === true && !followed.database.masks.isEmpty)
      this.#state.hasMetMasked = true
    for (const change of front.changes) {
      if (change.statementIndex === front.completed) change.apply()
    }
    front.completed += 1
  }

  #otherEnd(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    const answer = front?.answer
    if (front === undefined || answer === undefined) throw unexpected('an end', front)
    const isSuspended = frameType(whole, at) === BackendType.portalSuspended
    const isFunction = frameType(whole, at) === BackendType.functionCallResponse
    if (isFunction && this.#touchesMasked(front)) {
      throw new SallyportError('SP_MASK_IMPOSSIBLE', 'the result of a function call under masks')
    }
    this.#tellMasks(answer)
    this.#delivery.send(whole, at, end, answer)
    this.#endRows()
    this.#statementDone(front)
    this.#delivery.end(answer, isSuspended ? 'suspended' : 'complete', '')
    if (front.kind === 'execute') this.#state.fifo.shift()
  }

  #copyIn(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    const answer = front?.answer
    if (front === undefined || answer === undefined) throw unexpected('CopyInResponse', front)
    if (this.#delivery.isCut) return this.#failCopyIn(front)
    if (front.kind === 'execute') this.#state.fifo.dropSyncsAfterFront()
    this.#state.copyIn = { seq: answer.entry.seq }
    this.#delivery.send(whole, at, end, answer)
  }

  /** Behind a cut result the caller does not read that it should send data. */
  #failCopyIn(front: Awaited): void {
    // The target has ignored the Syncs that it has, and waits for one.
    const syncs = front.kind === 'execute' ? this.#state.fifo.syncsAfterFront : 0
    this.#state.target.write(encodeCopyFail('the result before was cut'))
    for (let n = 0; n < syncs; n += 1) this.#state.target.write(encodeSync())
  }

  #copyOut(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    const answer = front?.answer
    if (front === undefined || answer === undefined) throw unexpected('CopyOutResponse', front)
    const response = decodeCopyResponse('CopyOutResponse', frameBody(whole, at))
    this.#endRows()
    if (answer.masks.length > 0) {
      const columns = response.columnFormats.length
      this.#masker = this.#deps.rewriter.copy(sourceOf(answer, front), columns)
    }
    this.#rowsMayPass = true
    this.#delivery.send(whole, at, end, answer)
  }

  #copyData(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    if (this.#delivery.isCut) return
    const answer = front?.answer
    if (front === undefined || answer === undefined || !this.#rowsMayPass) {
      throw unexpected('CopyData', front)
    }
    if (!this.#gate.take(answer, front, end - at)) return this.#endRows()
    const masked = this.#masker?.copyData(frameBody(whole, at))
    if (masked === undefined) this.#delivery.send(whole, at, end, answer)
    else this.#delivery.add(masked, answer)
  }

  #copyDone(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    if (front?.answer === undefined) throw unexpected('CopyDone', front)
    const rest = this.#masker?.copyEnd()
    if (rest !== undefined) this.#delivery.add(rest, front.answer)
    this.#delivery.send(whole, at, end, front.answer)
  }

  #error(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    const { fifo } = this.#state
    this.#state.copyIn = undefined
    const { fields } = decodeErrorResponse(frameBody(whole, at))
    if (fields.get('C') === queryCancelled) this.#state.wasCancelled = true
    if (fields.get('V') === 'FATAL') this.#state.targetSaidFatal = true
    if (front === undefined) return this.#delivery.send(whole, at, end, undefined)
    const isOurs = front.kind === 'poison'
    const told = this.#withheld(fields, front) ?? placed(fields, front)
    const ours = front.refusal ?? (told === undefined ? undefined : encodeErrorResponse(told))
    if (ours === undefined) this.#delivery.send(whole, at, end, front.answer)
    else this.#delivery.add(ours, front.answer)
    this.#endRows()
    if (front.answer !== undefined && !isOurs) {
      const sqlState = fields.get('C') ?? ''
      this.#delivery.end(front.answer, 'error', '', sqlState)
    }
    if (front.kind === 'query' || front.kind === 'function') return
    // The target now skips to Sync (protocol section 54.2.3): what was sent before it has not run.
    fifo.shift()
    let lastAnswer = front.answer
    for (let next = fifo.front; next !== undefined && next.kind !== 'sync'; next = fifo.front) {
      fifo.shift()
      if (next.answer === undefined || next.answer === lastAnswer) continue
      lastAnswer = next.answer
      this.#delivery.end(next.answer, 'skipped', '')
    }
    // Without a Sync under way, what the caller sends next is dropped too, and nothing is owed for it.
    this.#state.isSkipping = fifo.isEmpty
  }

  #notice(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    const withheld = this.#withheld(decodeNoticeResponse(frameBody(whole, at)).fields, front)
    if (withheld === undefined) this.#delivery.send(whole, at, end, front?.answer)
    else this.#delivery.add(encodeNoticeResponse(withheld), front?.answer)
  }

  /** A payload is text that anybody wrote, of anything. */
  #notification(whole: Buffer, at: number, end: number): void {
    const { payload, ...rest } = decodeNotificationResponse(frameBody(whole, at))
    if (!this.#state.hasMetMasked || payload === '')
      return this.#delivery.send(whole, at, end, undefined)
    this.#delivery.add(encodeNotificationResponse({ ...rest, payload: '' }), undefined)
  }

  #withheld(fields: DiagnosticFields, front: Awaited | undefined): Map<string, string> | undefined {
    const { hasMetMasked } = this.#state
    return withheldText(fields, { front, hasMetMasked, touches: (one) => this.#touchesMasked(one) })
  }

  #touchesMasked({ answer, followed }: Awaited): boolean {
    return answer === undefined || this.#deps.rewriter.touchesMasked({ answer, followed })
  }

  #readyForQuery(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    if (front === undefined || !['sync', 'query', 'function'].includes(front.kind)) {
      throw unexpected('ReadyForQuery', front)
    }
    this.#state.fifo.shift()
    this.#delivery.batchEnds()
    const status = String.fromCharCode(whole[at + 5] ?? 0)
    if (status !== 'I' && status !== 'T' && status !== 'E') {
      throw new SallyportError('SP_PROTOCOL', 'a transaction status that does not exist')
    }
    this.#state.transactionStatus = status
    if (status === 'I' && this.#changedCatalog) {
      this.#changedCatalog = false
      this.#deps.catalogChanged()
    }
    this.#state.copyIn = undefined
    this.#state.names.settle(front.batch)
    if (status === 'I') {
      this.#state.names.portals.forget((portal) => !portal.isHeld)
      this.#deps.settled(front.batch)
    }
    this.#delivery.send(whole, at, end, undefined)
  }

  #pass(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    if (front === undefined) throw unexpected('a description', front)
    if (!front.isHidden) this.#delivery.send(whole, at, end, front.answer)
  }

  /** Records which rules masked how much, and tells a person or agent. */
  #tellMasks(answer: Answer): void {
    if (this.#masker === undefined) return
    for (const { rule, values } of this.#masker.takeCounts()) {
      this.#delivery.record()
      this.#state.journal.note({ kind: 'masked', seq: answer.entry.seq, rule, values })
      this.#state.meter.masked(values)
      if (!this.#deps.tellsMasks) continue
      const short = rule.slice(rule.lastIndexOf('/') + 1)
      const words = `${values} ${values === 1 ? 'value' : 'values'} masked (rule ${short})`
      this.#delivery.add(notice(words), answer)
    }
  }

  #endRows(): void {
    this.#masker = undefined
    this.#rowsMayPass = false
  }
}

/** The fields with their position in the text as the caller wrote it; undefined where they have it already. */
function placed(fields: DiagnosticFields, { place }: Awaited): DiagnosticFields | undefined {
  const position = fields.get('P')
  if (place === undefined || position === undefined) return undefined
  return new Map([...fields, ['P', String(place(Number(position)))]])
}

/** Tags of statements that change what names mean. A false alarm costs a look into the catalog. */
function isDdl(tag: string): boolean {
  return /^(?:CREATE|ALTER|DROP|SELECT INTO|REFRESH|DO|CALL|IMPORT)/.test(tag)
}

function sourceOf(answer: Answer, { classified, followed, completed }: Awaited): Source {
  return { answer, classified, followed, statement: completed }
}

function unexpected(what: string, front: Awaited | undefined): SallyportError {
  return new SallyportError(
    'SP_PROTOCOL',
    `${what} from the target while ${front?.kind ?? 'nothing'} was owed`,
  )
}
