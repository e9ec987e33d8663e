import { createHash, timingSafeEqual } from 'node:crypto'
import { ERRORS, SallyportError } from '@sallyport/core'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { RateError } from '../../rates.ts'
import type { SignalParts } from '../signal-parts.ts'
import { quoted, SignalRefused, statedIssuer } from '../verify-set.ts'
import { receiveEvent, type Transmitter, transmittersOf } from './event-receiver.ts'

/** One token. */
const bodyBytesMax = 32 * 1024
const path = '/ssf/events'

/** Where transmitters push security event tokens (RFC 8935). */
export function pushRoutes(parts: SignalParts): Hono {
  const app = new Hono()
  app.onError((error, context) => answerError(context, error, parts))
  const tooLarge = (context: Context): Response =>
    answerError(context, new SignalRefused('the body is too large'), parts)
  app.use(path, bodyLimit({ maxSize: bodyBytesMax, onError: tooLarge }))
  app.post(path, async (context) => {
    const type = context.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
    if (type !== 'application/secevent+jwt') {
      parts.rates.stranger(context)
      throw new SignalRefused('the body is not application/secevent+jwt')
    }
    const transmitter = findTransmitter(context, (await context.req.text()).trim(), parts)
    await receiveEvent(transmitter.token, transmitter, parts)
    return context.body(null, 202)
  })
  return app
}

/** Who has shown a token of its own is counted as itself; anybody else by the address. */
function findTransmitter(
  context: Context,
  token: string,
  parts: SignalParts,
): Transmitter & { readonly token: string } {
  const shown = /^bearer +(\S+)$/iu.exec(context.req.header('authorization') ?? '')?.[1]
  const known = transmittersOf(parts).find(
    ({ events }) =>
      shown !== undefined &&
      events.pushToken !== undefined &&
      isSame(shown, events.pushToken.expose()),
  )
  if (known === undefined) parts.rates.stranger(context)
  else parts.rates.provider(known.events.issuer)
  const issuer = statedIssuer(token)
  const transmitter = transmittersOf(parts).find(({ events }) => events.issuer === issuer)
  if (transmitter === undefined)
    throw new SignalRefused(`no provider has events of ${quoted(issuer)}`, 'invalid_issuer')
  if (transmitter.events.pushToken !== undefined && known?.events.issuer !== issuer)
    throw new SignalRefused('the bearer token is missing or wrong', 'authentication_failed')
  return { ...transmitter, token }
}

/** Digests have one length, which a comparison in constant time needs. */
function isSame(left: string, right: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(left), digest(right))
}

/** RFC 8935, section 2.3. */
function answerError(context: Context, error: unknown, parts: SignalParts): Response {
  context.header('cache-control', 'no-store')
  if (error instanceof RateError) {
    context.header('retry-after', error.retryAfter)
    return context.json({ err: 'access_denied', description: error.message }, 429)
  }
  if (error instanceof SignalRefused) {
    parts.onEvent({ kind: 'signal.refused', why: `events: ${error.message}` })
    context.header('content-language', 'en')
    const body = { err: error.problem, description: ERRORS.SP_SIGNAL_REFUSED.say }
    if (error.problem !== 'authentication_failed') return context.json(body, 400)
    context.header('www-authenticate', 'Bearer')
    return context.json(body, 401)
  }
  if (error instanceof SallyportError && error.code === 'SP_SIGNAL_REFUSED')
    return answerError(context, new SignalRefused(error.message), parts)
  parts.onFault(error)
  // Keys that can't be had, or a store: the transmitter may try again.
  return context.json({ err: 'access_denied', description: ERRORS.SP_INTERNAL.say }, 503)
}
