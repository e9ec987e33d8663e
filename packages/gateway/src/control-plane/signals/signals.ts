import { Hono } from 'hono'
import type { BirthsPart } from '../births/births.ts'
import { IssuerKeys } from '../births/workload/issuer-keys.ts'
import type { Store } from '../ports/store.ts'
import { logoutRoutes } from './logout/logout-routes.ts'
import { scimRoutes } from './scim/scim-routes.ts'
import type { SignalAgents, SignalEvent } from './signal.ts'
import { SignalInbox } from './signal-inbox.ts'
import { SignalRates } from './signal-rates.ts'
import type { SignalParts } from './signal-parts.ts'
import { Poller } from './ssf/poller.ts'
import { pushRoutes } from './ssf/push-routes.ts'

export interface SignalsOptions {
  readonly store: Store
  readonly agents: SignalAgents
  readonly births: Pick<BirthsPart, 'folder' | 'entitlements'>
  readonly gatewayUrl: () => string
  readonly onEvent: (event: SignalEvent) => void
  readonly onFault: (error: unknown) => void
  readonly now?: () => number
}

/** How identity providers tell that somebody is gone. */
export interface SignalsPart {
  /** To be mounted at the root of the API. */
  readonly routes: Hono
  /** Fetches the events that wait at transmitters; a timer does the same. */
  poll(): Promise<void>
  close(): void
}

/** Acts upon what was left over by a crash, then takes signals. */
export async function openSignals(options: SignalsOptions): Promise<SignalsPart> {
  const { store, agents, births, onFault } = options
  const now = options.now ?? Date.now
  const rates = new SignalRates(now)
  const onEvent = (event: SignalEvent): void => {
    if (event.kind !== 'signal.refused' || rates.isShown()) options.onEvent(event)
  }
  const config = (): BirthsPart['folder']['config'] => births.folder.config
  const { entitlements } = births
  const inbox = new SignalInbox({ store, config, agents, entitlements, onEvent, onFault, now })
  await inbox.resume()
  const parts: SignalParts = {
    store,
    config,
    gatewayUrl: () => options.gatewayUrl().replace(/\/+$/u, ''),
    inbox,
    issuerKeys: new IssuerKeys(now),
    rates,
    onEvent,
    onFault,
    now,
  }
  const routes = new Hono()
  routes.route('/', logoutRoutes(parts))
  routes.route('/', scimRoutes(parts))
  routes.route('/', pushRoutes(parts))
  const poller = new Poller(parts)
  return {
    routes,
    poll: () => poller.run(),
    close() {
      poller.close()
      inbox.close()
    },
  }
}
