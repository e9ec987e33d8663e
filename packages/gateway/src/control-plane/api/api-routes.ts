import { createHash, timingSafeEqual } from 'node:crypto'
import { SallyportError, type Secret } from '@sallyport/core'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { addChannelRoutes } from '../approvals/channels/channel-routes.ts'
import { publicEndpoints } from '../contract/operations.ts'
import { addIncidentRoutes } from '../incidents/incident-routes.ts'
import { servedFrom } from '../ledger/request-source.ts'
import { addPolicyRoutes } from '../policies/policy-routes.ts'
import { sourceOf } from '../source-of.ts'
import { addConnectionRoutes } from './connection-routes.ts'
import { codeOf, errorAnswer } from './error-answer.ts'
import { addGatewayRoutes } from './gateway-routes.ts'
import { openApiText } from './openapi.ts'
import type { OwnerOperations } from './owner-operations.ts'
import { addRecordingRoutes } from './recording-routes.ts'
import { serve } from './serve.ts'

/** Certificates of a target are the largest thing that is sent here. */
const bodyBytesMax = 256 * 1024

/** Hears of who comes. */
export interface CallersSeen {
  /** Somebody showed the owner's token. */
  owner(): void
  /** Somebody showed a token that opens nothing, or none. */
  refused(why: string): void
}

/** The routes of the API. All but the public ones and those in `mounted`, which see to it themselves, need the owner's token. */
export function apiRoutes(
  operations: OwnerOperations,
  ownerToken: Secret<string>,
  callers: CallersSeen,
  mounted: readonly Hono[] = [],
): Hono {
  const app = new Hono()
  app.use('*', (context, next) => servedFrom(sourceOf(context), next))
  app.onError((error, context) => {
    operations.refused(codeOf(error))
    if (codeOf(error) === 'SP_LOGIN_REFUSED') callers.refused(error.message)
    return errorAnswer(context, error)
  })
  app.notFound((context) =>
    errorAnswer(
      context,
      new SallyportError('SP_NOT_FOUND', 'there is no such address in this API'),
    ),
  )
  const tooLarge = (context: Context): Response =>
    errorAnswer(
      context,
      new SallyportError('SP_MESSAGE_TOO_LARGE', `at most ${bodyBytesMax} bytes are taken`),
    )
  app.use('/v1/*', bodyLimit({ maxSize: bodyBytesMax, onError: tooLarge }))
  serve(app, publicEndpoints, () => undefined, {
    'GET /healthz': () => ({ ok: true as const }),
    'GET /v1/openapi.json': ({ context }) =>
      context.body(openApiText(), 200, { 'content-type': 'application/json' }),
  })
  for (const routes of mounted) app.route('/', routes)
  app.use('/v1/*', async (context, next) => {
    const [scheme, token = ''] = (context.req.header('authorization') ?? '').split(' ')
    if (scheme?.toLowerCase() !== 'bearer' || !sameText(token, ownerToken.expose())) {
      throw new SallyportError('SP_LOGIN_REFUSED', 'the owner token is missing or wrong')
    }
    callers.owner()
    await next()
  })
  addGatewayRoutes(app, operations)
  addConnectionRoutes(app, operations)
  addRecordingRoutes(app, operations)
  addChannelRoutes(app, operations.channels)
  addIncidentRoutes(app, operations.incidents)
  addPolicyRoutes(app, operations.policies)
  return app
}

/** Digests have one length, which a comparison in constant time needs. */
function sameText(left: string, right: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(left), digest(right))
}
