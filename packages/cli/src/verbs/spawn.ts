import { text as textOf } from 'node:stream/consumers'
import { connectionOf, socketUrl, socketVariables } from '../agent-environment.ts'
import { withAgentCalls } from '../agent-calls.ts'
import type { Adoption, HomeReply } from '../broker/protocol.ts'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { GatewayApi } from '../gateway-api.ts'
import { printable, printOne } from '../output.ts'
import { SallyportError } from '@sallyport/core'
import { ProofKey } from '../proof-key.ts'
import { issuerAt, post, refusedBy } from '../oauth.ts'
import { addressOf, placeOf } from '../broker/gateway-address.ts'
import { ServiceKey } from '../service-key.ts'
import { requireBroker, whoAmI } from '../owner-api.ts'
import { agentLine, bearerVariables, type ChildFlags, childAsk, run, type RunFlags } from './run.ts'
import { of } from './agents.ts'

/** Makes a child whose program the caller starts itself. */
export async function spawn(context: VerbContext, flags: ChildFlags): Promise<number> {
  const client = await requireBroker()
  const home = await client.ask<HomeReply>({ op: 'spawn', ask: childAsk(flags) })
  client.close()
  const { agent, folder } = home
  const value = {
    agent: agent.id,
    chain: agent.chain.join(' › '),
    dir: folder,
    env: socketVariables(home),
    connections: home.connections,
    expires: agent.expiresAt,
  }
  await printOne(context.output, value, `${agentLine(home)}\n  sockets in ${folder}\n`, agent.id)
  return EXIT.done
}

/** Plain exports for a shell: where the sockets are, or with `bearer` a credential. */
export async function env(
  context: VerbContext,
  connection: string | undefined,
  flags: { readonly bearer?: boolean },
): Promise<number> {
  const client = await requireBroker()
  const home = await client.ask<HomeReply>({ op: 'home' })
  const chosen = connection === undefined ? home.connections[0] : connectionOf(home, connection)
  const bearer = flags.bearer === true && chosen !== undefined
  // The mark of an agent's programs is not for the shell of a person.
  const { SALLYPORT_AGENT: _, ...sockets } = socketVariables(home, chosen)
  const variables = bearer ? await bearerVariables(client, home, chosen.name) : sockets
  client.close()
  const text = Object.entries(variables)
    .map(([name, value]) => `export ${name}='${value.replaceAll("'", String.raw`'\''`)}'\n`)
    .join('')
  const form = context.output.form ?? 'table'
  await printOne({ ...context.output, form }, variables, text, home.agent.id)
  return EXIT.done
}

/** The address of a socket, where this process is inside an agent; nothing elsewhere. */
export async function insideUrl(name: string): Promise<string | undefined> {
  const { client, who } = await whoAmI()
  try {
    if (client === undefined || who.above !== 'agent') return undefined
    const home = await client.ask<HomeReply>({ op: 'home' })
    return socketUrl(home, connectionOf(home, name))
  } finally {
    client?.close()
  }
}

export interface TicketFlags extends ChildFlags {
  readonly expect: readonly string[]
}

/** Makes a ticket with which a program elsewhere becomes a child of this agent, once. */
export async function ticket(context: VerbContext, flags: TicketFlags): Promise<number> {
  return await withAgentCalls(context, async (calls) => {
    const expect = Object.fromEntries(flags.expect.map((text) => text.split(/=(.*)/s, 2)))
    const made = await calls.call('POST /v1/agents/{id}/tickets', {
      ...of('self'),
      body: { ...childAsk(flags), ...(flags.expect.length === 0 ? {} : { expect }) },
    })
    const text = `${made.ticket}   (one use, until ${made.expiresAt})\n`
    await printOne(context.output, made, text, made.ticket)
    return EXIT.done
  })
}

export interface JoinFlags extends RunFlags {
  readonly gateway?: string
  readonly idTokenEnv?: string
  readonly service?: string
  /** PEM file with the key of the service. */
  readonly key?: string
}

/** Becomes the agent that a ticket on standard input, or a token of the platform, is for, and runs a program as it. */
export async function join(
  context: VerbContext,
  command: readonly string[],
  flags: JoinFlags,
): Promise<number> {
  const gateway = placeOf(flags.gateway, context.dataDir)
  const { api: url } = await addressOf(gateway)
  const made = await joined(url, flags)
  const adoption: Adoption = { ...made, gateway }
  context.output.say(`sallyport: joined as ${printable(made.agent.chain.join(' › '))}\n`)
  return await run(context, command, flags, adoption)
}

type Born = Omit<Adoption, 'gateway'>

async function joined(url: string, { idTokenEnv, service, key, name }: JoinFlags): Promise<Born> {
  if ((service === undefined) !== (key === undefined))
    throw new SallyportError('SP_CONFIG_INVALID', '--service and --key go together')
  if (service !== undefined && key !== undefined) return await bearByKey(url, service, key)
  if (idTokenEnv !== undefined) return await bearByToken(url, idTokenEnv)
  return await redeem(url, (await textOf(process.stdin)).trim(), name)
}

/** A key that this service holds; an object of the gateway says what it is worth. */
async function bearByKey(url: string, service: string, path: string): Promise<Born> {
  const assertion = ServiceKey.read(path).assertion(service, await issuerAt(url))
  return await bear(url, {
    grant_type: 'client_credentials',
    client_id: service,
    client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
    client_assertion: assertion,
  })
}

/** Prints the public half of the key of a service, as the gateway takes it. */
export async function serviceKey(context: VerbContext, path: string): Promise<number> {
  const keySet = ServiceKey.read(path).keySet()
  await printOne(context.output, keySet, `${JSON.stringify(keySet, undefined, 2)}\n`, '')
  return EXIT.done
}

async function redeem(url: string, ticketText: string, name: string): Promise<Born> {
  const body = { ticket: ticketText, ...(name === '' ? {} : { name }) }
  const key = ProofKey.make()
  const born = await new GatewayApi(url, '').born(key, 'POST /v1/tickets/redeem', { body })
  return { ...born, key: key.toText() }
}

/** A token that a CI system or a cluster made for this job; a trust rule of the gateway says what it is worth. */
async function bearByToken(url: string, variable: string): Promise<Born> {
  const assertion = process.env[variable]
  if (assertion === undefined || assertion === '') {
    throw new SallyportError('SP_CONFIG_INVALID', `the variable ${variable} holds no token`)
  }
  // Its work is done here; the program has no use for it.
  Reflect.deleteProperty(process.env, variable)
  return await bear(url, {
    grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer',
    assertion: assertion.trim(),
  })
}

async function bear(url: string, fields: Readonly<Record<string, string>>): Promise<Born> {
  const key = ProofKey.make()
  const { body } = await post(url, '/oauth/token', fields, key)
  const { access_token: handle }: { access_token?: unknown } = body
  if (typeof handle !== 'string') throw refusedBy('SP_TOKEN_REFUSED', body)
  const agent = await new GatewayApi(url, handle, key).call('GET /v1/agents/{id}', {
    params: { id: 'self' },
  })
  return { handle, key: key.toText(), agent }
}
