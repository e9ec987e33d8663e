import { SallyportError } from '@sallyport/core'
import { type Context, Hono } from 'hono'
import type { Actor } from './agent-events.ts'
import type { MintRequest, RootRequest, Spawned } from './agent-requests.ts'
import type { LineageKey } from '../keys/lineage-key.ts'
import type { SourceRates } from '../source-rates.ts'
import { admitted, type ApiCaller, type CallerOptions, checkProof } from './api-caller.ts'
import type { CallerRates } from './caller-rates.ts'
import { eventStream } from './event-stream.ts'
import { LIMITS_DEFAULT, TTL } from './limits.ts'
import {
  childOf,
  mintOf,
  narrowingOf,
  type NewRoot,
  newRootOf,
  redemptionOf,
  renewalOf,
  ticketOf,
} from './read-agent-requests.ts'
import { rootName } from './spawn-rules.ts'
import type { AgentView, NewAgent, NewCredential } from '../contract/agent-views.ts'
import { agentEndpoints, ticketEndpoints, treeEndpoints } from '../contract/agents.ts'
import { serve } from '../api/serve.ts'

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

const noReason = 'no reason was given'

/** Agents over HTTP: the owner reaches all of them, an agent itself and those below. Errors are the caller's to answer. */
export function agentRoutes(options: AgentRouteOptions): Hono {
  const app = new Hono()
  addTree(app, options)
  addAgent(app, options)
  // RFC 7517: for whoever wants to verify a lineage; it needs no login.
  app.get('/oauth/jwks', (context) => context.json({ keys: [options.lineageKey.publicJwk] }))
  return app
}

function addTree(app: Hono, options: AgentRouteOptions): void {
  const { agents, sources, rates } = options
  serve(
    app,
    treeEndpoints,
    async (context, call) => await admitted(context, treeEndpoints[call], options),
    {
      'GET /v1/agents': (_request, who) => who.visible(),
      'POST /v1/agents': async ({ body, headers, context }, who) =>
        await createRoot(options, context, who, newRootOf(body), headers['idempotency-key']),
      'GET /v1/events': ({ context }, who) => eventStream(context, agents, who, rates.stream(who)),
      'GET /v1/revocations/{epoch}': async ({ params }, who) => {
        const epoch = Number(params.epoch)
        const found = Number.isSafeInteger(epoch) ? await agents.revocation(epoch) : undefined
        if (found === undefined || !who.reaches(found.path))
          throw new SallyportError('SP_NOT_FOUND', 'there is no revocation of this number')
        const { path: _, ...shown } = found
        return shown
      },
    },
  )
  serve(app, ticketEndpoints, (context) => sources.birth(context), {
    'POST /v1/tickets/redeem': async ({ body, context }) => {
      const { ticket, ...redemption } = redemptionOf(body)
      const key = await keyOfNewHandle(context, options)
      return created(await agents.redeemTicket(ticket, { ...redemption, ...key }), key)
    },
  })
}

/** Who asks, and the agent that the address names. */
interface Asked {
  readonly who: ApiCaller
  readonly agent: AgentView
}

