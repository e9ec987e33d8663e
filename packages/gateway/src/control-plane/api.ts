import { createHash, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  ERRORS,
  SallyportError,
  type ErrorCode,
  type KeyChange,
  type Secret,
} from '@sallyport/core'
import { getRequestListener } from '@hono/node-server'
import { type Context, Hono } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import { bytesOf } from './bytes-of.ts'
import { addIncidentRoutes, type IncidentOperations } from './incidents/incident-routes.ts'
import type { ProbeResult } from '../boundary/messages.ts'
import { type ConnectionSettings, parseSettingsChange } from './connection-settings.ts'
import type { ConnectionView, NewConnection } from './connections.ts'
import type { CredentialRequest, IssuedCredential } from './credentials.ts'
import type { DeliveryStatus } from './exports/delivery/deliverer.ts'
import type { ExportTest } from './exports/exports.ts'
import { type GuardRequest, parseGuardRequest } from './guard/parse-guard-request.ts'
import type { LedgerPage } from './ledger/read-ledger.ts'
import { servedFrom } from './ledger/request-source.ts'
import { addPolicyRoutes, type PolicyOperations } from './policies/policy-routes.ts'
import { parseCredentialRequest } from './parse-credential-request.ts'
import { parseNewConnection } from './parse-new-connection.ts'
import { tokenAlgorithms } from './births/workload/verify-token.ts'
import type { Hold, RetentionPlan, RetentionReport } from './retention/retention.ts'
import { RateError } from './rates.ts'
import { isNameOfHere, isThisMachine } from './this-machine.ts'
import { type RecordingForm, recordingForms } from './recorded-session.ts'
import { sourceOf } from './source-of.ts'
import { parseStartAt } from './start-at.ts'
import type { SearchPage, SearchRequest } from './recordings/index/query/search-sessions.ts'
import type { ViewForm } from './recordings/live/live-view.ts'
import type { SessionView } from './session-index.ts'

/** What the API can do; the control plane provides it. */
export interface Operations {
  status(): Promise<unknown>
  listConnections(): Promise<readonly ConnectionView[]>
  getConnection(name: string): Promise<ConnectionView>
  putConnection(connection: NewConnection): Promise<ConnectionView>
  setConnection(name: string, change: Partial<ConnectionSettings>): Promise<ConnectionView>
  removeConnection(name: string): Promise<void>
  testConnection(name: string): Promise<ProbeResult>
  /** JSON lines, as they come about. */
  guardConnection(name: string, request: GuardRequest): Promise<AsyncIterable<string>>
  issueCredential(request: CredentialRequest): Promise<IssuedCredential>
  listSessions(): Promise<readonly SessionView[]>
  searchSessions(request: SearchRequest): Promise<SearchPage>
  planRetention(): Promise<RetentionPlan>
  applyRetention(): Promise<RetentionReport>
  /** Of a session or an agent, by id or the beginning of it. */
  addHold(subject: string, reason: string): Promise<Hold>
  listHolds(): Promise<readonly Hold[]>
  removeHold(id: string, reason: string): Promise<void>
  /** Facts of the ledger, newest first. */
  readLedger(request: SearchRequest): Promise<LedgerPage>
  /** Makes the index of searches anew; `status` tells when it is done. */
  reindex(): Promise<void>
  listKeys(): Promise<KeysView>
  /** Signs with a new key from here on. */
  rotateKey(): Promise<KeysView>
  listExports(): Promise<readonly DeliveryStatus[]>
  /** Sends an event that says that it is a test. */
  testExport(name: string): Promise<ExportTest>
  readSession(idPrefix: string, form: RecordingForm): Promise<AsyncIterable<string>>
  /** A caller reads that it was refused. */
  refused(code: ErrorCode): void
  /** What is recorded from now on, of one session, of a tree, or of all that a search names; see `LiveView`. */
  watch(of: string, form: ViewForm): Promise<AsyncIterable<string>>
  readonly incidents: IncidentOperations
  readonly policies: PolicyOperations
  /** A ZIP archive, piece by piece. */
  exportSessions(idPrefixes: readonly string[]): Promise<AsyncIterable<Uint8Array>>
}

/** The keys that the node has signed its recordings with, by their thumbprints. */
export interface KeysView {
  readonly current: string
  readonly first: string
  /** Oldest first. */
  readonly changes: readonly KeyChange[]
}

