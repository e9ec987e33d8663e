import { Buffer } from 'node:buffer'
import { hostname } from 'node:os'
import type { AgentRecord } from '../../../boundary/agents.ts'
import type { TraceExport } from '../config/export-config.ts'
import { DeliveryError } from '../delivery/destination.ts'
import { reasonOf, retryAfter } from '../delivery/signed-post.ts'
import type { ExportFact } from '../facts/export-fact.ts'
import { attributes, nanoseconds, type Span } from './span.ts'
import { agentSpan, spanOf } from './to-span.ts'
import type { DeliveryStatus } from '../../contract/operations.ts'

export interface TraceExporterOptions {
  readonly config: TraceExport
  readonly version: string
  readonly now: () => number
  readonly onFault: (error: unknown) => void
  /** Milliseconds; for tests. */
  readonly sendAfterMs?: number
  readonly answerMsMax?: number
}

/** Spans that wait: some megabytes. What comes while so many wait is dropped, and counted. */
const waitingMax = 10_000
const spansPerRequest = 512
const sendAfterMsDefault = 2000
const answerMsDefault = 10_000
const retryMsFirst = 1000
const retryMsMax = 30_000
const stopMsMax = 2000
const answerBytesMax = 64 * 1024
/** Agents that were told, so that none is told twice. */
const agentsMax = 10_000
/** OTLP 1.x, section "Retryable Response Codes". */
const retryable: ReadonlySet<number> = new Set([429, 502, 503, 504])

/** Sends spans to a collector over OTLP/HTTP with JSON. Nobody waits for it, and what it cannot send in time is lost and counted. */
export class TraceExporter {
  readonly #options: TraceExporterOptions
  readonly #startedMs: number
  readonly #agents = new Set<string>()
  readonly #stopped = new AbortController()
  #waiting: Span[] = []
  #timer: NodeJS.Timeout | undefined
  #sending: Promise<void> | undefined
  #retryMs = retryMsFirst
  #delivered = 0
  #dropped = 0
  #failures = 0
  #problem: string | undefined

  constructor(options: TraceExporterOptions) {
    this.#options = options
    this.#startedMs = options.now()
  }

