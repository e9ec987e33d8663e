import { createHash, timingSafeEqual } from 'node:crypto'
import { type AgentId, SallyportError, type Secret } from '@sallyport/core'
import type { Context } from 'hono'
import type { Actor } from './agent-events.ts'
import type { AgentService } from './agent-service.ts'
import type { AgentView } from './agent-views.ts'

/** Whom a request comes from, and which agents it reaches. */
export interface ApiCaller {
  readonly actor: Actor
  /** The agent that asks and the root of its tree; none for the owner. */
  readonly agent?: AgentId
  readonly tree?: AgentId
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

/** Who sent a request, by its bearer token: the owner's, or the handle of an agent that has not ended. */
export function callerOf(
  context: Context,
  options: { agents: AgentService; ownerToken: Secret<string>; owner: string },
): ApiCaller {
  const [scheme, token = ''] = (context.req.header('authorization') ?? '').split(' ')
  if (scheme?.toLowerCase() === 'bearer') {
    if (sameText(token, options.ownerToken.expose()))
      return ownerCaller(options.agents, options.owner)
    const self = options.agents.agentOfHandle(token)
    if (self !== undefined) return agentCaller(options.agents, self, token)
  }
  throw new SallyportError('SP_LOGIN_REFUSED', 'the token is missing or wrong')
}

function ownerCaller(agents: AgentService, owner: string): ApiCaller {
  return {
    actor: { name: owner, chain: [] },
    visible: () => agents.list(),
    reach: (id) => agents.get(id) ?? missing(id),
    reaches: () => true,
    holds: () => true,
    isOver: () => false,
    mustBeOwner: () => undefined,
    mustAct: () => undefined,
  }
}

function agentCaller(agents: AgentService, self: AgentView, token: string): ApiCaller {
  const refuse = ({ code, detail }: Refusal): never => {
    throw new SallyportError(code, detail, { detail })
  }
  const standing = agents.authorizeAgent(self.id)
  // The right handle of an agent that is over reads why.
  if (!standing.ok && standing.code !== 'SP_AGENT_FROZEN') refuse(standing)
  agents.touched(self.id)
  const reaches = (path: readonly string[]): boolean => path.includes(self.id)
  return {
    actor: { name: self.name, chain: self.chain },
    agent: self.id,
    tree: self.path[0] ?? self.id,
    visible: () => agents.list().filter(({ path }) => reaches(path)),
    reach: (id) => agents.get(id === 'self' ? self.id : id, self.id) ?? missing(id),
    reaches,
    holds: () => agents.agentOfHandle(token)?.id === self.id,
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
