import { hostname } from 'node:os'
import { resolve } from 'node:path'
import { StoredProofUses } from './agents/proof-uses.ts'
import { agentRoutes } from './agents/agent-routes.ts'
import type { AgentService } from './agents/agent-service.ts'
import { CALLER_LIMITS, CallerRates } from './agents/caller-rates.ts'
import { announce } from './announce.ts'
import { apiRoutes } from './api/api-routes.ts'
import { type ApiListener, listenApi } from './api/listen-api.ts'
import { openLogins, providerNamed } from './open-logins.ts'
import { addDemo } from './demo-connection.ts'
import type { ControlPlaneOptions, GatewayPorts } from './control-plane-options.ts'
import type { CredentialRequest } from './credentials.ts'
import { DpopProofs } from './dpop.ts'
import { serveMetrics } from './metrics/serve-metrics.ts'
import { Exports } from './exports/exports.ts'
import { loadPolicies, type PolicyFollower } from './follow-policies.ts'
import { gatewayBy, nobody, type FactBy } from './ledger/ledger.ts'
import { limited, signalFact } from './ledger/told-facts.ts'
import { operationsOf } from './operations.ts'
import { ownUrls } from './own-urls.ts'
import { openParts, type Parts } from './parts.ts'
import { refuseTakenPort } from './port-check.ts'
import { openSignals } from './signals/signals.ts'
import { SOURCE_LIMITS, SourceRates } from './source-rates.ts'
import { journalUse } from './recordings/journal-space.ts'
import type { RecordingSources } from './recordings/recordings.ts'
import { startWorkers } from './start-workers.ts'
import { gatewayVersion } from './version.ts'
import { type BreakGlassPart, openBreakGlass } from './break-glass/open-glasses.ts'
import type { Approvals } from './approvals/approvals.ts'
import { openChannels } from './approvals/channels/open-channels.ts'
import { callbackRoutes } from './approvals/channels/webhook/callback-routes.ts'
import { approvalRoutes } from './approvals/approval-routes.ts'
import type { WorkerPool } from './worker-pool.ts'
import type { ConnectionView, IssuedCredential } from './contract/connections.ts'
import type { Status } from './contract/operations.ts'

/** A running gateway. */
export interface ControlPlane {
  readonly ports: GatewayPorts
  /** Method and path of all that the API serves, `POST /v1/agents/:id/end`: what its document is held to. */
  readonly routes: readonly string[]
  readonly agents: AgentService
  /** All that is recorded, shipped or not. */
  readonly recorded: RecordingSources
  status(): Promise<Status>
  connections(): Promise<ConnectionView[]>
  issueCredential(request: CredentialRequest): Promise<IssuedCredential>
  stop(graceMs?: number): Promise<void>
}

/** Time for sessions to end in order when the gateway stops. */
const graceMsDefault = 3000

