import { SallyportError } from '@sallyport/core'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { CheckedProof, DpopProofs } from '../../dpop.ts'
import { RateError } from '../../rates.ts'
import { sourceOf } from '../../source-of.ts'
import type { SourceRates } from '../../source-rates.ts'
import type { DeviceLogins } from '../oidc/device-logins.ts'
import type { HumanBirths } from '../oidc/human-births.ts'
import type { LoginFlow } from '../oidc/login-flow.ts'
import type { Born } from '../ports.ts'
import type { ServiceBirths } from '../service/service-births.ts'
import type { WorkloadBirths } from '../workload/workload-births.ts'
import { readGrantAsk } from './grant-request.ts'
import { grantTypes, serverMetadata } from './metadata.ts'
import { asOAuthError, OAuthError } from './oauth-error.ts'
import { agentTokenType, exchangeToken, type ExchangeOptions } from './token-exchange.ts'

/** A token of 16 KB, its proof, and a grant. */
const bodyBytesMax = 64 * 1024
const hostCharactersMax = 100

export interface OAuthOptions extends ExchangeOptions {
  readonly workloads: WorkloadBirths
  readonly humans: HumanBirths
  readonly services: ServiceBirths
  readonly flow: LoginFlow
  readonly devices: DeviceLogins
  readonly proofs: DpopProofs
  /** By which URLs requests may name this gateway. */
  readonly ownUrls: () => readonly string[]
  readonly sources: SourceRates
  readonly canLogIn: () => boolean
  readonly onFault: (error: unknown) => void
  readonly now: () => number
}

/** The endpoints of OAuth. They need no token of their own: each request carries what it is judged by. */
export function oauthRoutes(options: OAuthOptions): Hono {
  const app = new Hono()
  app.onError((error, context) => answerError(context, error, options))
  const tooLarge = (context: Context): Response =>
    answerError(
      context,
      new OAuthError('invalid_request', `at most ${bodyBytesMax} bytes are taken`),
      options,
    )
  app.use('/oauth/*', bodyLimit({ maxSize: bodyBytesMax, onError: tooLarge }))
  for (const path of ['oauth-authorization-server', 'openid-configuration']) {
    app.get(`/.well-known/${path}`, (context) =>
      context.json(serverMetadata(options.gatewayUrl(), options.canLogIn())),
    )
  }
  app.post('/oauth/token', async (context) =>
    answerToken(context, await token(context, options), options),
  )
  app.post('/oauth/device_authorization', async (context) => {
    options.sources.login(context)
    const form = await readForm(context)
    refuseAgents(context)
    if (!options.canLogIn())
      throw new OAuthError(
        'unauthorized_client',
        'nobody can log in here: no OidcProvider is configured',
      )
    const host = (form.get('host') ?? 'unknown')
      .replaceAll(/[^\x20-\x7e]/gu, '?')
      .slice(0, hostCharactersMax)
    const ask = readGrantAsk(form, options.gatewayUrl())
    return noStore(context).json(
      options.devices.begin(ask, host, sourceOf(context), options.gatewayUrl()),
    )
  })
  return app
}

async function token(context: Context, options: OAuthOptions): Promise<Made> {
  const form = await readForm(context)
  const type = form.get('grant_type')
  // A device asks every few seconds, and is told where it asks too often (RFC 8628, section 3.5).
  if (type !== grantTypes.device) options.sources.birth(context)
  const proof = await proofOf(context, options)
  const bound = proof === undefined ? {} : { boundTo: proof.thumbprint }
  if (type === grantTypes.jwt) {
    const profile = form.get('profile')
    const born = await options.workloads.bear({
      assertion: form.get('assertion') ?? '',
      ask: readGrantAsk(form, options.gatewayUrl()),
      ...(profile === null ? {} : { profile }),
      ...(proof === undefined ? {} : { proof }),
    })
    return { ...born, ...bound }
  }
  if (type === grantTypes.service) {
    const ask = readGrantAsk(form, options.gatewayUrl())
    return { ...(await options.services.bear(form, ask, proof)), ...bound }
  }
  if (type === grantTypes.exchange) {
    const source = sourceOf(context)
    return { ...(await exchangeToken(form, options, { source, proof })), ...bound }
  }
  if (type === grantTypes.code || type === grantTypes.device) {
    refuseAgents(context)
    const { person, ask } =
      type === grantTypes.code
        ? options.flow.redeem(form)
        : options.devices.poll(form.get('device_code') ?? '')
    // The code or the device was used up by now, so whoever proves it knew it.
    await proof?.use()
    return { ...(await options.humans.bear(person, ask, proof?.thumbprint)), ...bound }
  }
  if (type === null) throw new OAuthError('invalid_request', 'grant_type is missing')
  throw new OAuthError(
    'unsupported_grant_type',
    `grant_type is one of ${Object.values(grantTypes).join(', ')}`,
  )
}

async function proofOf(
  context: Context,
  { proofs, ownUrls }: OAuthOptions,
): Promise<CheckedProof | undefined> {
  const proof = context.req.header('dpop')
  if (proof === undefined) return undefined
  const urls = ownUrls().map((url) => `${url}/oauth/token`)
  return proofs.check(proof, { method: 'POST', urls })
}

interface Made extends Born {
  readonly boundTo?: string
}

function answerToken(
  context: Context,
  { agent, handle, boundTo }: Made,
  { now }: OAuthOptions,
): Response {
  if (handle === undefined)
    throw new SallyportError('SP_INTERNAL', 'an agent was born without a handle')
  return noStore(context).json({
    access_token: handle,
    issued_token_type: agentTokenType,
    token_type: boundTo === undefined ? 'Bearer' : 'DPoP',
    expires_in: Math.max(0, Math.floor((Date.parse(agent.expiresAt) - now()) / 1000)),
    agent,
  })
}

/** An agent must not climb to the login of a person. */
function refuseAgents(context: Context): void {
  if (!/^(?:bearer|dpop) +spa_/iu.test(context.req.header('authorization') ?? '')) return
  throw new SallyportError('SP_LOGIN_INSIDE_AGENT', 'an agent asked for a login')
}

/** RFC 6749, section 3.2: a form, and no parameter twice. `resource` may come more often (RFC 8707). */
async function readForm(context: Context): Promise<URLSearchParams> {
  const type = context.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/x-www-form-urlencoded') {
    throw new OAuthError('invalid_request', 'the body must be application/x-www-form-urlencoded')
  }
  const form = new URLSearchParams(await context.req.text())
  for (const name of new Set(form.keys())) {
    if (name !== 'resource' && form.getAll(name).length > 1) {
      throw new OAuthError('invalid_request', `${name} is given twice`)
    }
  }
  return form
}

function noStore(context: Context): Context {
  context.header('cache-control', 'no-store')
  context.header('pragma', 'no-cache')
  return context
}

function answerError(context: Context, error: unknown, { onFault }: OAuthOptions): Response {
  const known = asOAuthError(error)
  if (error instanceof RateError) context.header('retry-after', error.retryAfter)
  if (known.status === 500) onFault(error)
  const code = known.code === undefined ? {} : { code: known.code }
  return noStore(context).json(
    { error: known.error, error_description: known.message, ...code },
    known.status,
  )
}
