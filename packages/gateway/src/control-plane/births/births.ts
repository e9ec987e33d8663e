import { join } from 'node:path'
import { Hono } from 'hono'
import type { DpopProofs } from '../dpop.ts'
import type { SourceRates } from '../source-rates.ts'
import { loginProviders } from './config/identity-config.ts'
import { IdentityFolder } from './config/identity-folder.ts'
import { Entitlements } from './entitlements.ts'
import { oauthRoutes } from './oauth/oauth-routes.ts'
import { DeviceLogins } from './oidc/device-logins.ts'
import { HumanBirths } from './oidc/human-births.ts'
import type { LinkPages } from './oidc/link-pages.ts'
import { LoginFlow } from './oidc/login-flow.ts'
import { type ApprovalPages, loginRoutes } from './oidc/login-routes.ts'
import { ProviderClient } from './oidc/provider-client.ts'
import { Rechecks, type WatchedLogins } from './oidc/rechecks.ts'
import { SamlFlow } from './saml/saml-flow.ts'
import type { BirthAgents, BirthEvent, ListConnections, LoginGate, TokenUses } from './ports.ts'
import { ServiceBirths } from './service/service-births.ts'
import { IssuerKeys } from './workload/issuer-keys.ts'
import { WorkloadBirths } from './workload/workload-births.ts'

export interface BirthsOptions {
  readonly dataDir: string
  /** The public URL: audience of tokens, and where browsers come back to. */
  readonly gatewayUrl: () => string
  readonly agents: BirthAgents
  readonly connections: ListConnections
  readonly uses: TokenUses
  readonly logins: WatchedLogins
  readonly gate: LoginGate
  readonly approvals: ApprovalPages
  /** Absent where no chat takes answers. */
  readonly links?: LinkPages
  readonly onEvent: (event: BirthEvent) => void
  /** The files were read again; `problems` is empty where they were right. */
  readonly onConfig: (problems: string) => void
  readonly onFault: (error: unknown) => void
  readonly sources: SourceRates
  readonly proofs: DpopProofs
  /** By which URLs requests may name this gateway. */
  readonly ownUrls: () => readonly string[]
  readonly now?: () => number
}

/** How agents come into being from logins and tokens. */
export interface BirthsPart {
  /** To be mounted at the root of the API. */
  readonly routes: Hono
  readonly folder: IdentityFolder
  /** `refresh()` is to be called when connections change. */
  readonly entitlements: Entitlements
  readonly rechecks: Rechecks
  /** Whether persons can log in. */
  canLogIn(): boolean
  close(): void
}

/** Reads the folder `identity` of the data folder and makes all that stands on it. */
export async function openBirths(options: BirthsOptions): Promise<BirthsPart> {
  const { agents, sources, proofs, ownUrls, onEvent, onFault } = options
  // An audience with a slash at its end is another audience.
  const gatewayUrl = (): string => options.gatewayUrl().replace(/\/+$/u, '')
  const now = options.now ?? Date.now
  const folder = await IdentityFolder.open(join(options.dataDir, 'identity'), (changed) => {
    options.onConfig(changed.problems)
    entitlements.refresh().catch(onFault)
  })
  const config = (): IdentityFolder['config'] => folder.config
  const entitlements = new Entitlements({
    config,
    connections: options.connections,
    agents,
    gate: options.gate,
    now,
    onFault,
  })
  const client = new ProviderClient()
  const { logins, approvals, gate } = options
  const rechecks = await Rechecks.open({
    config,
    client,
    agents,
    entitlements,
    logins,
    gate,
    onFault,
  })
  const devices = new DeviceLogins(now)
  const flow = new LoginFlow({ config, client, devices, gatewayUrl, onEvent, now })
  const saml = new SamlFlow({ config, uses: options.uses, gatewayUrl, onEvent, now })
  const keys = new IssuerKeys(now)
  const { uses } = options
  const workload = { config, agents, entitlements, keys, uses, gatewayUrl, onEvent, now }
  const services = new ServiceBirths(workload)
  const workloads = new WorkloadBirths(workload)
  const humans = new HumanBirths({
    config,
    agents,
    entitlements,
    rechecks,
    gate: options.gate,
    onEvent,
  })
  const routes = new Hono()
  routes.route(
    '/',
    loginRoutes({
      config,
      flow,
      saml,
      devices,
      gatewayUrl,
      sources,
      approvals,
      onFault,
      ...(options.links === undefined ? {} : { links: options.links }),
    }),
  )
  const canLogIn = (): boolean => loginProviders(config()).length > 0
  const parts = { agents, workloads, humans, services, flow, devices, proofs, ownUrls, sources }
  routes.route('/', oauthRoutes({ ...parts, gatewayUrl, canLogIn, onEvent, onFault, now }))
  // What changed while the gateway was down.
  await entitlements.refresh()
  return {
    routes,
    folder,
    entitlements,
    rechecks,
    canLogIn,
    close() {
      folder.close()
      entitlements.close()
      rechecks.close()
    },
  }
}