/** Starts storage, policies, demo, workers and API, in this order; what was started is stopped again where a later step fails. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const undo = new AsyncDisposableStack()
  try {
    return await start({ ...options, dataDir: resolve(options.dataDir) }, undo)
  } catch (error) {
    await undo.disposeAsync()
    throw error
  }
}

async function start(
  options: ControlPlaneOptions,
  undo: AsyncDisposableStack,
): Promise<ControlPlane> {
  const step = stepTimer(options)
  await refuseTakenPort(options.host, options.ports.postgres, '--port-postgres')
  const parts = await openParts(options, undo)
  step('storage', parts.store.version)

  const policies = await loadPolicies(parts, undo)
  step('policies', `${parts.snapshots.ruleCount} rules in ${policies.dir}`)

  const demo = await addDemo(parts, undo)
  if (demo !== undefined) step('demo', demo)

  const exports = await openExports(parts, undo)
  await parts.shipper.open()
  for (const copier of parts.copiers) {
    copier.start()
    undo.defer(async () => await copier.stop())
  }
  parts.shipper.start()
  undo.defer(async () => await parts.shipper.stop())
  // Behind all that acts and before what ships it: the end of the ledger is in the store with the rest.
  undo.defer(async () => {
    await parts.agents.stop()
    await parts.ledger.write({ what: 'gateway.stopped', actor: gatewayBy(), subject: hostname() })
    await parts.ledger.close('stopped')
  })
  parts.retention.start()
  undo.defer(async () => await parts.retention.stop())
  const { pool, approvals } = await startWorkers(parts, undo)
  step('workers', `${pool.states().length} on port ${pool.port}`)
  const publish = async (): Promise<void> => await pool.publish(await parts.snapshots.build())
  await policies.follow(publish)

  const api = await serveApi({ ...parts, exports, approvals }, pool, policies, publish, undo)
  step('api', `http://${options.host}:${api.ports.api}`)
  return {
    ports: api.ports,
    routes: api.routes,
    agents: parts.agents,
    recorded: parts.recorded,
    status: api.status,
    connections: async () => await parts.connections.list(),
    issueCredential: async (request) => await parts.credentials.issue(request),
    async stop(graceMs = graceMsDefault) {
      await pool.stop(graceMs)
      await parts.sessions.settled()
      await undo.disposeAsync()
    },
  }
}

/** What the API serves: the parts, and what was opened on them. */
type Served = Parts & { readonly exports: Exports; readonly approvals: Approvals }

/** Opens the API, with logins and agents, and tells other commands where it is. */
async function serveApi(
  parts: Served,
  pool: WorkerPool,
  policies: PolicyFollower,
  publish: () => Promise<void>,
  undo: AsyncDisposableStack,
): Promise<Pick<ControlPlane, 'ports' | 'routes' | 'status'>> {
  const { options, agents, connections, keys, owner, ledger } = parts
  const ownerBy: FactBy = { by: 'owner', name: owner }
  const listening: { api?: ApiListener; metrics?: number } = {}
  const ports = (): Status['ports'] => ({
    api: listening.api?.port ?? 0,
    postgres: pool.port,
    ...(listening.metrics === undefined ? {} : { metrics: listening.metrics }),
  })
  const gatewayUrl = (): string => options.publicUrl ?? `http://${options.host}:${ports().api}`
  const callers = {
    owner: () => void ledger.write({ what: 'owner.seen', actor: ownerBy, subject: 'api' }),
    refused: (why: string) =>
      void ledger.write({ what: 'caller.refused', actor: nobody, subject: 'api', detail: { why } }),
  }
  const onLimit = (why: string, agent?: string): void => void ledger.write(limited(why, agent))
  const doors = {
    sources: new SourceRates(Date.now, SOURCE_LIMITS, onLimit),
    proofs: new DpopProofs(new StoredProofUses(parts.store)),
    ownUrls: () => ownUrls(gatewayUrl(), options.host, ports().api),
  }
  const late: { glass?: BreakGlassPart } = {}
  const pages = { ...doors, pageOf: (id: string) => late.glass?.page(id) }
  const { births, people, links } = await openLogins(parts, gatewayUrl, pages, publish, undo)
  const channels = await openChannels({ ...parts, people, links }, gatewayUrl, undo)
  const metrics = await serveMetrics({ ...parts, channels }, pool, gatewayVersion, undo)
  if (metrics !== undefined) listening.metrics = metrics
  const signals = await openSignals({
    store: parts.store,
    agents,
    births,
    gatewayUrl,
    onEvent: (event) => {
      const fact = signalFact(event)
      if (fact !== undefined) void ledger.write(fact)
      options.onEvent({ kind: 'signal', event })
    },
    onFault: parts.fault,
  })
  undo.defer(() => signals.close())
  const changed = async (): Promise<void> => {
    await publish()
    await births.entitlements.refresh()
  }
  const status = async (): Promise<Status> => ({
    ...statusOf(parts, pool, policies, ports()),
    exports: { all: await parts.exports.status(), problems: parts.exports.problems },
    channels: { all: await channels.status(), problems: channels.problems },
  })
  const who = { agents, ownerToken: keys.ownerToken, owner, callers, ...doors }
  const pageUrl = (): string | undefined =>
    births.canLogIn() ? `${gatewayUrl().replace(/\/+$/u, '')}/a/` : undefined
  const needs = {
    approvals: parts.approvals,
    births,
    incidents: () => operations.incidents,
    port: () => pool.port,
    pageUrl,
  }
  const glass = await openBreakGlass(parts, who, needs, undo)
  late.glass = glass
  const { glasses } = glass
  const mounted = [
    callbackRoutes({
      config: (name) => channels.config(name),
      provider: (name) => providerNamed(births, name),
      approvals: parts.approvals,
      people,
      uses: new StoredProofUses(parts.store),
      ledger,
      sources: doors.sources,
      now: Date.now,
    }),
    approvalRoutes({ ...who, approvals: parts.approvals, glasses }),
    glass.routes,
    agentRoutes({
      ...who,
      address: () => ({ host: options.host, port: pool.port }),
      connections: async () => await connections.list(),
      lineageKey: keys.lineage,
      gatewayUrl,
      rates: new CallerRates(Date.now, CALLER_LIMITS, onLimit),
    }),
    births.routes,
    signals.routes,
  ]
  const glassIsOpen = (id: string): boolean => glasses.isOpen(id)
  const served = { ...parts, channels, links }
  const operations = operationsOf(served, pool, policies, changed, status, glassIsOpen)
  const routes = apiRoutes(operations, keys.ownerToken, callers, mounted)
  const api = await listenApi(routes, options.host, options.ports.api, options.publicUrl)
  listening.api = api
  parts.snapshots.approvalUrl = pageUrl
  if (births.canLogIn()) await publish()
  undo.defer(async () => await api.close())
  undo.defer(async () => await parts.live.stop())
  await announce(options.dataDir, await status(), keys.tls.cert, undo)
  const paths = routes.routes.map(({ method, path }) => `${method} ${path}`)
  return { ports: ports(), routes: paths, status }
}

