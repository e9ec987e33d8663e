import { readFileSync } from 'node:fs'
import { SallyportError } from '@sallyport/core'
import { BrokerClient } from './broker/broker-client.ts'
import { ancestryOf } from './broker/processes.ts'
import type { WhoReply } from './broker/protocol.ts'
import { GatewayApi } from './gateway-api.ts'

/** The gateway as its owner, for callers that are not below an agent. */
export async function ownerApi(dataDir: string): Promise<GatewayApi> {
  const { client, who } = await whoAmI()
  client?.close()
  refuseInside(who)
  return await GatewayApi.open(dataDir)
}

/** Who this process is to the broker, and the broker, where one runs. */
export async function whoAmI(): Promise<{ client: BrokerClient | undefined; who: WhoReply }> {
  const client = await BrokerClient.find()
  const who = await client?.ask<WhoReply>({ op: 'who' })
  if (who !== undefined && who.above !== 'none') return { client, who }
  // A broker that died knows nothing of agents that live on; their programs still carry the mark.
  const marked = process.platform === 'linux' ? markAbove() : undefined
  return {
    client,
    who: marked === undefined ? { above: 'none' } : { above: 'ended', agent: marked },
  }
}

/** The broker, for verbs that need one. */
export async function requireBroker(): Promise<BrokerClient> {
  const client = await BrokerClient.find()
  if (client !== undefined) return client
  throw new SallyportError(
    'SP_NO_PARENT',
    'no broker runs for this user: nobody is logged in. A person logs in with "sallyport login"',
  )
}

/** A caller below an agent must not climb to a person's login. */
export function refuseInside(who: WhoReply): void {
  if (who.above === 'none' || who.above === 'login') return
  const name = who.chain?.join(' › ') ?? who.agent ?? ''
  throw new SallyportError('SP_LOGIN_INSIDE_AGENT', `this process is inside agent ${name}`)
}

/** `SALLYPORT_AGENT` of a program above this one. It cannot be taken out of a process that runs already. */
function markAbove(): string | undefined {
  for (const { pid } of ancestryOf(process.pid)?.slice(1) ?? []) {
    const mark = /(?:^|\0)SALLYPORT_AGENT=([^\0]+)/.exec(environmentOf(pid))?.[1]
    if (mark !== undefined) return mark
  }
  return undefined
}

function environmentOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1')
  } catch {
    return ''
  }
}
