import { createHash, timingSafeEqual } from 'node:crypto'
import { ERRORS } from '@sallyport/core'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { loginProviders } from '../../births/config/identity-config.ts'
import { RateError } from '../../rates.ts'
import type { SignalParts } from '../signal-parts.ts'
import { notFound, ScimError } from './scim-error.ts'
import { readFilter } from './scim-filter.ts'
import { readGroup } from './scim-group.ts'
import { readOperations } from './scim-patch.ts'
import type { Page } from './scim-rows.ts'
import { type Listing, type ScimCaller, ScimDirectory } from './scim-directory.ts'
import { pageMax, resourceTypes, schemas, serviceProviderConfig } from './scim-schemas.ts'
import { readUser } from './scim-user.ts'
import { type Attributes, readAttributes } from './scim-values.ts'

/** A group with all its members. */
const bodyBytesMax = 4 * 1024 * 1024
/** Each group comes with its members. */
const groupsPageMax = 20
const base = '/scim/v2'
const listSchema = 'urn:ietf:params:scim:api:messages:2.0:ListResponse'
const errorSchema = 'urn:ietf:params:scim:api:messages:2.0:Error'

interface ScimEnv {
  readonly Variables: { caller: ScimCaller }
}

/** SCIM 2.0 (RFC 7644): where providers keep users and groups up to date. */
export function scimRoutes(parts: SignalParts): Hono<ScimEnv> {
  const app = new Hono<ScimEnv>()
  app.onError((error, context) => answerError(context, error, parts))
  app.use(`${base}/*`, async (context, next) => {
    const caller = callerOf(context, parts)
    if (caller === undefined) {
      parts.rates.stranger(context)
      context.header('www-authenticate', 'Bearer realm="scim"')
      throw new ScimError(401, ERRORS.SP_SIGNAL_REFUSED.say)
    }
    parts.rates.provider(caller.issuer)
    context.set('caller', caller)
    return next()
  })
  const tooLarge = (context: Context): Response =>
    answer(context, errorBody(413, `at most ${bodyBytesMax} bytes are taken`), 413)
  app.use(`${base}/*`, bodyLimit({ maxSize: bodyBytesMax, onError: tooLarge }))
  const directory = new ScimDirectory(parts)
  addUserRoutes(app, directory)
  addGroupRoutes(app, directory)
  addDiscoveryRoutes(app)
  app.all(`${base}/*`, (context) => {
    throw new ScimError(404, `there is nothing at ${context.req.method} of this address`)
  })
  return app
}

function addUserRoutes(app: Hono<ScimEnv>, directory: ScimDirectory): void {
  const users = `${base}/Users`
  app.get(users, async (context) => {
    const page = pageOf(context, pageMax)
    return list(context, page, await directory.listUsers(context.var.caller, page))
  })
  app.post(users, async (context) => {
    const user = readUser(await bodyOf(context))
    return answer(context, await directory.createUser(context.var.caller, user), 201)
  })
  app.get(`${users}/:id`, async (context) =>
    answer(context, await directory.readUser(context.var.caller, idOf(context))),
  )
  app.put(`${users}/:id`, async (context) => {
    const user = readUser(await bodyOf(context))
    return answer(context, await directory.replaceUser(context.var.caller, idOf(context), user))
  })
  app.patch(`${users}/:id`, async (context) => {
    const operations = readOperations(await bodyOf(context))
    return answer(context, await directory.patchUser(context.var.caller, idOf(context), operations))
  })
  app.delete(`${users}/:id`, async (context) => {
    await directory.deleteUser(context.var.caller, idOf(context))
    return context.body(null, 204)
  })
}

function addGroupRoutes(app: Hono<ScimEnv>, directory: ScimDirectory): void {
  const groups = `${base}/Groups`
  app.get(groups, async (context) => {
    const withMembers = wantsMembers(context)
    const page = pageOf(context, withMembers ? groupsPageMax : pageMax)
    return list(context, page, await directory.listGroups(context.var.caller, page, withMembers))
  })
  app.post(groups, async (context) => {
    const change = readGroup(await bodyOf(context))
    return answer(context, await directory.createGroup(context.var.caller, change), 201)
  })
  app.get(`${groups}/:id`, async (context) => {
    const { caller } = context.var
    return answer(context, await directory.readGroup(caller, idOf(context), wantsMembers(context)))
  })
  app.put(`${groups}/:id`, async (context) => {
    const change = readGroup(await bodyOf(context))
    return answer(context, await directory.replaceGroup(context.var.caller, idOf(context), change))
  })
  app.patch(`${groups}/:id`, async (context) => {
    const operations = readOperations(await bodyOf(context))
    const { caller } = context.var
    return answer(context, await directory.patchGroup(caller, idOf(context), operations))
  })
  app.delete(`${groups}/:id`, async (context) => {
    await directory.deleteGroup(context.var.caller, idOf(context))
    return context.body(null, 204)
  })
}

