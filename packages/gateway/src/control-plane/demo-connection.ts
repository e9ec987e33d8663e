import { join } from 'node:path'
import { SallyportError } from '@sallyport/core'
import type { Connections, NewConnection } from './connections.ts'
import type { DemoDatabase } from './control-plane-options.ts'
import { gatewayBy } from './ledger/ledger.ts'
import type { Parts } from './parts.ts'
import type { Store } from './ports/store.ts'
import { readSetting, writeSetting } from './settings.ts'
import type { ConnectionView } from './contract/connections.ts'

export const demoConnection = 'shop-db'

const demoSetting = 'demo_connection'

/** The connection of the demo database. It is there as long as the demo runs; a connection of that name which an operator added is left alone. */
export class DemoConnection {
  readonly #store: Store
  readonly #connections: Connections

  constructor(store: Store, connections: Connections) {
    this.#store = store
    this.#connections = connections
  }

  /** Points the connection at the demo that runs now, whose port is another at each start. */
  async add(demo: DemoDatabase): Promise<void> {
    const there = await this.#there()
    if (there !== undefined && !(await this.#isOfDemo(there))) {
      const detail = `the demo needs the name "${demoConnection}", which is a connection of yours. Start with --no-demo`
      throw new SallyportError('SP_CONFIG_INVALID', detail, { detail })
    }
    await writeSetting(this.#store, demoSetting, addressOf(demo))
    const connection: NewConnection = {
      name: demoConnection,
      labels: { env: 'demo' },
      host: demo.host,
      port: demo.port,
      user: demo.user,
      password: demo.password,
      database: demo.database,
      // The demo database is a thread of this process and listens on the loopback address alone.
      tls: { mode: 'off' },
    }
    await this.#connections.put(connection, gatewayBy('demo'))
  }

  /** Removes what a start with the demo left: nothing answers there any more. */
  async removeLast(): Promise<void> {
    const there = await this.#there()
    if (there !== undefined && (await this.#isOfDemo(there))) {
      await this.#connections.remove(demoConnection, gatewayBy('demo'))
    }
  }

  async #there(): Promise<ConnectionView | undefined> {
    return (await this.#connections.list()).find(({ name }) => name === demoConnection)
  }

  async #isOfDemo(connection: ConnectionView): Promise<boolean> {
    return (await readSetting(this.#store, demoSetting)) === addressOf(connection)
  }
}

function addressOf({
  user,
  host,
  port,
  database,
}: Omit<DemoDatabase, 'close' | 'password'>): string {
  return `${user}@${host}:${port}/${database}`
}

/** Starts the demo and gives the name of its connection; without one, what the last start left is removed. */
export async function addDemo(
  { options, store, connections, agents }: Parts,
  undo: AsyncDisposableStack,
): Promise<string | undefined> {
  const connection = new DemoConnection(store, connections)
  if (!options.demo) {
    await connection.removeLast()
    const names = (await connections.list()).map(({ name }) => name)
    if (!names.includes(demoConnection)) agents.connectionRemoved(demoConnection)
    return undefined
  }
  const demo = await options.parts.startDemo({ dataDir: join(options.dataDir, 'demo'), port: 0 })
  undo.defer(async () => await demo.close())
  await connection.add(demo)
  return demoConnection
}
