import { ERRORS, SallyportError } from '@sallyport/core'
import {
  BackendType,
  decodeCommandComplete,
  decodeCopyResponse,
  decodeErrorResponse,
  decodeNoticeResponse,
  decodeParameterStatus,
  decodeRowDescription,
  encodeCopyFail,
  encodeErrorResponse,
  encodeNoticeResponse,
  encodeSync,
  frameBody,
  frameEnd,
  frameType,
  type ColumnDescription,
} from '@sallyport/wire'
import type { Needs, Purse } from '../../agents/purse.ts'
import type { Answer } from '../../pipeline/answer.ts'
import type { Awaited } from './awaited.ts'
import { ByteRun } from './byte-run.ts'
import type { Classified } from './classify/classified.ts'
import { withheldDiagnostic } from './diagnostics.ts'
import type { AnswerMasker, Rewriter } from './rewrite.ts'
import { cutByBudget, cutByGrant } from './budget-refusal.ts'
import { notice, refusalError } from './refuse.ts'
import type { SessionState } from './session-state.ts'

export interface TargetReaderDeps {
  readonly rewriter: Rewriter
  readonly recordsAnswers: boolean
  /** The caller reads notices: an interactive client, or an agent. */
  readonly tellsMasks: boolean
  readonly purse: Purse
  /** A statement that changes the catalog is complete. */
  catalogChanged(): void
  /** Asks the target to end what it runs. */
  cancelTarget(): Promise<void>
  /** Reading what waited for a budget has failed. */
  failed(error: unknown): void
  /** Messages that waited have been read: the target may be read again, and what waited for them goes on. */
  resumed(): void
}

/** SQLSTATE of a statement that a cancel request ended. */
const queryCancelled = '57014'

function ofRow(bytes: number): Needs {
  return [
    ['rows', 1],
    ['bytes', bytes],
  ]
}

/** Settings on which our reading of statements depends; another value would make the target read other statements than we judged. */
const pinnedSettings: ReadonlyMap<string, string> = new Map([
  ['client_encoding', 'UTF8'],
  ['standard_conforming_strings', 'on'],
])

/** Longer descriptions are read again each time: a session must not hoard them. */
const rememberedBytesMax = 16 * 1024

/** Answers up to this size stand in the entry of their end. */
const endDataBytesMax = 64 * 1024

/** A RowDescription, and what it says. */
interface Described {
  readonly frame: Buffer
  readonly columns: readonly ColumnDescription[]
}

/** Reads the target's messages, matches them with what is owed, masks and records what the caller gets. */
export class TargetReader {
  readonly #state: SessionState
  readonly #deps: TargetReaderDeps
  /** What the caller got and the journal has not: the newest bytes of one answer. */
  readonly #unrecorded = new ByteRun()
  #unrecordedOf: Answer | undefined
  readonly #described = new WeakMap<Classified, Described>()
  /** Masks of the rows under way; `undefined` passes rows as they are. */
  #masker: AnswerMasker | undefined
  /** Rows may only pass while this holds, or a masker stands: it is set by the message that describes them. */
  #rowsMayPass = false
  /** Messages from a row on for which more of a budget has to be leased first. */
  #stalled: Buffer | undefined
  /** A result was cut: up to the end of its batch the caller gets nothing more. */
  #cut: Answer | undefined
  /** A cancel request is under way: it must not meet the command that the caller sends next. */
  #isCancelling = false

  constructor(state: SessionState, deps: TargetReaderDeps) {
    this.#state = state
    this.#deps = deps
  }

