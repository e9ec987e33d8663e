import type { Secret } from '@sallyport/core'
import { DeliveryError } from '../../../exports/delivery/destination.ts'
import { reasonOf, retryAfter } from '../../../exports/delivery/signed-post.ts'
import { MessageRefused } from '../channel.ts'

export interface SlackApiOptions {
  /** With a slash at the end. */
  readonly api: string
  readonly now: () => number
}

/** Slack that has not answered by then is asked again. */
const answerMsMax = 30_000
const answerCharsMax = 100_000
/** What trying again does not help against; all else may pass. */
const finalErrors = new Set([
  'msg_too_long',
  'invalid_blocks',
  'message_not_found',
  'cant_update_message',
])

/** Calls a method of Slack's Web API, with JSON. Rejects with a `DeliveryError`; what Slack says in words is not repeated. */
export async function callSlack(
  { api, now }: SlackApiOptions,
  method: string,
  token: Secret<string>,
  body: object,
  signal: AbortSignal,
): Promise<Readonly<Record<string, unknown>>> {
  const response = await fetch(`${api}${method}`, {
    method: 'POST',
    body: JSON.stringify(body),
    redirect: 'manual',
    signal: AbortSignal.any([signal, AbortSignal.timeout(answerMsMax)]),
    headers: {
      authorization: `Bearer ${token.expose()}`,
      'content-type': 'application/json; charset=utf-8',
    },
  }).catch((error: unknown) => {
    throw new DeliveryError(`Slack cannot be reached: ${reasonOf(error)}`)
  })
  const text = await response.text().catch(() => '')
  if (!response.ok)
    throw new DeliveryError(`Slack answered ${response.status}`, {
      retryAfterMs: retryAfter(response.headers.get('retry-after'), now()),
    })
  const answer = answerOf(text)
  if (answer['ok'] === true) return answer
  const { error } = answer
  // One of Slack's documented words, or nothing that is repeated.
  const word = typeof error === 'string' && /^[a-z_]{1,64}$/u.test(error) ? error : 'unknown'
  const said = `Slack refused ${method}: ${word}`
  throw finalErrors.has(word) ? new MessageRefused(said) : new DeliveryError(said)
}

function answerOf(text: string): Readonly<Record<string, unknown>> {
  if (text.length > answerCharsMax) return {}
  try {
    const answer: unknown = JSON.parse(text)
    return typeof answer === 'object' && answer !== null ? { ...answer } : {}
  } catch {
    return {}
  }
}