/** Certificates of a target are the largest thing that is sent here. */
const bodyBytesMax = 256 * 1024
const exportSessionsMax = 1000
const widthDefault = 100
const pageLimitDefault = 20
const pageLimitMax = 100
const factLimitMax = 1000
const widthMax = 1000

/** Hears of who comes. */
export interface CallersSeen {
  /** Somebody showed the owner's token. */
  owner(): void
  /** Somebody showed a token that opens nothing, or none. */
  refused(why: string): void
}

/** The routes of the API. All but `/healthz` and those in `mounted`, which see to it themselves, need the owner's token. */
export function apiRoutes(
  operations: Operations,
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
  app.get('/healthz', (context) => context.json({ ok: true }))
  const tooLarge = (context: Context): Response =>
    errorAnswer(
      context,
      new SallyportError('SP_MESSAGE_TOO_LARGE', `at most ${bodyBytesMax} bytes are taken`),
    )
  app.use('/v1/*', bodyLimit({ maxSize: bodyBytesMax, onError: tooLarge }))
  for (const routes of mounted) app.route('/', routes)
  app.use('/v1/*', async (context, next) => {
    const [scheme, token = ''] = (context.req.header('authorization') ?? '').split(' ')
    if (scheme?.toLowerCase() !== 'bearer' || !sameText(token, ownerToken.expose())) {
      throw new SallyportError('SP_LOGIN_REFUSED', 'the owner token is missing or wrong')
    }
    callers.owner()
    await next()
  })
  app.get('/v1/status', async (context) => context.json(await operations.status()))
  addConnectionRoutes(app, operations)
  app.post('/v1/credentials', async (context) =>
    context.json(
      await operations.issueCredential(parseCredentialRequest(await jsonBody(context))),
      201,
    ),
  )
  addSessionRoutes(app, operations)
  addIncidentRoutes(app, operations.incidents, jsonBody)
  addPolicyRoutes(app, operations.policies, jsonBody)
  addRetentionRoutes(app, operations)
  return app
}

function addConnectionRoutes(app: Hono, operations: Operations): void {
  app.get('/v1/connections', async (context) => context.json(await operations.listConnections()))
  app.post('/v1/connections', async (context) =>
    context.json(await operations.putConnection(parseNewConnection(await jsonBody(context))), 201),
  )
  app.get('/v1/connections/:name', async (context) =>
    context.json(await operations.getConnection(context.req.param('name'))),
  )
  app.patch('/v1/connections/:name', async (context) => {
    const change = parseSettingsChange(await jsonBody(context))
    return context.json(await operations.setConnection(context.req.param('name'), change))
  })
  app.delete('/v1/connections/:name', async (context) => {
    await operations.removeConnection(context.req.param('name'))
    return context.body(null, 204)
  })
  app.post('/v1/connections/:name/test', async (context) =>
    context.json(await operations.testConnection(context.req.param('name'))),
  )
  app.post('/v1/connections/:name/guard', async (context) => {
    const name = context.req.param('name')
    const request = parseGuardRequest(await jsonBody(context))
    await operations.getConnection(name)
    const pieces = bytesOf(await operations.guardConnection(name, request))
    return context.body(pieces, 200, { 'content-type': 'application/x-ndjson' })
  })
}

function addSessionRoutes(app: Hono, operations: Operations): void {
  app.get('/v1/sessions', async (context) => {
    const { q: query, after } = context.req.query()
    if (query === undefined) return context.json(await operations.listSessions())
    const limit = pageLimit(context.req.query('limit'))
    const request = { query, limit, ...(after === undefined ? {} : { after }) }
    return context.json(await operations.searchSessions(request))
  })
  app.get('/v1/ledger', async (context) => {
    const { q: query = '', after } = context.req.query()
    const limit = pageLimit(context.req.query('limit'), factLimitMax)
    const request = { query, limit, ...(after === undefined ? {} : { after }) }
    return context.json(await operations.readLedger(request))
  })
  app.post('/v1/reindex', async (context) => {
    await operations.reindex()
    return context.json({ ok: true }, 202)
  })
  app.get('/v1/keys', async (context) => context.json(await operations.listKeys()))
  app.post('/v1/keys/rotate', async (context) => context.json(await operations.rotateKey(), 201))
  app.get('/v1/sessions/:prefix', async (context) => {
    const form = recordingForm(context)
    const pieces = await operations.readSession(context.req.param('prefix').toLowerCase(), form)
    return context.body(bytesOf(pieces), 200, { 'content-type': recordingForms[form.kind] })
  })
  app.get('/v1/watch', async (context) => {
    const form = recordingForm(context)
    if (form.kind !== 'steps' && form.kind !== 'ndjson') {
      const detail = 'a live view has the forms as=steps and as=ndjson'
      throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
    }
    const { kind, width, onlyDecisions = false } = form
    const lines = await operations.watch(context.req.query('of') ?? '', {
      kind,
      width,
      onlyDecisions,
    })
    return context.body(bytesOf(lines), 200, { 'content-type': 'application/x-ndjson' })
  })
  app.get('/v1/event-exports', async (context) => context.json(await operations.listExports()))
  app.post('/v1/event-exports/:name/test', async (context) =>
    context.json(await operations.testExport(context.req.param('name'))),
  )
  app.get('/v1/exports', async (context) => {
    const sessions = context.req.queries('session') ?? []
    if (sessions.length === 0 || sessions.length > exportSessionsMax) {
      const detail = `Name 1 to ${exportSessionsMax} sessions, as ?session=s_…&session=s_…`
      throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
    }
    const pieces = await operations.exportSessions(sessions.map((each) => each.toLowerCase()))
    return context.body(bytesOf(pieces), 200, {
      'content-type': 'application/zip',
      'content-disposition': 'attachment; filename="sallyport-export.zip"',
    })
  })
}

