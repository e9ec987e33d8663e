import { printAllow, SallyportError } from '@sallyport/core'
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
import type { LoggedIn } from './human-births.ts'
import { LoginRefused } from './identity.ts'
import { linkCodePage, linkPage, type LinkPages } from './link-pages.ts'
import { type LoginFlow, type Purpose, readLoopback } from './login-flow.ts'
import { samlRoutes } from '../saml/saml-routes.ts'
import type { SamlFlow } from '../saml/saml-flow.ts'
import {
  type ApprovalCard,
  approvalPage,
  choicePage,
  codePage,
  consentPage,
  messagePage,
  pageHeaders,
} from './pages.ts'
import { makeSecret } from './short-lived.ts'

const bodyBytesMax = 4096
/** A note in every script takes nine bytes a character in a form. */
const answerBytesMax = 8192
const cookieName = 'sallyport_login'
const cookieSeconds = 900

export interface LoginRoutesOptions {
  readonly config: () => IdentityConfig
  readonly flow: LoginFlow
  readonly saml: SamlFlow
  readonly devices: DeviceLogins
  readonly gatewayUrl: () => string
  readonly sources: SourceRates
  readonly approvals: ApprovalPages
  /** Absent where no chat takes answers. */
  readonly links?: LinkPages
  readonly onFault: (error: unknown) => void
}

/** Requests for approval, as pages need them. */
export interface ApprovalPages {
  /** Throws SP_NOT_FOUND, and SP_APPROVAL_REFUSED for who may not answer. */
  card(approval: string, person: LoggedIn): Promise<Omit<ApprovalCard, 'id' | 'user'>>
  /** Returns what came of it. */
  answer(
    approval: string,
    person: LoggedIn,
    decision: 'approve' | 'deny',
    note: string,
  ): Promise<string>
}

/** The pages on which a person logs in. */
export function loginRoutes(options: LoginRoutesOptions): Hono {
  const app = new Hono()
  app.onError((error, context) => answerProblem(context, error, options))
  app.use('/a/*', bodyLimit({ maxSize: answerBytesMax }))
  for (const path of ['/login/*', '/link/*', '/device'])
    app.use(path, bodyLimit({ maxSize: bodyBytesMax }))
  for (const path of ['/login', '/oauth/authorize']) {
    app.get(path, (context) => startLoopback(context, options))
  }
  app.get('/login/callback', async (context) => {
    const { search } = new URL(context.req.url)
    const asked = await options.flow.callback(search.slice(1), browserOf(context))
    return await showAsked(context, options, asked)
  })
  app.get('/login/saml', async (context) => {
    const browser = browserOf(context)
    const arrived = options.saml.finish(context.req.query('arrived') ?? '', browser)
    return await showAsked(context, options, options.flow.ask(arrived))
  })
  app.get('/a/:approval', async (context) => {
    const approval = context.req.param('approval').toLowerCase()
    return await start(context, options, { kind: 'approval', approval })
  })
  app.post('/a/answer', async (context) => {
    const form = await formOf(context)
    const decision = form.get('decision')
    if (decision !== 'approve' && decision !== 'deny')
      throw new LoginRefused('An answer is approve or deny.')
    const { person, approval } = options.flow.answered(form.get('id') ?? '', browserOf(context))
    const note = (form.get('note') ?? '').replaceAll('\r\n', '\n')
    const came = await options.approvals.answer(approval, person, decision, note)
    return show(context, messagePage('Recorded', came))
  })
  if (options.links !== undefined) addLinkRoutes(app, options, options.links)
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

/** A code first, then whose account it is: nobody links what they have not seen. */
function addLinkRoutes(app: Hono, options: LoginRoutesOptions, links: LinkPages): void {
  const { flow } = options
  app.get('/link', async (context) => await start(context, options, { kind: 'link' }))
  app.post('/link/code', async (context) => {
    const form = await formOf(context)
    const browser = browserOf(context)
    const { person } = flow.linking(form.get('id') ?? '', browser)
    if (form.get('decision') === 'unlink')
      return show(context, messagePage('Done', await links.unlinkAll(person)))
    const code = (form.get('code') ?? '').replaceAll(/[^0-9a-z]/giu, '').toUpperCase()
    const facts = links.describe(code)
    const { id } = flow.ask({ person, browser, purpose: { kind: 'link', code } })
    return show(context, linkPage(id, person.principal.name, facts))
  })
  app.post('/link/answer', async (context) => {
    const form = await formOf(context)
    const { person, code } = flow.linking(form.get('id') ?? '', browserOf(context))
    if (form.get('decision') !== 'link' || code === undefined)
      return show(context, messagePage('Cancelled', 'Nothing was linked.'))
    return show(context, messagePage('Linked', await links.link(person, code)))
  })
}

/** The provider has confirmed a person: what they have to decide. */
async function showAsked(
  context: Context,
  options: LoginRoutesOptions,
  { id, person, purpose }: ReturnType<LoginFlow['ask']>,
): Promise<Response> {
  const user = person.principal.name
  if (purpose.kind === 'link') return show(context, linkCodePage(id, user))
  if (purpose.kind !== 'approval')
    return show(context, consentPage({ id, user, facts: factsOf(purpose, options) }))
  const card = await options.approvals.card(purpose.approval, person)
  return show(context, approvalPage({ ...card, id, user }))
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
    return { name, href: `${pathOf(purpose)}?${query.toString()}` }
  })
}

function pathOf(purpose: Purpose): string {
  if (purpose.kind === 'approval') return `/a/${encodeURIComponent(purpose.approval)}`
  if (purpose.kind === 'link') return '/link'
  return purpose.kind === 'device' ? '/device/begin' : '/login'
}

/** What the person is asked to allow. */
function factsOf(
  purpose: Extract<Purpose, { kind: 'loopback' | 'device' }>,
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

/** What a person may read of a request that they can't answer. */
function isForPeople({ code }: SallyportError): boolean {
  return code === 'SP_APPROVAL_REFUSED' || code === 'SP_NOT_FOUND' || code === 'SP_CONFIG_INVALID'
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
  if (error instanceof SallyportError && isForPeople(error))
    return show(context, messagePage('Not decided', error.detail ?? error.message), 400)
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