  /** What was recorded before the start was told then, and is read again after a restart. */
  take(fact: ExportFact): void {
    if (fact.atMs < this.#startedMs) return
    this.#add(spanOf(fact, this.#options.config.withText))
  }

  takeAgent(agent: AgentRecord): void {
    const span = agentSpan(agent)
    if (span === undefined || this.#agents.has(agent.id)) return
    if (this.#agents.size >= agentsMax) this.#agents.clear()
    this.#agents.add(agent.id)
    this.#add(span)
  }

  async status(): Promise<DeliveryStatus> {
    const { name, type, url } = this.#options.config
    return await Promise.resolve({
      name,
      type,
      where: url,
      waiting: this.#waiting.length,
      delivered: this.#delivered,
      failures: this.#failures,
      dropped: this.#dropped,
      ...(this.#problem === undefined ? {} : { problem: this.#problem }),
    })
  }

  /** Sends a span that says that it is a test. Rejects with a `DeliveryError`. */
  async test(): Promise<void> {
    const time = nanoseconds(this.#options.now())
    const ids = { traceId: '5a'.repeat(16), spanId: '5a'.repeat(8) }
    const at = { startTimeUnixNano: time, endTimeUnixNano: time }
    const name = 'a test of this export'
    await this.#post([{ ...ids, ...at, name, kind: 1, attributes: [], status: { code: 0 } }])
  }

  /** What waits is tried once more, for a short time. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer)
    const late = setTimeout(() => this.#stopped.abort(), stopMsMax)
    await this.#sending
    if (this.#waiting.length > 0) await this.#send().catch(() => undefined)
    this.#stopped.abort()
    clearTimeout(late)
  }

  #add(span: Span | undefined): void {
    if (span === undefined || this.#stopped.signal.aborted) return
    if (this.#waiting.length >= waitingMax) {
      this.#dropped += 1
      return
    }
    this.#waiting.push(span)
    const { sendAfterMs = sendAfterMsDefault } = this.#options
    if (this.#waiting.length === 1) this.#later(sendAfterMs)
  }

  #later(ms: number): void {
    if (this.#sending !== undefined || this.#stopped.signal.aborted) return
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      this.#sending = this.#send().finally(() => {
        this.#sending = undefined
        const { sendAfterMs = sendAfterMsDefault } = this.#options
        if (this.#waiting.length > 0)
          this.#later(this.#problem === undefined ? sendAfterMs : this.#retryMs)
      })
    }, ms)
    this.#timer.unref()
  }

  /** Sends what waits, request by request, up to the first that fails. Never rejects. */
  async #send(): Promise<void> {
    while (this.#waiting.length > 0) {
      const spans = this.#waiting.slice(0, spansPerRequest)
      try {
        const rejected = await this.#post(spans)
        this.#dropped += rejected
        this.#delivered += spans.length - rejected
        this.#problem = undefined
        this.#retryMs = retryMsFirst
      } catch (error) {
        if (this.#stopped.signal.aborted) return
        this.#failed(error)
        if (!(error instanceof RefusedError)) return
        // The same spans would be refused again.
        this.#dropped += spans.length
      }
      this.#waiting = this.#waiting.slice(spans.length)
    }
  }

  #failed(error: unknown): void {
    this.#failures += 1
    const wasFailing = this.#problem !== undefined
    this.#problem = error instanceof Error ? error.message : 'unknown'
    const asked = error instanceof DeliveryError ? (error.retryAfterMs ?? 0) : 0
    this.#retryMs = Math.max(asked, Math.min(this.#retryMs * 2, retryMsMax))
    const { name } = this.#options.config
    if (!wasFailing)
      this.#options.onFault(new Error(`export ${name}: ${this.#problem}`, { cause: error }))
  }

  /** Gives how many spans the collector refused of those that it took. */
  async #post(spans: readonly Span[]): Promise<number> {
    const { config, version, now, answerMsMax = answerMsDefault } = this.#options
    const { url, authorization } = config
    let response: Response
    try {
      response = await fetch(url, {
        method: 'POST',
        body: JSON.stringify(requestOf(spans, version)),
        redirect: 'manual',
        signal: AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(answerMsMax)]),
        headers: {
          'content-type': 'application/json',
          ...(authorization === undefined ? {} : { authorization: authorization.expose() }),
        },
      })
    } catch (error) {
      throw new DeliveryError(`the collector cannot be reached: ${reasonOf(error)}`)
    }
    if (response.ok) return await rejectedIn(response)
    await response.body?.cancel().catch(() => undefined)
    const said = `the collector answered ${response.status}`
    if (!retryable.has(response.status)) throw new RefusedError(said)
    const retryAfterMs = retryAfter(response.headers.get('retry-after'), now())
    throw new DeliveryError(said, { retryAfterMs })
  }
}

/** The collector will not take these spans, however often they are sent. */
class RefusedError extends DeliveryError {}

/** ExportTraceServiceRequest. */
function requestOf(spans: readonly Span[], version: string): object {
  const resource = attributes({
    'service.name': 'sallyport',
    'service.version': version,
    'host.name': hostname(),
  })
  const scope = { name: 'sallyport', version }
  return { resourceSpans: [{ resource: { attributes: resource }, scopeSpans: [{ scope, spans }] }] }
}

/** `partialSuccess.rejectedSpans` of an answer, which may be a number or a text; 0 where there is none that can be read. */
async function rejectedIn(response: Response): Promise<number> {
  try {
    const chunks: Uint8Array[] = []
    let bytes = 0
    for await (const chunk of response.body ?? []) {
      bytes += chunk.length
      if (bytes > answerBytesMax) return 0
      chunks.push(chunk)
    }
    const answer = JSON.parse(Buffer.concat(chunks).toString()) as {
      partialSuccess?: { rejectedSpans?: unknown }
    }
    const rejected = Number(answer.partialSuccess?.rejectedSpans ?? 0)
    return Number.isSafeInteger(rejected) && rejected > 0 ? rejected : 0
  } catch {
    return 0
  }
}