function addRetentionRoutes(app: Hono, operations: Operations): void {
  app.get('/v1/retention', async (context) => context.json(await operations.planRetention()))
  app.post('/v1/retention', async (context) => context.json(await operations.applyRetention()))
  app.get('/v1/holds', async (context) => context.json(await operations.listHolds()))
  app.post('/v1/holds', async (context) => {
    const { subject, reason } = parseHold(await jsonBody(context))
    return context.json(await operations.addHold(subject, reason), 201)
  })
  app.delete('/v1/holds/:id', async (context) => {
    const reason = context.req.query('reason') ?? 'no reason was given'
    await operations.removeHold(context.req.param('id'), reason)
    return context.body(null, 204)
  })
}

function parseHold(body: unknown): { subject: string; reason: string } {
  const { subject, reason } = (body ?? {}) as { subject?: unknown; reason?: unknown }
  if (typeof subject === 'string' && subject !== '' && typeof reason === 'string')
    return { subject: subject.toLowerCase(), reason }
  const detail = 'a hold has a subject, the id of a session or an agent, and a reason'
  throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

function pageLimit(text: string | undefined, most = pageLimitMax): number {
  if (text === undefined) return pageLimitDefault
  const limit = Number(text)
  if (/^\d{1,4}$/u.test(text) && limit >= 1 && limit <= most) return limit
  const detail = `limit is a number from 1 to ${most}`
  throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}

function recordingForm(context: Context): RecordingForm {
  const kind = context.req.query('as') ?? 'ndjson'
  if (!isForm(kind)) {
    const detail = `"${kind}" is no form of a recording. There are ${Object.keys(recordingForms).join(', ')}.`
    throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
  }
  const width = Number(context.req.query('width') ?? widthDefault)
  const usable = Number.isInteger(width) && width > 0
  const { at, only, skip } = context.req.query()
  if (only !== undefined && (only !== 'decisions' || (kind !== 'text' && kind !== 'steps'))) {
    const detail = 'only=decisions is for as=text and as=steps; there is no other "only"'
    throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
  }
  return {
    kind,
    width: usable ? Math.min(width, widthMax) : widthDefault,
    onlyDecisions: only !== undefined,
    skip: /^\d{1,12}$/u.test(skip ?? '') ? Number(skip) : 0,
    ...(at === undefined ? {} : { from: parseStartAt(at, Date.now()) }),
  }
}

function isForm(kind: string): kind is RecordingForm['kind'] {
  return Object.hasOwn(recordingForms, kind)
}

async function jsonBody(context: Context): Promise<unknown> {
  const type = context.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json') {
    throw new SallyportError('SP_CONFIG_INVALID', 'the body must be application/json')
  }
  try {
    return await context.req.json()
  } catch (cause) {
    throw new SallyportError('SP_CONFIG_INVALID', 'the body is not JSON', { cause })
  }
}

/** Digests have one length, which a comparison in constant time needs. */
function sameText(left: string, right: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(left), digest(right))
}

