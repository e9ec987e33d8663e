import { createHash, timingSafeEqual } from 'node:crypto'
import { type AgentId, SallyportError, type Secret } from '@sallyport/core'
import type { Context } from 'hono'
import type { Endpoint } from '../contract/endpoint.ts'
import type { CheckedProof, DpopProofs } from '../dpop.ts'
import { sourceOf } from '../source-of.ts'
import { type Actor, ownerActor } from './agent-events.ts'
import type { AgentService } from './agent-service.ts'
import type { AgentView } from '../contract/agent-views.ts'

/** Whom a request comes from, and which agents it reaches. */
export interface ApiCaller {
  readonly actor: Actor
  /** The agent that asks and the root of its tree; none for the owner. */
  readonly agent?: AgentId
  readonly tree?: AgentId
  /** Of the key that signed the request: handles that are made by it are bound to that key. */
  readonly thumbprint?: string
  /** Also those that ended a short while ago. */
  visible(): AgentView[]
  /** The agent of this id, prefix, or `self`. What the caller does not reach reads like what does not exist. */
  reach(id: string): AgentView
  /** Whether an agent of this path is the caller or below it. */
  reaches(path: readonly string[]): boolean
  /** Whether the token still is what it was: a handle may have been replaced meanwhile. */
  holds(): boolean
  /** Whether the agent has ended meanwhile. */
  isOver(): boolean
  mustBeOwner(): void
  /** Throws why the caller may not act: it is frozen. */
  mustAct(): void
}

/** What tells who calls. */
export interface CallerOptions {
  readonly agents: AgentService
  readonly ownerToken: Secret<string>
  readonly owner: string
  readonly callers: { owner(): void }
  readonly proofs: DpopProofs
  /** By which URLs requests may name this gateway. */
  readonly ownUrls: () => readonly string[]
}

/**
 * Who sent a request, by its token: the owner's, or the handle of an agent that has not ended. A handle that is bound to a
 * key comes as `DPoP`, with a proof for this request (RFC 9449, section 7.1); as `Bearer` it is worth nothing.
 */
export async function callerOf(context: Context, options: CallerOptions): Promise<ApiCaller> {
  const { agents, ownerToken, owner } = options
  const [scheme = '', token = ''] = (context.req.header('authorization') ?? '').split(' ')
  const source = sourceOf(context)
  if (scheme.toLowerCase() === 'bearer') {
    if (sameText(token, ownerToken.expose())) {
      options.callers.owner()
      return ownerCaller(agents, owner)
    }
    const self = agents.agentOfHandle(token, { source })
    if (self !== undefined) return agentCaller(agents, self, token, {})
  }
  if (scheme.toLowerCase() === 'dpop') {
    const proof = await checkProof(context, options, token)
    const shown = { thumbprint: proof.thumbprint, source }
    const self = agents.agentOfHandle(token, shown)
    if (self !== undefined) {
      await proof.use().catch((error: unknown) => {
        agents.proofReplayed(token, shown)
        throw error
      })
      return agentCaller(agents, self, token, { thumbprint: proof.thumbprint })
    }
  }
  throw new SallyportError('SP_LOGIN_REFUSED', 'the token is missing or wrong')
}

/** Who calls an endpoint, where it is for them. */
export async function admitted(
  context: Context,
  { who, acts }: Endpoint,
  options: CallerOptions,
): Promise<ApiCaller> {
  const caller = await callerOf(context, options)
  if (who === 'owner') caller.mustBeOwner()
  if (acts === true) caller.mustAct()
  return caller
}

/** The proof of a request, for its method and address, and for the handle that it comes with. Throws where it is missing or wrong. */
export async function checkProof(
  context: Context,
  { proofs, ownUrls }: Pick<CallerOptions, 'proofs' | 'ownUrls'>,
  token?: string,
): Promise<CheckedProof> {
  const proof = context.req.header('dpop')
  if (proof === undefined)
    throw new SallyportError('SP_PROOF_REFUSED', 'the request has no DPoP proof')
  const { pathname } = new URL(context.req.url)
  return await proofs.check(proof, {
    method: context.req.method,
    urls: ownUrls().map((url) => url + pathname),
    ...(token === undefined ? {} : { token }),
  })
}

function ownerCaller(agents: AgentService, owner: string): ApiCaller {
  return {
    actor: ownerActor(owner),
    visible: () => agents.list(),
    reach: (id) => agents.get(id) ?? missing(id),
    reaches: () => true,
    holds: () => true,
    isOver: () => false,
    mustBeOwner: () => undefined,
    mustAct: () => undefined,
  }
}

function agentCaller(
  agents: AgentService,
  self: AgentView,
  token: string,
  shown: { readonly thumbprint?: string },
): ApiCaller {
  const refuse = ({ code, detail }: Refusal): never => {
    throw new SallyportError(code, detail, { detail })
  }
  const standing = agents.authorizeAgent(self.id)
  // The right handle of an agent that is over reads why.
  if (!standing.ok && standing.code !== 'SP_AGENT_FROZEN') refuse(standing)
  agents.touched(self.id)
  const reaches = (path: readonly string[]): boolean => path.includes(self.id)
  return {
    actor: { by: 'agent', name: self.name, chain: self.chain, path: self.path },
    agent: self.id,
    ...shown,
    tree: self.path[0] ?? self.id,
    visible: () => agents.list().filter(({ path }) => reaches(path)),
    reach: (id) => agents.get(id === 'self' ? self.id : id, self.id) ?? missing(id),
    reaches,
    holds: () => agents.agentOfHandle(token, shown)?.id === self.id,
    isOver() {
      const now = agents.authorizeAgent(self.id)
      return !now.ok && now.code !== 'SP_AGENT_FROZEN'
    },
    mustBeOwner: () => {
      throw new SallyportError('SP_NOT_GRANTED', 'only a person may do this')
    },
    mustAct: () => {
      if (!standing.ok) refuse(standing)
    },
  }
}

type Refusal = Exclude<ReturnType<AgentService['authorizeAgent']>, { ok: true }>

function missing(id: string): never {
  throw new SallyportError('SP_NOT_FOUND', `there is no agent "${id.slice(0, 64)}"`, {
    detail: 'agent',
  })
}

/** Digests have one length, which a comparison in constant time needs. */
function sameText(left: string, right: string): boolean {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(left), digest(right))
}
