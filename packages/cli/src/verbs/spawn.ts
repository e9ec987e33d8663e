import { text as textOf } from 'node:stream/consumers'
import { connectionOf, socketUrl, socketVariables } from '../agent-environment.ts'
import { withAgentCalls } from '../agent-calls.ts'
import type { Adoption, AgentView, HomeReply } from '../broker/protocol.ts'
import type { VerbContext } from '../context.ts'
import { EXIT } from '../exit-codes.ts'
import { GatewayApi } from '../gateway-api.ts'
import { printable, printOne } from '../output.ts'
import { addressOf } from '../broker/gateway-address.ts'
import { requireBroker, whoAmI } from '../owner-api.ts'
import { agentLine, bearerVariables, type ChildFlags, childAsk, run, type RunFlags } from './run.ts'
import { pathOf } from './agents.ts'

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
    const made = await calls.json<{ ticket: string; expiresAt: string }>(
      'POST',
      `${pathOf('self')}/tickets`,
      { ...childAsk(flags), ...(flags.expect.length === 0 ? {} : { expect }) },
    )
    const text = `${made.ticket}   (one use, until ${made.expiresAt})\n`
    await printOne(context.output, made, text, made.ticket)
    return EXIT.done
  })
}

/** Becomes the child that a ticket, read from standard input, is for, and runs a program as it. */
export async function join(
  context: VerbContext,
  command: readonly string[],
  flags: RunFlags & { readonly gateway?: string },
): Promise<number> {
  const text = (await textOf(process.stdin)).trim()
  const gateway =
    flags.gateway === undefined ? { dataDir: context.dataDir } : { url: flags.gateway }
  const api = new GatewayApi((await addressOf(gateway)).api, '')
  const body = { ticket: text, ...(flags.name === '' ? {} : { name: flags.name }) }
  const made = await api.json<{ agent: AgentView; handle: string }>(
    'POST',
    '/v1/tickets/redeem',
    body,
  )
  const adoption: Adoption = { ...made, gateway }
  context.output.say(`sallyport: joined as ${printable(made.agent.chain.join(' › '))}\n`)
  return await run(context, command, flags, adoption)
}
