import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { SourceRates } from '../../source-rates.ts'
import { LoginRefused } from '../oidc/identity.ts'
import { samlMetadata } from './authn-request.ts'
import type { SamlFlow } from './saml-flow.ts'

/** A response in base64 in a form. */
const bodyBytesMax = 1024 * 1024

export interface SamlRoutesOptions {
  readonly flow: SamlFlow
  readonly gatewayUrl: () => string
  readonly sources: SourceRates
  readonly answerProblem: (context: Context, error: unknown) => Response
}

/** Where providers of SAML send browsers, and what they have to know. */
export function samlRoutes({ flow, gatewayUrl, sources, answerProblem }: SamlRoutesOptions): Hono {
  const app = new Hono()
  app.onError((error, context) => answerProblem(context, error))
  app.get('/saml/metadata', (context) =>
    context.body(samlMetadata(gatewayUrl()), 200, {
      'content-type': 'application/samlmetadata+xml; charset=utf-8',
    }),
  )
  const tooLarge = (context: Context): Response =>
    answerProblem(context, new LoginRefused('the answer is too large'))
  app.use('/saml/acs', bodyLimit({ maxSize: bodyBytesMax, onError: tooLarge }))
  app.post('/saml/acs', async (context) => {
    sources.birth(context)
    const form = new URLSearchParams(await context.req.text())
    const [response, second] = form.getAll('SAMLResponse')
    if (response === undefined || second !== undefined)
      throw new LoginRefused('there is no answer of a provider')
    const secret = await flow.arrive(response)
    context.header('cache-control', 'no-store')
    context.header('referrer-policy', 'no-referrer')
    // A redirect to a page that is only read brings the cookie along.
    return context.redirect(`/login/saml?arrived=${secret}`, 303)
  })
  return app
}
