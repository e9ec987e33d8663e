import { SallyportError } from '@sallyport/core'
import { type Context, Hono } from 'hono'
import type { Actor } from './agent-events.ts'
import type { EndWait, RootRequest, Spawned } from './agent-requests.ts'
import type { AgentView } from './agent-views.ts'
import type { LineageKey } from '../keys/lineage-key.ts'
import type { SourceRates } from '../source-rates.ts'
import { type ApiCaller, type CallerOptions, callerOf, checkProof } from './api-caller.ts'
import type { CallerRates } from './caller-rates.ts'
import { eventStream } from './event-stream.ts'
import { LIMITS_DEFAULT, TTL } from './limits.ts'
import {
  parseChild,
  parseMint,
  parseNarrow,
  parseReason,
  parseRedemption,
  parseRenew,
  parseRoot,
  parseTicket,
} from './parse-agent-requests.ts'
import { invalid, rootName } from './spawn-rules.ts'

/** What the routes need of their surroundings. */
export interface AgentRouteOptions extends CallerOptions {
  /** `postgres://…` without user and password, for a connection. */
  readonly address: () => { readonly host: string; readonly port: number }
  readonly connections: () => Promise<readonly GrantableConnection[]>
  /** Signs lineages; `iss` is the gateway's own URL. */
  readonly lineageKey: LineageKey
  readonly gatewayUrl: () => string
  readonly sources: SourceRates
  readonly rates: CallerRates
}

/** What an agent may know of a connection. */
interface GrantableConnection {
  readonly name: string
  readonly database: string
}

const keyCharactersMax = 128

/** Agents over HTTP: the owner reaches all of them, an agent itself and those below. Errors are the caller's to answer. */
export function agentRoutes(options: AgentRouteOptions): Hono {
  const app = new Hono()
  const { agents } = options
  const caller = async (context: Context): Promise<ApiCaller> => await callerOf(context, options)
  app.get('/v1/agents', async (context) => context.json((await caller(context)).visible()))
  app.post('/v1/agents', async (context) => {
    const who = await caller(context)
    who.mustBeOwner()
    return await createRoot(options, context, who)
  })
  app.post('/v1/tickets/redeem', async (context) => {
    options.sources.birth(context)
    const { ticket, ...redemption } = parseRedemption(await bodyOf(context))
    const key = await keyOfNewHandle(context, options)
    return created(context, await agents.redeemTicket(ticket, { ...redemption, ...key }), key)
  })
  app.get('/v1/events', async (context) => {
    const who = await caller(context)
    return eventStream(context, agents, who, options.rates.stream(who))
  })
  app.get('/v1/revocations/:epoch', async (context) => {
    const who = await caller(context)
    const epoch = Number(context.req.param('epoch'))
    const found = Number.isSafeInteger(epoch) ? await agents.revocation(epoch) : undefined
    if (found === undefined || !who.reaches(found.path))
      throw new SallyportError('SP_NOT_FOUND', 'there is no revocation of this number')
    const { path: _, ...shown } = found
    return context.json(shown)
  })
  app.get('/v1/agents/:id', async (context) => context.json(target(context, await caller(context))))
  app.get('/v1/agents/:id/tree', async (context) =>
    context.json(agents.tree(target(context, await caller(context)).id)),
  )
  app.get('/v1/agents/:id/budget', async (context) =>
    context.json(agents.budgetOf(target(context, await caller(context)).id)),
  )
  app.get('/v1/agents/:id/connections', async (context) => {
    const { id } = target(context, await caller(context))
    const all = await options.connections()
    const granted = all.filter(({ name }) => agents.opens(id, name))
    return context.json(granted.map(({ name, database }) => ({ name, database })))
  })
  app.get('/v1/agents/:id/lineage', async (context) => {
    const who = await caller(context)
    const known = await agents.lineage(target(context, who).id, who.agent)
    const lineage = { iss: options.gatewayUrl(), ...known }
    return context.json({ lineage, jws: await options.lineageKey.sign(lineage) })
  })
  // RFC 7517: for whoever wants to verify a lineage; it needs no login.
  app.get('/oauth/jwks', (context) => context.json({ keys: [options.lineageKey.publicJwk] }))
  addBirths(app, options, caller)
  addChanges(app, options, caller)
  return app
}

function addBirths(
  app: Hono,
  options: AgentRouteOptions,
  caller: (context: Context) => Promise<ApiCaller>,
): void {
  const { agents } = options
  app.post('/v1/agents/:id/children', async (context) => {
    const who = await caller(context)
    const { id, by } = acting(context, who)
    const request = parseChild(await bodyOf(context), keyOf(context))
    const key = await keyOfNewHandle(context, options, who)
    return created(context, await agents.spawn(id, { ...request, ...key }, by), key)
  })
  app.post('/v1/agents/:id/tickets', async (context) => {
    const { id, by } = acting(context, await caller(context))
    const issued = await agents.createTicket(id, parseTicket(await bodyOf(context)), by)
    const { expiresAtMs, ...rest } = issued
    return context.json({ ...rest, expiresAt: new Date(expiresAtMs).toISOString() }, 201)
  })
  app.post('/v1/agents/:id/credentials', async (context) => {
    const who = await caller(context)
    const { id, by } = acting(context, who)
    options.rates.mint(who)
    const request = parseMint(await bodyOf(context))
    const minted = await agents.mintCredential(id, request, by)
    const found = (await options.connections()).find(({ name }) => name === request.connection)
    const url = urlOf(options.address(), minted, found?.database ?? '')
    const expiresAt = new Date(minted.expiresAtMs).toISOString()
    return context.json(
      { id: minted.id, user: minted.user, secret: minted.secret, expiresAt, url },
      201,
    )
  })
}

