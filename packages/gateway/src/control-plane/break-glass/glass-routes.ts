import { parseTtl, SallyportError, type Approver } from '@sallyport/core'
import { Hono } from 'hono'
import { admitted, type ApiCaller, type CallerOptions } from '../agents/api-caller.ts'
import { serve } from '../api/serve.ts'
import { answerRefused } from '../approvals/approval.ts'
import { approverOf, reaches } from '../approvals/viewers.ts'
import { factBy } from '../approvals/waiting.ts'
import { breakGlassEndpoints, type GlassBegun } from '../contract/break-glass.ts'
import type { IssuedCredential } from '../contract/connections.ts'
import type { CredentialRequest } from '../credentials.ts'
import type { GlassDrafts } from './glass-drafts.ts'
import type { Glasses, GlassRequest } from './glasses.ts'

export interface GlassRouteOptions extends CallerOptions {
  readonly glasses: Glasses
  readonly drafts: GlassDrafts
  /** A credential of a root agent of its own, for the owner. */
  readonly issue: (request: CredentialRequest) => Promise<IssuedCredential>
  readonly urlOf: (credential: IssuedCredential) => Promise<string>
  /** Where a person confirms a draft; undefined where nobody can log in. */
  readonly pageOf: (draft: string) => string | undefined
}

const forDefault = '15m'

/** Break-glass over HTTP. The owner's token breaks it at once; an agent can only ask the person at its root to. */
export function glassRoutes(options: GlassRouteOptions): Hono {
  const app = new Hono()
  const { glasses, agents } = options
  serve(
    app,
    breakGlassEndpoints,
    async (context, call) => await admitted(context, breakGlassEndpoints[call], options),
    {
      'GET /v1/break-glass': async (_request, who) =>
        (await glasses.list()).filter(({ agent }) => reaches(who, options, agent)),
      'POST /v1/break-glass': async ({ body }, who) => {
        const { reason, connections, agent, for: text = forDefault } = body
        const forMs = parseTtl(text)
        if (typeof forMs === 'string') throw invalid(`for ${forMs}`)
        const asked = { reason, connections: [...new Set(connections)], forMs }
        const by = approverOf(who, options)
        if (who.agent !== undefined)
          return draft(options, who, { ...asked, agent: who.reach(agent ?? 'self').id })
        if (agent === undefined) return await freshTree(options, by, asked)
        const { id } = agents.get(agent) ?? missing(agent)
        return { glass: await glasses.break(by, { ...asked, agent: id }) }
      },
      'POST /v1/break-glass/{id}/end': async ({ params }, who) => {
        const glass = glasses.find(params.id)
        // Whoever stands above an agent may take from it.
        if (!reaches(who, options, glass.agent)) throw answerRefused('this glass is of others')
        return await glasses.end(glass.id, factBy(approverOf(who, options)))
      },
    },
  )
  return app
}

function draft(options: GlassRouteOptions, who: ApiCaller, request: GlassRequest): GlassBegun {
  const id = options.drafts.add(request, who.agent ?? '')
  const page = options.pageOf(id)
  if (page !== undefined) return { confirmAt: page }
  throw answerRefused('a person breaks the glass, and nobody can log in at this gateway')
}

/** A tree that has nothing to do but this, and ends with it. */
async function freshTree(
  { glasses, issue, urlOf, agents }: GlassRouteOptions,
  by: Approver,
  asked: Omit<GlassRequest, 'agent'>,
): Promise<GlassBegun> {
  const { connections, forMs } = asked
  const [connection = ''] = connections
  // Looked at first for a tree that is not there: nobody makes one by asking in vain.
  glasses.mustBeAllowed(by, { ...asked, agent: undefined })
  const credential = await issue({
    connection,
    allow: connections.map((name) => `${name}:*`),
    ttlMs: forMs,
  })
  try {
    const glass = await glasses.break(by, { ...asked, agent: credential.agent })
    return { glass, url: await urlOf(credential) }
  } catch (error) {
    await agents.revoke(credential.agent, 'break-glass', 'the glass was not broken')
    throw error
  }
}

function missing(agent: string): never {
  throw new SallyportError('SP_NOT_FOUND', `there is no agent "${agent}"`, { detail: 'agent' })
}

function invalid(detail: string): SallyportError {
  return new SallyportError('SP_CONFIG_INVALID', detail, { detail })
}
