import { SallyportError } from '@sallyport/core'
import type { Answered, Asking, JsonCall } from '@sallyport/gateway'
import { addressOf } from './api-address.ts'
import type { VerbContext } from './context.ts'
import { GatewayApi } from './gateway-api.ts'
import { whoAmI } from './owner-api.ts'

/** The routes of agents, asked as the nearest agent above this process, or as the owner where there is none. */
export interface AgentCalls {
  readonly asAgent: boolean
  call<Each extends JsonCall>(call: Each, ...asking: Asking<Each>): Promise<Answered<Each>>
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
        call: async (call, ...asking) =>
          await client.ask({ op: 'api', ...addressOf(call, ...asking) }),
      })
    }
    const api = await GatewayApi.open(local?.dataDir ?? context.dataDir)
    return await work({
      asAgent: false,
      call: async (call, ...asking) => await api.call(call, ...asking),
    })
  } finally {
    client?.close()
  }
}
