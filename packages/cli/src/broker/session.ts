import type { Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { SallyportError } from '@sallyport/core'
import type { Broker } from './broker.ts'
import { addressOf } from './gateway-address.ts'
import { beginLink, openLink } from './gateway-link.ts'
import type { HeldAgent } from './held-agent.ts'
import { identify, type Identified } from './identify.ts'
import type { LocalConnection } from './protocol.ts'
import { refusalMessage } from './refusal-message.ts'

/** For the way to the gateway only; a session lasts as long as its agent. */
const credentialTtl = '1m'
/** A client that does not read what it was told is cut off. */
const lingerMs = 5000

/** Serves one database client: who is it, a credential for this one session, a link, and from then on bytes. */
export async function serveSession(
  broker: Broker,
  owner: HeldAgent,
  connection: LocalConnection,
  local: Socket,
): Promise<void> {
  local.on('error', () => local.destroy())
  try {
    const link = await open(identify(broker, local, owner), connection.name)
    if (local.destroyed) link.destroy()
    else splice(local, link)
  } catch (error) {
    refuse(local, error)
  }
}

/** Minting and the handshake take their time side by side. */
async function open(who: Identified, connection: string): Promise<TLSSocket> {
  const address = await addressOf(who.agent.gateway)
  const [link, minted] = await Promise.allSettled([openLink(address), mint(who, connection)])
  if (link.status === 'rejected') throw link.reason
  if (minted.status === 'rejected') {
    link.value.destroy()
    throw minted.reason
  }
  try {
    const { evidence } = who
    await beginLink(link.value, {
      v: 1,
      credential: minted.value,
      ...(evidence === undefined ? {} : { evidence }),
    })
    return link.value
  } catch (error) {
    link.value.destroy()
    throw error
  }
}

async function mint({ agent, level }: Identified, connection: string): Promise<string> {
  const api = await agent.api()
  const { secret } = await api.call('POST /v1/agents/{id}/credentials', {
    params: { id: agent.id },
    body: { connection, maxUses: 1, ttl: credentialTtl, level },
  })
  return secret
}

/** Joins the two; `pipe` waits for the slower side. What one side said last still reaches the other. */
function splice(local: Socket, link: TLSSocket): void {
  link.on('error', () => link.destroy())
  local.on('error', () => link.destroy())
  link.on('close', () => {
    if (!local.writableEnded) local.end()
  })
  local.on('close', () => {
    if (!link.writableEnded) link.end()
  })
  local.pipe(link)
  link.pipe(local)
}

function refuse(local: Socket, error: unknown): void {
  const known = error instanceof SallyportError
  const words = error instanceof Error ? error.message : String(error)
  const code = known ? error.code : 'SP_GATEWAY_UNREACHABLE'
  local.end(refusalMessage(code, (known ? error.detail : undefined) ?? words))
  // The client's first message is never read otherwise, and an unread one turns the end into a reset.
  local.resume()
  setTimeout(() => local.destroy(), lingerMs).unref()
}
