import { chmodSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { once } from 'node:events'
import { Secret } from '@sallyport/core'
import type { Answered } from '@sallyport/gateway'
import { ProofKey } from '../proof-key.ts'
import { GatewayApi } from '../gateway-api.ts'
import { addressOf } from './gateway-address.ts'
import type { Adoption, AgentView, GatewayPlace, LocalConnection } from './protocol.ts'
import { makePrivateFolder, socketPath } from './run-folder.ts'

/** Name of the socket that libpq looks for in a folder, and the only port there is here. */
const postgresSocket = '.s.PGSQL.5432'

/** One agent whose handle this broker holds, in memory only. */
export class HeldAgent {
  readonly gateway: GatewayPlace
  readonly parent: HeldAgent | undefined
  readonly folder: string
  /** Clock ticks since boot of its wrapper's start; 0 while it has none. */
  wrapperStart = 0
  view: AgentView
  readonly #handle: Secret<string>
  /** The handle is bound to it, and those of children are too: all of them are in this memory. */
  readonly #key: ProofKey | undefined
  readonly #servers = new Map<string, Server>()
  #connections: readonly LocalConnection[] = []

  constructor(adoption: Adoption, parent: HeldAgent | undefined, runFolder: string) {
    this.view = adoption.agent
    this.gateway = adoption.gateway
    this.#handle = new Secret(adoption.handle)
    this.#key = adoption.key === undefined ? parent?.proofKey : ProofKey.fromText(adoption.key)
    this.parent = parent
    this.folder = join(runFolder, adoption.agent.id)
  }

  get id(): string {
    return this.view.id
  }

  get connections(): readonly LocalConnection[] {
    return this.#connections
  }

  /** `dana › planner`. */
  get chain(): string {
    return this.view.chain.join(' › ')
  }

  isBelow(other: HeldAgent): boolean {
    return this.parent !== undefined && (this.parent === other || this.parent.isBelow(other))
  }

  get proofKey(): ProofKey | undefined {
    return this.#key
  }

  /** The gateway, as this agent. */
  async api(): Promise<GatewayApi> {
    return new GatewayApi((await addressOf(this.gateway)).api, this.#handle.expose(), this.#key)
  }

  /** Makes the folder and a socket for each connection that the grant names. */
  async openSockets(
    control: (socket: Socket) => void,
    data: (socket: Socket, connection: LocalConnection) => void,
  ): Promise<void> {
    makePrivateFolder(this.folder)
    await this.#listen('ctl.sock', socketPath(this.folder, 'ctl.sock'), control)
    const connections = (await this.#granted()).map(({ name, database }) => ({
      name,
      database,
      folder: join(this.folder, name),
    }))
    for (const connection of connections) {
      const path = socketPath(connection.folder, postgresSocket)
      makePrivateFolder(connection.folder)
      await this.#listen(connection.name, path, (socket) => data(socket, connection))
    }
    this.#connections = connections
    writeFileSync(join(this.folder, 'pg_service.conf'), servicesOf(connections, this.view.name), {
      mode: 0o600,
    })
  }

  async #listen(name: string, path: string, onSocket: (socket: Socket) => void): Promise<void> {
    rmSync(path, { force: true })
    const server = createServer({ pauseOnConnect: true }, onSocket)
    server.listen(path)
    await once(server, 'listening')
    chmodSync(path, 0o600)
    this.#servers.set(name, server)
  }

  async #granted(): Promise<Answered<'GET /v1/agents/{id}/connections'>> {
    const api = await this.api()
    return await api.call('GET /v1/agents/{id}/connections', { params: { id: 'self' } })
  }

  /** Takes the sockets away. */
  close(): void {
    for (const server of this.#servers.values()) server.close()
    this.#servers.clear()
    rmSync(this.folder, { recursive: true, force: true })
  }
}

function servicesOf(connections: readonly LocalConnection[], user: string): string {
  return connections
    .map(
      ({ name, database, folder }) =>
        `[${name}]\nhost=${folder}\nport=5432\nuser=${user}\ndbname=${database}\n`,
    )
    .join('\n')
}
