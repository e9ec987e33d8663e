import { Buffer } from 'node:buffer'
import { createHmac } from 'node:crypto'
import type { WebhookExport } from '../config/export-config.ts'
import { DeliveryError, type Destination, type OutgoingEvent } from './destination.ts'

/** A receiver that has not answered by then is asked again; it may have taken the events. */
const answerMsMax = 30_000
/** A receiver may not stop an export for longer than this. */
const retryAfterMsMax = 600_000

/**
 * Posts events as lines of JSON, signed as Standard Webhooks 1.0 describes: `webhook-signature` is `v1,` and the base64 of
 * HMAC-SHA-256 over `id.timestamp.body`. The same events have the same id, so that a receiver can drop what it has.
 */
export class Webhook implements Destination {
  readonly where: string
  readonly #config: WebhookExport
  readonly #key: Buffer
  readonly #now: () => number
  readonly #answerMsMax: number

  constructor(config: WebhookExport, now: () => number, answerMs = answerMsMax) {
    this.where = config.url
    this.#config = config
    this.#key = keyOf(config.secret.expose())
    this.#now = now
    this.#answerMsMax = answerMs
  }

  async deliver(events: readonly OutgoingEvent[], signal: AbortSignal): Promise<void> {
    const body = events.map(({ line }) => `${line}\n`).join('')
    const id = `${this.#config.name}-${events.at(0)?.id ?? 0}-${events.at(-1)?.id ?? 0}`
    const response = await this.#post(id, body, signal)
    // A receiver's words are not read: they may be of any size, and hold anything.
    await response.body?.cancel().catch(() => undefined)
    if (response.ok) return
    throw new DeliveryError(`the receiver answered ${response.status}`, {
      retryAfterMs: retryAfter(response.headers.get('retry-after'), this.#now()),
      isTooLarge: response.status === 413,
    })
  }

  async #post(id: string, body: string, signal: AbortSignal): Promise<Response> {
    const timestamp = String(Math.floor(this.#now() / 1000))
    const { url, authorization } = this.#config
    const signed = createHmac('sha256', this.#key).update(`${id}.${timestamp}.${body}`)
    try {
      return await fetch(url, {
        method: 'POST',
        body,
        // Elsewhere nobody was configured to read this.
        redirect: 'manual',
        signal: AbortSignal.any([signal, AbortSignal.timeout(this.#answerMsMax)]),
        headers: {
          'content-type': 'application/x-ndjson',
          'webhook-id': id,
          'webhook-timestamp': timestamp,
          'webhook-signature': `v1,${signed.digest('base64')}`,
          ...(authorization === undefined ? {} : { authorization: authorization.expose() }),
        },
      })
    } catch (error) {
      throw new DeliveryError(`the receiver cannot be reached: ${reasonOf(error)}`)
    }
  }
}

/** A key with the prefix of Standard Webhooks is base64; any other text is taken as it is. */
function keyOf(secret: string): Buffer {
  const prefix = 'whsec_'
  return secret.startsWith(prefix)
    ? Buffer.from(secret.slice(prefix.length), 'base64')
    : Buffer.from(secret)
}

/** RFC 9110 section 10.2.3: seconds, or a date. */
export function retryAfter(header: string | null, nowMs: number): number | undefined {
  if (header === null) return undefined
  const ms = /^\d+$/u.test(header) ? Number(header) * 1000 : Date.parse(header) - nowMs
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), retryAfterMsMax)
}

/** The code of the system, `ECONNREFUSED`, or the name of the error; its text may hold headers. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  const { cause } = error
  if (cause instanceof Error && 'code' in cause) return String(cause.code)
  return error.name === 'TimeoutError' ? 'no answer in time' : error.name
}
