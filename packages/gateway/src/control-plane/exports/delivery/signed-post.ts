import { Buffer } from 'node:buffer'
import { createHmac } from 'node:crypto'
import type { Secret } from '@sallyport/core'
import { DeliveryError } from './destination.ts'

/** Where to post, and how to sign it. */
export interface SignedReceiver {
  readonly url: string
  readonly secret: Secret<string>
  /** The value of an `Authorization` header. */
  readonly authorization?: Secret<string>
}

export interface SignedBody {
  /** The same for the same content, so that a receiver can drop what it has. */
  readonly id: string
  readonly type: string
  readonly body: string
}

/** A receiver that has not answered by then is asked again; it may have taken the body. */
const answerMsMax = 30_000
/** A receiver may not stop its sender for longer than this. */
const retryAfterMsMax = 600_000

/**
 * Posts a body, signed as Standard Webhooks 1.0 describes. Resolves once the receiver has taken it, and rejects with a
 * `DeliveryError` where it may not have.
 */
export async function postSigned(
  { url, secret, authorization }: SignedReceiver,
  { id, type, body }: SignedBody,
  options: { readonly now: () => number; readonly signal: AbortSignal; readonly answerMs?: number },
): Promise<void> {
  const { now, signal, answerMs = answerMsMax } = options
  const timestamp = String(Math.floor(now() / 1000))
  const signature = signatureOf(secret.expose(), { id, timestamp, body }).toString('base64')
  const response = await fetch(url, {
    method: 'POST',
    body,
    // Elsewhere nobody was configured to read this.
    redirect: 'manual',
    signal: AbortSignal.any([signal, AbortSignal.timeout(answerMs)]),
    headers: {
      'content-type': type,
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': `v1,${signature}`,
      ...(authorization === undefined ? {} : { authorization: authorization.expose() }),
    },
  }).catch((error: unknown) => {
    throw new DeliveryError(`the receiver cannot be reached: ${reasonOf(error)}`)
  })
  // A receiver's words are not read: they may be of any size, and hold anything.
  await response.body?.cancel().catch(() => undefined)
  if (response.ok) return
  throw new DeliveryError(`the receiver answered ${response.status}`, {
    retryAfterMs: retryAfter(response.headers.get('retry-after'), now()),
    isTooLarge: response.status === 413,
  })
}

/** HMAC-SHA-256 over `id.timestamp.body`. */
export function signatureOf(
  secret: string,
  {
    id,
    timestamp,
    body,
  }: { readonly id: string; readonly timestamp: string; readonly body: string },
): Buffer {
  return createHmac('sha256', keyOf(secret)).update(`${id}.${timestamp}.${body}`).digest()
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