function addAgent(app: Hono, options: AgentRouteOptions): void {
  const { agents, rates } = options
  const admit = async (context: Context, call: keyof typeof agentEndpoints): Promise<Asked> => {
    const who = await admitted(context, agentEndpoints[call], options)
    const agent = who.reach(context.req.param('id') ?? '')
    if (call === 'POST /v1/agents/{id}/credentials') rates.mint(who)
    // To take away is never refused for coming too often.
    if (call === 'POST /v1/agents/{id}/freeze') rates.freeze(who)
    return { who, agent }
  }
  serve(app, agentEndpoints, admit, {
    'GET /v1/agents/{id}': (_request, { agent }) => agent,
    'GET /v1/agents/{id}/tree': (_request, { agent }) => agents.tree(agent.id),
    'GET /v1/agents/{id}/budget': (_request, { agent }) => agents.budgetOf(agent.id),
    'GET /v1/agents/{id}/connections': async (_request, { agent }) => {
      const all = await options.connections()
      const granted = all.filter(({ name }) => agents.opens(agent.id, name))
      return granted.map(({ name, database }) => ({ name, database }))
    },
    'GET /v1/agents/{id}/lineage': async (_request, { who, agent }) => {
      const known = await agents.lineage(agent.id, who.agent)
      const lineage = { iss: options.gatewayUrl(), ...known }
      return { lineage, jws: await options.lineageKey.sign(lineage) }
    },
    'POST /v1/agents/{id}/children': async ({ body, headers, context }, { who, agent }) => {
      const request = childOf(body, headers['idempotency-key'])
      const key = await keyOfNewHandle(context, options, who)
      return created(await agents.spawn(agent.id, { ...request, ...key }, who.actor), key)
    },
    'POST /v1/agents/{id}/tickets': async ({ body }, { who, agent }) => {
      const issued = await agents.createTicket(agent.id, ticketOf(body), who.actor)
      const { expiresAtMs, ...rest } = issued
      return { ...rest, expiresAt: new Date(expiresAtMs).toISOString() }
    },
    'POST /v1/agents/{id}/credentials': async ({ body }, { who, agent }) =>
      await mint(options, agent, mintOf(body), who.actor),
    'POST /v1/agents/{id}/narrow': async ({ body }, { who, agent }) =>
      await agents.narrow(agent.id, narrowingOf(body), who.actor),
    'POST /v1/agents/{id}/renew': async ({ body }, { who, agent }) => {
      const isAbove = who.agent !== agent.id
      return await agents.renew(agent.id, renewalOf(body), who.actor, isAbove)
    },
    'POST /v1/agents/{id}/beat': async (_request, { agent }) => await agents.beat(agent.id),
    // Whoever is frozen may still give up, and take away what is below.
    'POST /v1/agents/{id}/end': async ({ body: { reason = noReason }, query }, { who, agent }) =>
      await agents.end(agent.id, who.actor, reason, query.wait),
    'POST /v1/agents/{id}/revoke': async ({ body: { reason = noReason }, query }, { who, agent }) =>
      await agents.revoke(agent.id, who.actor, reason, query.wait),
    'POST /v1/agents/{id}/freeze': async ({ body: { reason = noReason }, query }, { who, agent }) =>
      await agents.freeze(agent.id, who.actor, reason, query.wait),
    // Only a person who is not in the tree.
    'POST /v1/agents/{id}/unfreeze': async ({ body: { reason = noReason } }, { who, agent }) =>
      await agents.unfreeze(agent.id, who.actor, reason),
  })
}

async function mint(
  options: AgentRouteOptions,
  agent: AgentView,
  request: MintRequest,
  by: Actor,
): Promise<NewCredential> {
  const minted = await options.agents.mintCredential(agent.id, request, by)
  const { id, user, secret, expiresAtMs } = minted
  const found = (await options.connections()).find(({ name }) => name === request.connection)
  const url = urlOf(options.address(), minted, found?.database ?? '')
  return { id, user, secret, expiresAt: new Date(expiresAtMs).toISOString(), url }
}

async function createRoot(
  options: AgentRouteOptions,
  context: Context,
  who: ApiCaller,
  { name, layers, budget, delegate, ttlMs }: NewRoot,
  key: string | undefined,
): Promise<NewAgent> {
  const { agents, owner } = options
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
  return created(await agents.createRoot(root, who.actor), bound)
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

/** RFC 7800, section 3.1: `cnf` names the key that a handle is bound to. */
function created(
  { agent, handle, cut }: Spawned,
  { boundTo }: { readonly boundTo?: string },
): NewAgent {
  if (handle === undefined)
    throw new SallyportError('SP_INTERNAL', 'an agent was made without a handle')
  return { agent, handle, cut, ...(boundTo === undefined ? {} : { cnf: { jkt: boundTo } }) }
}

function urlOf(
  { host, port }: { readonly host: string; readonly port: number },
  { user, secret }: { readonly user: string; readonly secret: string },
  database: string,
): string {
  const name = encodeURIComponent(database)
  return `postgresql://${encodeURIComponent(user)}:${secret}@${host}:${port}/${name}?sslmode=require`
}