  /** Handles whole messages. Returns false when the caller's socket asks to wait. */
  read(whole: Buffer): boolean {
    let at = 0
    while (at < whole.length) {
      const end = frameEnd(whole, at)
      if (!this.#isTimely(whole, at) || !this.#isCovered(whole, at, end)) break
      this.#message(whole, at, end)
      at = end
    }
    this.#recordData()
    return this.#state.toCaller.flush() && !this.isStalled
  }

  /** True while rows wait for a budget: the target must not be read. */
  get isStalled(): boolean {
    return this.#stalled !== undefined
  }

  /** The batch that was cut does not end before its cancel request has. */
  #isTimely(whole: Buffer, at: number): boolean {
    if (!this.#isCancelling || frameType(whole, at) !== BackendType.readyForQuery) return true
    this.#stalled = whole.subarray(at)
    return false
  }

  /** Whether a row's budget is here, or known to be spent. Where it has to be asked for, the row and all behind it wait. */
  #isCovered(whole: Buffer, at: number, end: number): boolean {
    if (!this.#deps.purse.countsRows) return true
    const type = frameType(whole, at)
    if (type !== BackendType.dataRow && type !== BackendType.copyData) return true
    const needs = ofRow(end - at)
    if (this.#cut !== undefined || this.#deps.purse.isReady(needs)) return true
    this.#stalled = whole.subarray(at)
    void this.#deps.purse.fill(needs).then(this.#goOn, this.#goOn)
    return false
  }

  readonly #goOn = (): void => {
    const rest = this.#stalled
    this.#stalled = undefined
    if (rest === undefined || this.#state.isClosed) return
    try {
      this.read(rest)
      this.#deps.resumed()
    } catch (error) {
      this.#deps.failed(error)
    }
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
        this.#checkSetting(frameBody(whole, at))
        return this.#emit(whole, at, end, undefined)
      case BackendType.noticeResponse:
        return this.#notice(whole, at, end, front)
      case BackendType.notificationResponse:
        return this.#emit(whole, at, end, undefined)
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
    if (!this.#takeRow(answer, front, end - at)) return
    if (!this.#rowsMayPass) this.#letRowsPass(front, answer)
    const masker = this.#masker
    const masked = masker?.row(whole, at, end)
    if (masked === undefined) this.#emit(whole, at, end, answer)
    else this.#add(masked, answer)
  }

  /** Rows without a description of their own belong to a portal or a cursor; without any they don't pass where masks apply. */
  #letRowsPass(front: Awaited, answer: Answer): void {
    if (answer.masks.length > 0) {
      const columns = front.portal?.columns
      if (columns === undefined) {
        throw new SallyportError('SP_MASK_IMPOSSIBLE', 'rows without a description')
      }
      const source = { answer, classified: front.classified }
      this.#masker = this.#deps.rewriter.rows(source, columns, front.portal?.resultFormats)
    }
    this.#rowsMayPass = true
  }

  #rowDescription(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    if (front === undefined) throw unexpected('RowDescription', front)
    this.#endRows()
    const columns = this.#columns(whole, at, end, front.classified)
    if (front.kind === 'describe') {
      if (front.portal !== undefined) front.portal.columns = columns
      return this.#plainReply(whole, at, end, front)
    }
    const { answer, classified } = front
    if (answer === undefined) throw unexpected('RowDescription', front)
    this.#emit(whole, at, end, answer)
    if (answer.masks.length > 0) {
      this.#masker = this.#deps.rewriter.rows({ answer, classified }, columns, undefined)
    }
    this.#rowsMayPass = true
  }

  /** The columns that a RowDescription declares; the same list as the last time, where the message is the same. */
  #columns(
    whole: Buffer,
    at: number,
    end: number,
    classified: Classified | undefined,
  ): readonly ColumnDescription[] {
    const known = classified === undefined ? undefined : this.#described.get(classified)
    if (known !== undefined && known.frame.compare(whole, at, end) === 0) return known.columns
    const { columns } = decodeRowDescription(frameBody(whole, at))
    if (classified !== undefined && end - at <= rememberedBytesMax) {
      this.#described.set(classified, { frame: Buffer.from(whole.subarray(at, end)), columns })
    }
    return columns
  }

  /** Replies without content: they confirm names, and are swallowed where the gateway itself had asked. */
  #plainReply(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    if (front === undefined) throw unexpected('a reply', front)
    this.#state.fifo.shift()
    for (const change of front.changes) change.apply()
    if (!front.isHidden) this.#emit(whole, at, end, front.answer)
  }

