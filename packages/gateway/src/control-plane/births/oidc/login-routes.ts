import { printAllow } from '@sallyport/core'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { getCookie, setCookie } from 'hono/cookie'
import { RateError } from '../../rates.ts'
import type { SourceRates } from '../../source-rates.ts'
import {
  type IdentityConfig,
  type LoginProvider,
  loginProviders,
} from '../config/identity-config.ts'
import { readGrantAsk, type GrantAsk } from '../oauth/grant-request.ts'
import { OAuthError } from '../oauth/oauth-error.ts'
import type { DeviceLogin, DeviceLogins } from './device-logins.ts'
import { LoginRefused } from './identity.ts'
import { type LoginFlow, type Purpose, readLoopback } from './login-flow.ts'
import { samlRoutes } from '../saml/saml-routes.ts'
import type { SamlFlow } from '../saml/saml-flow.ts'
import { choicePage, codePage, consentPage, messagePage, pageHeaders } from './pages.ts'
import { makeSecret } from './short-lived.ts'

const bodyBytesMax = 4096
const cookieName = 'sallyport_login'
const cookieSeconds = 900

export interface LoginRoutesOptions {
  readonly config: () => IdentityConfig
  readonly flow: LoginFlow
  readonly saml: SamlFlow
  readonly devices: DeviceLogins
  readonly gatewayUrl: () => string
  readonly sources: SourceRates
  readonly onFault: (error: unknown) => void
}

/** The pages on which a person logs in. */
export function loginRoutes(options: LoginRoutesOptions): Hono {
  const app = new Hono()
  app.onError((error, context) => answerProblem(context, error, options))
  for (const path of ['/login/*', '/device']) app.use(path, bodyLimit({ maxSize: bodyBytesMax }))
  for (const path of ['/login', '/oauth/authorize']) {
    app.get(path, (context) => startLoopback(context, options))
  }
  app.get('/login/callback', async (context) => {
    const { search } = new URL(context.req.url)
    const { id, person, purpose } = await options.flow.callback(search.slice(1), browserOf(context))
    const facts = factsOf(purpose, options)
    return show(context, consentPage({ id, user: person.principal.name, facts }))
  })
  app.get('/login/saml', (context) => {
    const browser = browserOf(context)
    const arrived = options.saml.finish(context.req.query('arrived') ?? '', browser)
    const { id, person, purpose } = options.flow.ask(arrived)
    const facts = factsOf(purpose, options)
    return show(context, consentPage({ id, user: person.principal.name, facts }))
  })
  const { gatewayUrl, sources } = options
  app.route(
    '/',
    samlRoutes({
      flow: options.saml,
      gatewayUrl,
      sources,
      answerProblem: (context, error) => answerProblem(context, error, options),
    }),
  )
  app.post('/login/confirm', async (context) => {
    const form = await formOf(context)
    const isAllowed = form.get('decision') === 'allow'
    const back = options.flow.confirm(form.get('id') ?? '', isAllowed, browserOf(context))
    if (back !== undefined) return redirect(context, back.href)
    return show(
      context,
      isAllowed
        ? donePage
        : messagePage('Denied', 'Nothing was logged in. You can close this window.'),
    )
  })
  app.get('/login/done', (context) => show(context, donePage))
  app.get('/device', (context) => show(context, codePage(context.req.query('user_code') ?? '')))
  app.post('/device', (context) => startDevice(context, options))
  // A choice of provider comes back as a link.
  app.get('/device/begin', (context) => startDevice(context, options))
  return app
}

const donePage = messagePage('You are logged in', 'You can close this window.')

/** `redirect` and `challenge` as the CLI says them, `redirect_uri` and `code_challenge` as OAuth does. */
async function startLoopback(context: Context, options: LoginRoutesOptions): Promise<Response> {
  const query = new URL(context.req.url).searchParams
  const redirectUri = readLoopback(query.get('redirect') ?? query.get('redirect_uri') ?? '')
  const challenge = query.get('challenge') ?? query.get('code_challenge') ?? ''
  if (redirectUri === undefined) throw new LoginRefused('Begin in a terminal: sallyport login')
  if (
    !/^[A-Za-z0-9_-]{43}$/u.test(challenge) ||
    (query.get('code_challenge_method') ?? 'S256') !== 'S256'
  ) {
    throw new LoginRefused(
      'The program that waits sent no S256 challenge. Begin again: sallyport login',
    )
  }
  const state = query.get('state')
  return start(context, options, {
    kind: 'loopback',
    redirect: redirectUri,
    challenge,
    ask: readGrantAsk(query, options.gatewayUrl()),
    ...(state === null ? {} : { state }),
  })
}