function addDiscoveryRoutes(app: Hono<ScimEnv>): void {
  app.get(`${base}/ServiceProviderConfig`, (context) => answer(context, serviceProviderConfig))
  for (const [path, views] of [
    ['ResourceTypes', resourceTypes],
    ['Schemas', schemas],
  ] as const) {
    const page = { filter: [], offset: 0, count: views.length }
    app.get(`${base}/${path}`, (context) => list(context, page, { total: views.length, views }))
    app.get(`${base}/${path}/:id`, (context) => {
      const view = views.find((each) => each['id'] === idOf(context))
      if (view === undefined) throw new ScimError(404, `there is no ${path} of this name`)
      return answer(context, view)
    })
  }
}

/** The provider whose token the request shows. All are compared, so that the time says nothing. */
function callerOf(context: Context, { config, gatewayUrl }: SignalParts): ScimCaller | undefined {
  const [scheme, token = ''] = (context.req.header('authorization') ?? '').split(' ')
  const shown = digest(token)
  let caller: ScimCaller | undefined
  for (const { name, issuer, signals } of loginProviders(config())) {
    if (signals?.scim === undefined || !timingSafeEqual(digest(signals.scim.expose()), shown))
      continue
    caller = { provider: name, issuer, baseUrl: `${gatewayUrl()}${base}` }
  }
  return scheme?.toLowerCase() === 'bearer' ? caller : undefined
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

async function bodyOf(context: Context): Promise<Attributes> {
  const type = context.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/scim+json' && type !== 'application/json')
    throw new ScimError(400, 'the body must be application/scim+json', 'invalidSyntax')
  let body: unknown
  try {
    body = await context.req.json()
  } catch {
    throw new ScimError(400, 'the body is not JSON', 'invalidSyntax')
  }
  return readAttributes(body, 'the body')
}

function idOf(context: Context): string {
  const id = context.req.param('id') ?? ''
  // Ours are UUIDs; PostgreSQL takes no text with a zero byte.
  if (id.includes('\0')) throw notFound('User', id)
  return id
}

function pageOf(context: Context, max: number): Page {
  const start = number(context.req.query('startIndex'), 1)
  const count = number(context.req.query('count'), max)
  // RFC 7644, section 3.4.2.4: what is too small is taken as the smallest.
  return {
    filter: readFilter(context.req.query('filter')),
    offset: Math.max(1, start) - 1,
    count: Math.min(max, Math.max(0, count)),
  }
}

function number(text: string | undefined, absent: number): number {
  if (text === undefined) return absent
  const value = Number(text)
  if (Number.isSafeInteger(value)) return value
  throw new ScimError(400, 'startIndex and count are whole numbers', 'invalidValue')
}

function wantsMembers(context: Context): boolean {
  const without = (context.req.query('excludedAttributes') ?? '').toLowerCase().split(',')
  return !without.some((name) => name.trim() === 'members')
}

function list(context: Context, { offset }: Page, { total, views }: Listing): Response {
  return answer(context, {
    schemas: [listSchema],
    totalResults: total,
    startIndex: offset + 1,
    itemsPerPage: views.length,
    Resources: views,
  })
}

type Status = 200 | 201 | 400 | 401 | 404 | 409 | 413 | 429 | 503

function answer(context: Context, body: unknown, status: Status = 200): Response {
  context.header('cache-control', 'no-store')
  return context.body(JSON.stringify(body), status, { 'content-type': 'application/scim+json' })
}

/** RFC 7644, section 3.12. */
function errorBody(status: Status, detail: string, scimType?: string): object {
  const type = scimType === undefined ? {} : { scimType }
  return { schemas: [errorSchema], status: String(status), ...type, detail }
}

function answerError(
  context: Context,
  error: unknown,
  { onEvent, onFault }: SignalParts,
): Response {
  if (error instanceof ScimError) {
    if (error.status === 401) onEvent({ kind: 'signal.refused', why: 'scim: the token is wrong' })
    return answer(context, errorBody(error.status, error.message, error.scimType), error.status)
  }
  if (error instanceof RateError) {
    context.header('retry-after', error.retryAfter)
    return answer(context, errorBody(429, error.message), 429)
  }
  onFault(error)
  // Whatever it was, the change is stored whole or not at all, so the directory may try again.
  return answer(context, errorBody(503, ERRORS.SP_INTERNAL.say), 503)
}