function addChanges(
  app: Hono,
  { agents, rates }: AgentRouteOptions,
  caller: (context: Context) => Promise<ApiCaller>,
): void {
  app.post('/v1/agents/:id/narrow', async (context) => {
    const { id, by } = acting(context, await caller(context))
    return context.json(await agents.narrow(id, parseNarrow(await bodyOf(context)), by))
  })
  app.post('/v1/agents/:id/renew', async (context) => {
    const who = await caller(context)
    const { id, by } = acting(context, who)
    const isAbove = who.agent !== id
    return context.json(await agents.renew(id, parseRenew(await bodyOf(context)), by, isAbove))
  })
  app.post('/v1/agents/:id/beat', async (context) => {
    const who = await caller(context)
    return context.json(await agents.beat(target(context, who).id))
  })
  // Whoever is frozen may still give up, and take away what is below.
  for (const action of ['end', 'revoke', 'freeze'] as const) {
    app.post(`/v1/agents/:id/${action}`, async (context) => {
      const who = await caller(context)
      const { id } = target(context, who)
      // To take away is never refused for coming too often.
      if (action === 'freeze') rates.freeze(who)
      const reason = parseReason(await bodyOf(context)) ?? 'no reason was given'
      return context.json(await agents[action](id, who.actor, reason, waitOf(context)))
    })
  }
  app.post('/v1/agents/:id/unfreeze', async (context) => {
    const who = await caller(context)
    // Only a person who is not in the tree.
    who.mustBeOwner()
    const { id } = target(context, who)
    const reason = parseReason(await bodyOf(context)) ?? 'no reason was given'
    return context.json(await agents.unfreeze(id, who.actor, reason))
  })
}

async function createRoot(
  options: AgentRouteOptions,
  context: Context,
  who: ApiCaller,
): Promise<Response> {
  const { agents, owner } = options
  const { name, layers, budget, delegate, ttlMs } = parseRoot(await bodyOf(context))
  const key = keyOf(context)
  const bound = await keyOfNewHandle(context, options, who)
  const root: RootRequest = {
    principal: { id: `user:${owner}`, kind: 'human', name: owner, groups: [] },
    name: name ?? rootName(owner),
    born: 'login',
    owner: `user:${owner}`,
    // The local owner holds everything that this gateway has.
    layers: layers.length > 0 ? layers : [everything],
    budget,
    delegate: { depth: LIMITS_DEFAULT.depth, ...delegate },
    ttlMs: ttlMs ?? TTL.humanRootMs,
    handle: true,
    ...bound,
    ...(key === undefined ? {} : { key: `owner:${key}` }),
  }
  return created(context, await agents.createRoot(root, who.actor), bound)
}

/** A request that comes with a proof makes a handle that is bound to the key of the proof. */
async function keyOfNewHandle(
  context: Context,
  options: AgentRouteOptions,
  who?: ApiCaller,
): Promise<{ boundTo?: string }> {
  if (who?.thumbprint !== undefined) return { boundTo: who.thumbprint }
  if (context.req.header('dpop') === undefined) return {}
  const proof = await checkProof(context, options)
  await proof.use()
  return { boundTo: proof.thumbprint }
}

const everything = {
  permits: [{ connections: ['*'], classes: ['*'], dimensions: {} }],
}

/** The agent that the address names, if the caller may see it. */
function target(context: Context, caller: ApiCaller): AgentView {
  return caller.reach(context.req.param('id') ?? '')
}

/** As `target`, for a caller that may act. */
function acting(context: Context, caller: ApiCaller): { readonly id: string; readonly by: Actor } {
  caller.mustAct()
  return { id: target(context, caller).id, by: caller.actor }
}

/** RFC 7800, section 3.1: `cnf` names the key that a handle is bound to. */
function created(
  context: Context,
  { agent, handle, cut }: Spawned,
  { boundTo }: { readonly boundTo?: string },
): Response {
  const cnf = boundTo === undefined || handle === undefined ? {} : { cnf: { jkt: boundTo } }
  return context.json({ agent, handle, cut, ...cnf }, 201)
}

function urlOf(
  { host, port }: { readonly host: string; readonly port: number },
  { user, secret }: { readonly user: string; readonly secret: string },
  database: string,
): string {
  const name = encodeURIComponent(database)
  return `postgresql://${encodeURIComponent(user)}:${secret}@${host}:${port}/${name}?sslmode=require`
}

function waitOf(context: Context): EndWait {
  const wait = context.req.query('wait')
  if (wait === undefined || wait === 'closed' || wait === 'none') return wait
  throw invalid('wait is closed or none')
}

/** A create that is sent again with the same key gives the same agent. */
function keyOf(context: Context): string | undefined {
  const key = context.req.header('idempotency-key')
  if (key === undefined || (key.length > 0 && key.length <= keyCharactersMax)) return key
  throw invalid(`an Idempotency-Key has 1 to ${keyCharactersMax} characters`)
}

async function bodyOf(context: Context): Promise<unknown> {
  const text = await context.req.text()
  if (text === '') return {}
  const type = context.req.header('content-type')?.split(';')[0]?.trim().toLowerCase()
  if (type !== 'application/json')
    throw new SallyportError('SP_CONFIG_INVALID', 'the body must be application/json')
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new SallyportError('SP_CONFIG_INVALID', 'the body is not JSON', { cause })
  }
}