  #commandComplete(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    const answer = front?.answer
    if (front === undefined || answer === undefined) throw unexpected('CommandComplete', front)
    this.#tellMasks(answer)
    this.#emit(whole, at, end, answer)
    const { tag } = decodeCommandComplete(frameBody(whole, at))
    this.#state.copyIn = undefined
    this.#endRows()
    this.#statementDone(front)
    if (isDdl(tag)) this.#deps.catalogChanged()
    this.#answerEnds(answer, 'complete', tag)
    if (front.kind === 'execute') this.#state.fifo.shift()
  }

  #statementDone(front: Awaited): void {
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
    this.#emit(whole, at, end, answer)
    this.#endRows()
    this.#statementDone(front)
    this.#answerEnds(answer, isSuspended ? 'suspended' : 'complete', '')
    if (front.kind === 'execute') this.#state.fifo.shift()
  }

  #copyIn(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    const answer = front?.answer
    if (front === undefined || answer === undefined) throw unexpected('CopyInResponse', front)
    if (this.#cut !== undefined) return this.#failCopyIn(front)
    if (front.kind === 'execute') this.#state.fifo.dropSyncsAfterFront()
    this.#state.copyIn = { seq: answer.entry.seq }
    this.#emit(whole, at, end, answer)
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
      const source = { answer, classified: front.classified }
      const columns = response.columnFormats.length
      this.#masker = this.#deps.rewriter.copy(source, front.completed, columns)
    }
    this.#rowsMayPass = true
    this.#emit(whole, at, end, answer)
  }

  #copyData(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    if (this.#cut !== undefined) return
    const answer = front?.answer
    if (front === undefined || answer === undefined || !this.#rowsMayPass) {
      throw unexpected('CopyData', front)
    }
    if (!this.#takeRow(answer, front, end - at)) return
    const masked = this.#masker?.copyData(frameBody(whole, at))
    if (masked === undefined) this.#emit(whole, at, end, answer)
    else this.#add(masked, answer)
  }

  #copyDone(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    if (front?.answer === undefined) throw unexpected('CopyDone', front)
    const rest = this.#masker?.copyEnd()
    if (rest !== undefined) this.#add(rest, front.answer)
    this.#emit(whole, at, end, front.answer)
  }

  /** Counts a row, or cuts the result where no more of it may pass. */
  #takeRow(answer: Answer, front: Awaited, bytes: number): boolean {
    if (this.#cut !== undefined) return false
    const { rowsMax } = answer
    const { purse } = this.#deps
    const spent = purse.countsRows ? purse.take(ofRow(bytes)) : undefined
    if (spent === undefined && (rowsMax === undefined || answer.rowsOfAll < rowsMax)) {
      answer.rows += 1
      answer.rowsOfAll += 1
      return true
    }
    const refusal =
      spent === undefined ? cutByGrant(answer.rowsOfAll) : cutByBudget(spent, answer.rows)
    this.#add(refusalError(refusal), answer)
    this.#endRows()
    this.#answerEnds(answer, 'error', '', ERRORS[refusal.code].sqlState)
    this.#cut = answer
    this.#endBatch(front)
    return false
  }

  /** A result was cut, which is an error to the caller: so what would follow in its batch is not run. */
  #endBatch(front: Awaited): void {
    const { fifo } = this.#state
    const isBatch = front.kind !== 'query' && front.kind !== 'function'
    if (isBatch && !fifo.owesSync) this.#state.isSkipping = true
    this.#isCancelling = true
    void this.#deps.cancelTarget().then(this.#cancelled, this.#cancelled)
  }

  readonly #cancelled = (): void => {
    this.#isCancelling = false
    if (this.isStalled) this.#goOn()
  }

  #error(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    const { fifo } = this.#state
    this.#state.copyIn = undefined
    const { fields } = decodeErrorResponse(frameBody(whole, at))
    if (fields.get('C') === queryCancelled) this.#state.wasCancelled = true
    if (fields.get('V') === 'FATAL') this.#state.targetSaidFatal = true
    if (front === undefined) return this.#emit(whole, at, end, undefined)
    const isOurs = front.kind === 'poison'
    const withheld = this.#mayTellValues(front) ? undefined : withheldDiagnostic(fields)
    const ours =
      front.refusal ?? (withheld === undefined ? undefined : encodeErrorResponse(withheld))
    if (ours === undefined) this.#emit(whole, at, end, front.answer)
    else this.#add(ours, front.answer)
    this.#endRows()
    if (front.answer !== undefined && !isOurs) {
      const sqlState = fields.get('C') ?? ''
      this.#answerEnds(front.answer, 'error', '', sqlState)
    }
    if (front.kind === 'query' || front.kind === 'function') return
    // The target now skips to Sync (protocol section 54.2.3): what was sent before it has not run.
    fifo.shift()
    let lastAnswer = front.answer
    for (let next = fifo.front; next !== undefined && next.kind !== 'sync'; next = fifo.front) {
      fifo.shift()
      if (next.answer === undefined || next.answer === lastAnswer) continue
      lastAnswer = next.answer
      this.#answerEnds(next.answer, 'skipped', '')
    }
    // Without a Sync under way, what the caller sends next is dropped too, and nothing is owed for it.
    this.#state.isSkipping = fifo.isEmpty
  }

  #notice(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    const withheld =
      front === undefined || this.#mayTellValues(front)
        ? undefined
        : withheldDiagnostic(decodeNoticeResponse(frameBody(whole, at)).fields)
    if (withheld === undefined) this.#emit(whole, at, end, front?.answer)
    else this.#add(encodeNoticeResponse(withheld), front?.answer)
  }

  /** A text of the server's may quote any value that the statement can read. */
  #mayTellValues(front: Awaited): boolean {
    return front.answer === undefined || !this.#touchesMasked(front)
  }

  #touchesMasked({ answer, classified }: Awaited): boolean {
    return answer === undefined || this.#deps.rewriter.touchesMasked({ answer, classified })
  }

  #readyForQuery(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    if (front === undefined || !['sync', 'query', 'function'].includes(front.kind)) {
      throw unexpected('ReadyForQuery', front)
    }
    this.#state.fifo.shift()
    this.#cut = undefined
    const status = String.fromCharCode(whole[at + 5] ?? 0)
    if (status !== 'I' && status !== 'T' && status !== 'E') {
      throw new SallyportError('SP_PROTOCOL', 'a transaction status that does not exist')
    }
    this.#state.transactionStatus = status
    this.#state.copyIn = undefined
    this.#state.names.settle(front.batch)
    if (status === 'I') this.#state.names.portals.forget((portal) => !portal.isHeld)
    this.#emit(whole, at, end, undefined)
  }

  #pass(whole: Buffer, at: number, end: number, front: Awaited | undefined): void {
    if (front === undefined) throw unexpected('a description', front)
    if (!front.isHidden) this.#emit(whole, at, end, front.answer)
  }

  #answerEnds(
    answer: Answer,
    status: 'complete' | 'error' | 'suspended' | 'skipped',
    tag: string,
    sqlState?: string,
  ): void {
    // A result that was cut has had its end.
    if (this.#cut === answer) return
    if (this.#unrecordedOf !== answer || this.#unrecorded.length > endDataBytesMax) {
      this.#recordData()
    }
    const { seq } = answer.entry
    const { rows, bytes } = answer
    answer.rows = 0
    answer.bytes = 0
    const data = this.#takeData()
    this.#state.journal.note({
      kind: 'response.end',
      seq,
      status,
      tag,
      rows,
      bytes,
      sqlState,
      data,
    })
  }

  /** Records which rules masked how much, and tells a person or agent. */
  #tellMasks(answer: Answer): void {
    if (this.#masker === undefined) return
    for (const { rule, values } of this.#masker.takeCounts()) {
      this.#recordData()
      this.#state.journal.note({ kind: 'masked', seq: answer.entry.seq, rule, values })
      if (!this.#deps.tellsMasks) continue
      const short = rule.slice(rule.lastIndexOf('/') + 1)
      const words = `${values} ${values === 1 ? 'value' : 'values'} masked (rule ${short})`
      this.#add(notice(words), answer)
    }
  }

  #endRows(): void {
    this.#masker = undefined
    this.#rowsMayPass = false
  }

  /** Sends a message of the gateway's own making. */
  #add(bytes: Buffer, answer: Answer | undefined): void {
    this.#emit(bytes, 0, bytes.length, answer)
  }

  /** Sends the bytes from `start` to `end`, and records them as part of the answer. */
  #emit(bytes: Buffer, start: number, end: number, answer: Answer | undefined): void {
    // Of an agent that was taken away the caller reads why, and nothing else.
    if (this.#cut !== undefined || this.#state.isTaken) return
    this.#state.toCaller.add(bytes, start, end)
    if (answer === undefined) return
    answer.bytes += end - start
    if (!this.#deps.recordsAnswers || start === end) return
    if (this.#unrecordedOf === answer && this.#unrecorded.extend(bytes, start, end)) return
    this.#recordData()
    this.#unrecorded.extend(bytes, start, end)
    this.#unrecordedOf = answer
  }

  /** What is not yet recorded of the answer that ends. */
  #takeData(): Buffer | undefined {
    if (this.#unrecordedOf === undefined) return undefined
    this.#unrecordedOf = undefined
    return this.#unrecorded.take()
  }

  #recordData(): void {
    if (this.#unrecordedOf === undefined) return
    const { seq } = this.#unrecordedOf.entry
    this.#unrecordedOf = undefined
    this.#state.journal.note({ kind: 'response.data', seq, bytes: this.#unrecorded.take() })
  }

  /** A pinned setting that moved means that statements would be read differently there: the session ends before that matters. */
  #checkSetting(body: Buffer): void {
    const { name, value } = decodeParameterStatus(body)
    const pinned = pinnedSettings.get(name)
    if (pinned !== undefined && pinned !== value) {
      throw new SallyportError('SP_PROTOCOL', `the target reports ${name} = ${value}`, {
        detail: `The setting ${name} must stay ${pinned}.`,
      })
    }
  }
}

/** Tags of statements that change what names mean. A false alarm costs a look into the catalog. */
function isDdl(tag: string): boolean {
  return /^(?:CREATE|ALTER|DROP|SELECT INTO|REFRESH|DO|CALL|IMPORT)/.test(tag)
}

function unexpected(what: string, front: Awaited | undefined): SallyportError {
  return new SallyportError(
    'SP_PROTOCOL',
    `${what} from the target while ${front?.kind ?? 'nothing'} was owed`,
  )
}
