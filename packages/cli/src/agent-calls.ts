import { SallyportError } from '@sallyport/core'
import type { VerbContext } from './context.ts'
import { GatewayApi } from './gateway-api.ts'
import { whoAmI } from './owner-api.ts'

/** The routes of agents, asked as the nearest agent above this process, or as the owner where there is none. */
export interface AgentCalls {
  readonly asAgent: boolean
  json<T>(method: string, path: string, body?: unknown): Promise<T>
}

/** Runs `work` with the calls that this process may make. */
export async function withAgentCalls<T>(
  context: VerbContext,
  work: (calls: AgentCalls) => Promise<T>,
): Promise<T> {
  const { client, who } = await whoAmI()
  try {
    if (who.above === 'ended') {
      throw new SallyportError(
        'SP_AGENT_ENDED',
        `this process belongs to ${who.agent}, which has ended`,
      )
    }
    const local = who.gateway !== undefined && 'dataDir' in who.gateway ? who.gateway : undefined
    if (
      client !== undefined &&
      (who.above === 'agent' || (who.above === 'login' && local === undefined))
    ) {
      return await work({
        asAgent: true,
        json: async (method, path, body) => await client.ask({ op: 'api', method, path, body }),
      })
    }
    const api = await GatewayApi.open(local?.dataDir ?? context.dataDir)
    return await work({ asAgent: false, json: async (...call) => await api.json(...call) })
  } finally {
    client?.close()
  }
}