const statuses: Readonly<Record<string, ContentfulStatusCode>> = {
  SP_LOGIN_REFUSED: 401,
  SP_NOT_FOUND: 404,
  SP_CONFIG_INVALID: 400,
  SP_QUERY_INVALID: 400,
  SP_MESSAGE_TOO_LARGE: 413,
  SP_NOT_SUPPORTED: 501,
  SP_STATE_STALE: 503,
  SP_TARGET_UNREACHABLE: 502,
  SP_CREDENTIAL_EXPIRED: 401,
  SP_CREDENTIAL_SHARED: 401,
  SP_AGENT_REVOKED: 401,
  SP_AGENT_ENDED: 401,
  SP_AGENT_FROZEN: 503,
  SP_NOT_GRANTED: 403,
  SP_APPROVAL_REFUSED: 403,
  SP_PREVIEW_UNKNOWN: 409,
  SP_LEVEL_TOO_LOW: 403,
  SP_GRANT_EXCEEDS_PARENT: 403,
  SP_GRANT_UNRESOLVED: 403,
  SP_SPAWN_DEPTH: 403,
  SP_SPAWN_LIMIT: 403,
  SP_LOGIN_INSIDE_AGENT: 403,
  SP_BUDGET_SPENT: 429,
  SP_PROOF_REFUSED: 401,
  SP_TOKEN_REFUSED: 400,
  SP_TOKEN_REPLAYED: 400,
  SP_LOGIN_WITHDRAWN: 400,
  SP_SIGNAL_REFUSED: 400,
  SP_TICKET_SPENT: 400,
  SP_LIMIT: 429,
  SP_RATE_LIMIT: 429,
  SP_RECORD_UNAVAILABLE: 503,
  SP_RECORDINGS_AWAY: 503,
  SP_RECORDINGS_REFUSED: 503,
  SP_RECORDINGS_MISPLACED: 503,
  SP_RECORDINGS_CHANGED: 503,
  SP_SHUTTING_DOWN: 503,
  SP_GUARD_MISSING: 409,
}

/** For a caller that may try again, in seconds. */
const retryAfterFrozen = '60'

function errorAnswer(context: Context, error: Error): Response {
  // The text of an unforeseen error may hold anything, so it stays in this process.
  const code = codeOf(error)
  const message =
    error instanceof SallyportError && code !== 'SP_INTERNAL'
      ? error.message
      : ERRORS.SP_INTERNAL.say
  const body = { error: { code, message, retry: ERRORS[code].retry, fix: ERRORS[code].say } }
  if (error instanceof RateError) {
    context.header('retry-after', error.retryAfter)
    return context.json(body, 429)
  }
  // RFC 9449, section 7.1.
  if (statuses[code] === 401) context.header('www-authenticate', challenge(code))
  if (code === 'SP_AGENT_FROZEN') context.header('retry-after', retryAfterFrozen)
  return context.json(body, statuses[code] ?? 500)
}

function codeOf(error: Error): ErrorCode {
  return error instanceof SallyportError ? error.code : 'SP_INTERNAL'
}

function challenge(code: string): string {
  const why = code === 'SP_PROOF_REFUSED' ? ', error="invalid_dpop_proof"' : ''
  return `Bearer, DPoP algs="${tokenAlgorithms.join(' ')}"${why}`
}

function refuseHost(response: ServerResponse): void {
  const code = 'SP_NOT_FOUND'
  const message = 'this API is not served by the name in the Host header: use 127.0.0.1'
  const body = { error: { code, message, retry: ERRORS[code].retry, fix: ERRORS[code].say } }
  response.writeHead(421, { 'content-type': 'application/json' }).end(JSON.stringify(body))
}

/** A listening API. */
export interface ApiListener {
  readonly port: number
  close(): Promise<void>
}

/** Serves the routes on one address of this machine. */
export async function listenApi(
  app: Hono,
  host: string,
  port: number,
  publicUrl?: string,
): Promise<ApiListener> {
  const answer = getRequestListener(app.fetch)
  const isOpen = !isThisMachine(host)
  const listener = createServer((request, response) => {
    if (isOpen || isNameOfHere(request.headers.host, publicUrl)) void answer(request, response)
    else refuseHost(response)
  })
  listener.listen(port, host)
  try {
    await once(listener, 'listening')
  } catch (cause) {
    const message = `port ${port} of ${host} cannot be used for the API. Choose another: --port-api`
    throw new SallyportError('SP_CONFIG_INVALID', message, { cause, detail: message })
  }
  return {
    port: (listener.address() as AddressInfo).port,
    async close() {
      const closed = once(listener, 'close')
      listener.close()
      listener.closeAllConnections()
      await closed
    },
  }
}
