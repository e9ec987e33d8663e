import { userInfo } from 'node:os'
import { placeOf } from '../broker/gateway-address.ts'
import { BrokerClient } from '../broker/broker-client.ts'
import type { Adoption, GatewayPlace, HomeReply } from '../broker/protocol.ts'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { GatewayApi } from '../gateway-api.ts'
import { printOne } from '../output.ts'
import { ProofKey } from '../proof-key.ts'
import { refuseInside, whoAmI } from '../owner-api.ts'
import { hasBrowser } from './open-browser.ts'
import { agentLine } from './run.ts'

export interface LoginFlags {
  readonly ttl: string
  readonly browser: boolean
  readonly oidc?: boolean
  readonly device?: boolean
}

/** Logs a person in: makes the root of their agents, and its anchor the leader of this terminal's session. */
export async function login(
  context: VerbContext,
  gateway: string | undefined,
  flags: LoginFlags,
): Promise<number> {
  const { client: found, who } = await whoAmI()
  refuseInside(who)
  const client = found ?? (await BrokerClient.start())
  const place = placeOf(gateway, context.dataDir)
  const asOwner = 'dataDir' in place && flags.oidc !== true
  const attached = asOwner
    ? await client.ask<HomeReply | null>({ op: 'attach', gateway: place })
    : null
  const home =
    attached ??
    (await client.ask<HomeReply>({
      op: 'login',
      adopt: asOwner
        ? await ownerRoot(context.dataDir, flags)
        : await personsRoot(context, place, flags),
    }))
  client.close()
  const text = `✓ ${agentLine(home)}\n  this terminal is ${home.agent.name} until then; further ones log in again; sallyport logout ends it\n`
  await printOne(context.output, { agent: home.agent, dir: home.folder }, text, home.agent.id)
  return EXIT.done
}

/** With a browser here, where there is one; else with a code that is typed into one elsewhere. */
async function personsRoot(
  context: VerbContext,
  place: GatewayPlace,
  flags: LoginFlags,
): Promise<Adoption> {
  if (flags.device !== true && hasBrowser()) {
    const { browserLogin } = await import('./browser-login.ts')
    const adoption = await browserLogin(context, place, flags)
    if (adoption !== undefined) return adoption
    context.output.say('no port of 127.0.0.1 can be used, so this login needs a code\n')
  }
  return await (await import('./device-login.ts')).deviceLogin(context, place, flags)
}

/** A gateway on this machine knows its owner by the token in its data folder. */
async function ownerRoot(dataDir: string, flags: LoginFlags): Promise<Adoption> {
  const api = await GatewayApi.open(dataDir)
  const key = ProofKey.make()
  const body = { name: userInfo().username, ttl: flags.ttl }
  const made = await api.born(key, 'POST /v1/agents', { body })
  return { ...made, key: key.toText(), gateway: { dataDir } }
}

/** Ends all roots of this user here, and with them every agent below. */
export async function logout(context: VerbContext): Promise<number> {
  const { client, who } = await whoAmI()
  refuseInside(who)
  const { ended } = (await client?.ask<{ ended: readonly string[] }>({ op: 'logout' })) ?? {
    ended: [],
  }
  client?.close()
  const text =
    ended.length === 0 ? 'nobody was logged in\n' : `✓ ended ${ended.join(', ')} and all below\n`
  await printOne(context.output, { ended }, text, ended.join(','))
  return EXIT.done
}
