import { type ErrorCode, ERRORS, SallyportError } from '@sallyport/core'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { RateError } from '../../rates.ts'
import type { SignalParts } from '../signal-parts.ts'
import { quoted, SignalRefused, statedIssuer } from '../verify-set.ts'
import { readLogoutToken } from './logout-token.ts'

/** One token in a form. */
const bodyBytesMax = 32 * 1024
const path = '/oidc/backchannel-logout'

/** Where OpenID providers report that a session has ended (OpenID Connect Back-Channel Logout 1.0, section 2.5). */
export function logoutRoutes(parts: SignalParts): Hono {
  const app = new Hono()
  app.onError((error, context) => answerError(context, error, parts))
  const tooLarge = (context: Context): Response =>
    answerError(context, new SignalRefused('the body is too large'), parts)
  app.use(path, bodyLimit({ maxSize: bodyBytesMax, onError: tooLarge }))
  app.post(path, async (context) => {
    context.header('cache-control', 'no-store')
    parts.rates.stranger(context)
    const token = await tokenOf(context)
    const issuer = statedIssuer(token)
    const provider = [...parts.config().providers.values()].find((each) => each.issuer === issuer)
    if (provider === undefined)
      throw new SignalRefused(`no OidcProvider has the issuer ${quoted(issuer)}`, 'invalid_issuer')
    const { issuerKeys, now } = parts
    await parts.inbox.accept(await readLogoutToken(token, { provider, issuerKeys, nowMs: now() }))
    return context.body(null, 200)
  })
  return app
}

async function tokenOf(context: Context): Promise<string> {
  const type = context.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/x-www-form-urlencoded') throw new SignalRefused('the body is no form')
  const tokens = new URLSearchParams(await context.req.text()).getAll('logout_token')
  const [token] = tokens
  if (token === undefined || tokens.length > 1) throw new SignalRefused('there is no logout_token')
  return token
}

function answerError(context: Context, error: unknown, parts: SignalParts): Response {
  context.header('cache-control', 'no-store')
  if (error instanceof RateError) {
    context.header('retry-after', error.retryAfter)
    return answer(context, 429, error.code)
  }
  if (error instanceof SallyportError && error.code === 'SP_SIGNAL_REFUSED') {
    parts.onEvent({ kind: 'signal.refused', why: `logout: ${error.message}` })
    return answer(context, 400, 'SP_SIGNAL_REFUSED')
  }
  parts.onFault(error)
  // Keys that can't be had, or a store: the provider may try again.
  return answer(context, 503, error instanceof SallyportError ? error.code : 'SP_INTERNAL')
}

function answer(context: Context, status: 400 | 429 | 503, code: ErrorCode): Response {
  const error = status === 400 ? 'invalid_request' : 'temporarily_unavailable'
  return context.json({ error, error_description: ERRORS[code].say, code }, status)
}