/** What is recorded from here on is told to others. */
async function openExports(
  { options, outbox, feed, agents, ledger, fault }: Parts,
  undo: AsyncDisposableStack,
): Promise<Exports> {
  const exports = await Exports.open({
    dataDir: options.dataDir,
    outbox,
    feed,
    agents,
    version: gatewayVersion,
    now: () => Date.now(),
    onConfig: (problems) => {
      const detail = problems === '' ? {} : { problem: problems }
      const actor = gatewayBy('exports')
      void ledger.write({ what: 'exports.read', actor, subject: 'exports', detail })
      options.onEvent({ kind: 'exports.read', problems })
    },
    onFault: fault,
  })
  undo.defer(async () => await exports.close())
  return exports
}

function statusOf(
  { options, store, snapshots, shipper, copiers, index, journalDir }: Parts,
  pool: WorkerPool,
  policies: PolicyFollower,
  ports: Status['ports'],
): Omit<Status, 'exports' | 'channels'> {
  return {
    version: gatewayVersion,
    pid: process.pid,
    dataDir: options.dataDir,
    storage: store.version,
    host: options.host,
    ports,
    demo: options.demo,
    shipping: shipper.status(),
    anchors: copiers.map((copier) => copier.status()),
    journal: journalUse(journalDir, options.journal),
    search: index.status(),
    policies: {
      version: snapshots.policyVersion,
      rules: snapshots.ruleCount,
      problems: policies.problems,
    },
    workers: pool.states(),
  }
}

type StepName = 'storage' | 'policies' | 'demo' | 'workers' | 'api'

function stepTimer(options: ControlPlaneOptions): (step: StepName, text: string) => void {
  let last = performance.now()
  return (step, text) => {
    const now = performance.now()
    options.onEvent({ kind: 'step', step, text, ms: Math.round(now - last) })
    last = now
  }
}