async function startDevice(context: Context, options: LoginRoutesOptions): Promise<Response> {
  const form =
    context.req.method === 'POST' ? await formOf(context) : new URL(context.req.url).searchParams
  const typed = form.get('user_code') ?? ''
  const login = options.devices.find(typed)
  if (login === 'too-many')
    return show(context, codePage('', 'Too many wrong codes. Wait a minute.'), 429)
  if (login === 'unknown')
    return show(context, codePage('', 'No device waits with this code.'), 404)
  return start(context, options, { kind: 'device', userCode: login.userCode })
}

async function start(
  context: Context,
  options: LoginRoutesOptions,
  purpose: Purpose,
): Promise<Response> {
  options.sources.login(context)
  const providers = loginProviders(options.config())
  const wanted = context.req.query('provider')
  const [provider, second] =
    wanted === undefined ? providers : providers.filter(({ name }) => name === wanted)
  if (provider === undefined)
    throw new LoginRefused('Nobody can log in here: no provider of this name is configured.')
  if (second !== undefined) return show(context, choicePage(linksOf(context, providers, purpose)))
  const browser = browserOf(context) || makeSecret()
  setCookie(context, cookieName, browser, {
    httpOnly: true,
    // The provider sends the browser back from another site.
    sameSite: 'Lax',
    secure: options.gatewayUrl().startsWith('https:'),
    path: '/',
    maxAge: cookieSeconds,
  })
  return redirect(context, (await beginAt(provider.name, purpose, browser, options)).href)
}

async function beginAt(
  name: string,
  purpose: Purpose,
  browser: string,
  { config, flow, saml }: LoginRoutesOptions,
): Promise<URL> {
  const { providers, samlProviders } = config()
  const bySaml = samlProviders.get(name)
  if (bySaml !== undefined) return saml.begin(bySaml, purpose, browser)
  const provider = providers.get(name)
  if (provider === undefined) throw new LoginRefused('this provider is not configured')
  return flow.begin(provider, purpose, browser)
}

function linksOf(
  context: Context,
  providers: readonly LoginProvider[],
  purpose: Purpose,
): { readonly name: string; readonly href: string }[] {
  return providers.map(({ name }) => {
    const query = new URLSearchParams(
      purpose.kind === 'device' ? { user_code: purpose.userCode } : new URL(context.req.url).search,
    )
    query.set('provider', name)
    return {
      name,
      href: `${purpose.kind === 'device' ? '/device/begin' : '/login'}?${query.toString()}`,
    }
  })
}

/** What the person is asked to allow. */
function factsOf(
  purpose: Purpose,
  options: LoginRoutesOptions,
): { readonly name: string; readonly value: string }[] {
  if (purpose.kind === 'loopback') {
    const facts = [
      { name: 'For', value: `a program on this machine, ${new URL(purpose.redirect).host}` },
    ]
    return [...facts, ...askFacts(purpose.ask)]
  }
  const login: DeviceLogin | 'unknown' | 'too-many' = options.devices.find(purpose.userCode)
  if (typeof login === 'string') throw new LoginRefused('The device no longer waits. Begin again.')
  return [
    { name: 'Code', value: login.userCode },
    {
      name: 'For a terminal on',
      value: `${login.host} (as it says), connected from ${login.source}`,
    },
    ...askFacts(login.ask),
  ]
}

function askFacts({
  layers,
  ttlMs,
}: GrantAsk): { readonly name: string; readonly value: string }[] {
  const texts = layers.flatMap(({ permits }) => permits.map(printAllow))
  return [
    { name: 'May do', value: texts.length === 0 ? 'all that you may' : texts.join(' · ') },
    ...(ttlMs === undefined
      ? []
      : [{ name: 'For at most', value: `${Math.ceil(ttlMs / 60_000)} minutes` }]),
  ]
}

function browserOf(context: Context): string {
  const cookie = getCookie(context, cookieName) ?? ''
  return /^[A-Za-z0-9_-]{43}$/u.test(cookie) ? cookie : ''
}

async function formOf(context: Context): Promise<URLSearchParams> {
  return new URLSearchParams(await context.req.text())
}

function show(context: Context, html: string, status: 200 | 400 | 404 | 429 | 500 = 200): Response {
  return context.body(html, status, { ...pageHeaders })
}

function redirect(context: Context, href: string): Response {
  context.header('cache-control', 'no-store')
  context.header('referrer-policy', 'no-referrer')
  return context.redirect(href, 303)
}

function answerProblem(
  context: Context,
  error: unknown,
  { onFault }: LoginRoutesOptions,
): Response {
  if (error instanceof RateError) {
    context.header('retry-after', error.retryAfter)
    return show(
      context,
      messagePage('Not logged in', 'Too many logins begin here. Wait a little.'),
      429,
    )
  }
  if (error instanceof LoginRefused || error instanceof OAuthError) {
    return show(context, messagePage('Not logged in', error.message), 400)
  }
  onFault(error)
  return show(
    context,
    messagePage(
      'Not logged in',
      'The provider of the login cannot be reached, or the gateway hit a fault. Operators are told.',
    ),
    500,
  )
}
