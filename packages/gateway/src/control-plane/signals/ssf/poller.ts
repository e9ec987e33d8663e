import { SallyportError } from '@sallyport/core'
import { urlProblem } from '../../births/config/read-values.ts'
import { readBody } from '../../births/workload/bounded-fetch.ts'
import type { SignalParts } from '../signal-parts.ts'
import { SignalRefused } from '../verify-set.ts'
import { receiveEvent, type Transmitter, transmittersOf } from './event-receiver.ts'

/** How long somebody who is gone goes unnoticed at most. */
const everyMs = 5000
/** A transmitter that fails is asked less and less often, up to this. */
const pauseMsMax = 5 * 60_000
const timeoutMs = 20_000
const eventsMax = 100
const answerBytesMax = 4 * 1024 * 1024

/** What the transmitter is told with the next request (RFC 8936, section 2.2). */
interface Reports {
  ack: string[]
  setErrs: Record<string, { readonly err: string; readonly description: string }>
}

interface Polled {
  readonly reports: Reports
  notBeforeMs: number
  pauseMs: number
  isRunning: boolean
}

/** Fetches security event tokens from transmitters that keep them (RFC 8936). */
export class Poller {
  readonly #parts: SignalParts
  readonly #polled = new Map<string, Polled>()
  readonly #stop = new AbortController()
  readonly #timer: NodeJS.Timeout

  constructor(parts: SignalParts) {
    this.#parts = parts
    this.#timer = setInterval(() => void this.run(), everyMs)
    this.#timer.unref()
  }

  /** Asks every transmitter once, until it has no more. */
  async run(): Promise<void> {
    const transmitters = transmittersOf(this.#parts).filter(
      ({ events }) => events.poll !== undefined,
    )
    await Promise.all(transmitters.map((each) => this.#runOne(each)))
  }

  close(): void {
    clearInterval(this.#timer)
    this.#stop.abort()
  }

  async #runOne(transmitter: Transmitter): Promise<void> {
    const key = `${transmitter.events.issuer} ${transmitter.events.poll?.url}`
    const polled = this.#polled.get(key) ?? {
      reports: { ack: [], setErrs: {} },
      notBeforeMs: 0,
      pauseMs: everyMs,
      isRunning: false,
    }
    this.#polled.set(key, polled)
    if (polled.isRunning || performance.now() < polled.notBeforeMs) return
    polled.isRunning = true
    try {
      while (await this.#fetchSome(transmitter, polled.reports));
      polled.pauseMs = everyMs
      polled.notBeforeMs = 0
    } catch (error) {
      if (this.#stop.signal.aborted) return
      this.#parts.onFault(error)
      polled.pauseMs = Math.min(polled.pauseMs * 2, pauseMsMax)
      polled.notBeforeMs = performance.now() + polled.pauseMs
    } finally {
      polled.isRunning = false
    }
  }

  /** One request. Whether another one should follow at once: for more events, or to report on these. */
  async #fetchSome(transmitter: Transmitter, reports: Reports): Promise<boolean> {
    const { ack, setErrs } = reports
    const answered = await this.#ask(transmitter, { ack, setErrs })
    // The transmitter has read these.
    reports.ack = []
    reports.setErrs = {}
    for (const [jti, token] of Object.entries(answered))
      await this.#take(jti, token, transmitter, reports)
    // Where nothing can be acted upon, the same events would come again and again.
    return reports.ack.length > 0 || Object.keys(reports.setErrs).length > 0
  }

  /** What fails for another reason than the token is not reported, so that it comes again. */
  async #take(
    jti: string,
    token: unknown,
    transmitter: Transmitter,
    reports: Reports,
  ): Promise<void> {
    const { onEvent, onFault } = this.#parts
    try {
      if (typeof token !== 'string') throw new SignalRefused('an event is no text')
      const named = await receiveEvent(token, transmitter, this.#parts)
      if (named !== jti) throw new SignalRefused('its jti is not the one it was sent under')
      reports.ack.push(jti)
    } catch (error) {
      const isRefused = error instanceof SallyportError && error.code === 'SP_SIGNAL_REFUSED'
      if (!isRefused) return onFault(error)
      onEvent({ kind: 'signal.refused', provider: transmitter.provider.name, why: error.message })
      const err = error instanceof SignalRefused ? error.problem : 'invalid_request'
      reports.setErrs[jti] = { err, description: 'this event is not accepted' }
    }
  }

  async #ask(
    { events: { poll, issuer } }: Transmitter,
    { ack, setErrs }: Reports,
  ): Promise<Readonly<Record<string, unknown>>> {
    const url = poll?.url ?? ''
    const problem = urlProblem(url)
    if (problem !== undefined || poll === undefined)
      throw unreachable(issuer, problem ?? 'no address')
    const answer = await fetch(url, {
      method: 'POST',
      redirect: 'error',
      signal: AbortSignal.any([this.#stop.signal, AbortSignal.timeout(timeoutMs)]),
      headers: {
        accept: 'application/json',
        authorization: `Bearer ${poll.token.expose()}`,
        'content-type': 'application/json',
      },
      body: JSON.stringify({
        returnImmediately: true,
        maxEvents: eventsMax,
        ...(ack.length === 0 ? {} : { ack }),
        ...(Object.keys(setErrs).length === 0 ? {} : { setErrs }),
      }),
    })
    if (answer.status !== 200) {
      await answer.body?.cancel()
      throw unreachable(issuer, `answers ${answer.status}`)
    }
    return readAnswer(issuer, await readBody(answer, url, answerBytesMax))
  }
}

/** The tokens by their `jti` (RFC 8936, section 2.4). */
function readAnswer(issuer: string, text: string): Readonly<Record<string, unknown>> {
  let body: unknown
  try {
    body = JSON.parse(text)
  } catch (cause) {
    throw unreachable(issuer, 'does not answer with JSON', cause)
  }
  const { sets } = (body ?? {}) as { readonly sets?: unknown }
  if (typeof sets !== 'object' || sets === null || Array.isArray(sets))
    throw unreachable(issuer, 'answers without sets')
  return sets as Readonly<Record<string, unknown>>
}

function unreachable(issuer: string, why: string, cause?: unknown): SallyportError {
  return new SallyportError('SP_TARGET_UNREACHABLE', `events of ${issuer}: it ${why}`, { cause })
}
