import { X509Certificate } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, hostname, userInfo } from 'node:os'
import { join, resolve } from 'node:path'
import { SallyportError } from '@sallyport/core'
import type { WorkerConfig } from '../boundary/messages.ts'
import { AgentService } from './agents/agent-service.ts'
import { takeDataLock } from './adapters/data-lock.ts'
import { openPgliteStore } from './adapters/pglite-store.ts'
import { openPostgresStore } from './adapters/postgres-store.ts'
import { type ApiListener, apiRoutes, listenApi, type Operations } from './api.ts'
import { Connections, type ConnectionView } from './connections.ts'
import { DemoConnection, demoConnection } from './demo-connection.ts'
import type { ControlPlaneOptions, DemoDatabase, Status } from './control-plane-options.ts'
import { Credentials, type CredentialRequest, type IssuedCredential } from './credentials.ts'
import { seedPolicies } from './default-policies.ts'
import { type DataKeys, loadDataKeys } from './keys/data-keys.ts'
import { printProblems } from './policies/config-problem.ts'
import { loadPolicyFolder, type LoadedPolicies } from './policies/load-policy-folder.ts'
import { watchPolicyFolder } from './policies/watch-policy-folder.ts'
import { refuseTakenPort } from './port-check.ts'
import type { Store } from './ports/store.ts'
import { recordedSession } from './recorded-session.ts'
import { SessionIndex } from './session-index.ts'
import { Snapshots } from './snapshots.ts'
import { WorkerPool } from './worker-pool.ts'

/** The version that is printed; the package's own. */
export const gatewayVersion = '0.1.0'

/** A running gateway. */
export interface ControlPlane {
  readonly ports: { readonly api: number; readonly postgres: number }
  status(): Promise<Status>
  connections(): Promise<ConnectionView[]>
  issueCredential(request: CredentialRequest): Promise<IssuedCredential>
  readonly agents: AgentService
  stop(graceMs?: number): Promise<void>
}

const workersMax = 8
/** Time for sessions to end in order when the gateway stops. */
const graceMsDefault = 3000
/** A worker that heard nothing for five heartbeats no longer knows what was revoked. */
const staleAfterMs = 5000
const mebibyte = 1024 * 1024

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
  await mkdir(options.dataDir, { recursive: true, mode: 0o700 })
  const store = await openStore(options, undo)
  const keys = await loadDataKeys(options.dataDir)
  step('storage', store.version)

  const connections = new Connections(store, keys.kek)
  const fault = (error: unknown): void => {
    options.onEvent({
      kind: 'fault',
      message: error instanceof Error ? error.message : String(error),
    })
  }
  const agents = await AgentService.open(store, { onFault: fault })
  agents.start()
  undo.defer(() => agents.stop())
  const credentials = new Credentials(store, agents, userInfo().username)
  const sessions = new SessionIndex(store)
  const snapshots = new Snapshots(store, connections, keys.mask)
  await sessions.closeLost('the gateway ended')

  const policiesDir = await seedPolicies(options.dataDir)
  await snapshots.usePolicies(accepted(await loadPolicyFolder(policiesDir)))
  step('policies', `${snapshots.ruleCount} rules in ${policiesDir}`)

  const demo = new DemoConnection(store, connections)
  if (options.demo) {
    await demo.add(await startDemo(options, undo))
    step('demo', demoConnection)
  } else {
    await demo.removeLast()
    const names = (await connections.list()).map(({ name }) => name)
    if (!names.includes(demoConnection)) agents.connectionRemoved(demoConnection)
  }

  const journalDir = join(options.dataDir, 'journal')
  await mkdir(journalDir, { recursive: true, mode: 0o700 })
  const count = options.workers ?? Math.min(availableParallelism(), workersMax)
  const pool = new WorkerPool({
    count,
    entry: options.parts.workerEntry,
    snapshot: await snapshots.build(),
    agents,
    onFault: fault,
    config: (worker, port) => ({
      ...workerConfig(options, keys, journalDir, worker, port),
      // An earlier start may have had more workers; one of this start recovers what those left.
      ...(worker === 0 ? { recoversFrom: count } : {}),
    }),
    onOpened: (session) => void sessions.opened(session).catch(fault),
    onClosed: (session) => {
      agents.sessionClosed(session.id)
      void sessions.closed(session).catch(fault)
    },
    onLost: (worker, why) => {
      options.onEvent({ kind: 'worker.lost', worker, why })
      void sessions.closeLost('the worker ended', worker).catch(fault)
    },
  })
  agents.onChange((changes) => pool.publishAgents(changes))
  await pool.start()
  undo.defer(() => pool.stop(0))
  agents.closer = (version) => pool.closing(version)
  step('workers', `${pool.states().length} on port ${pool.port}`)

  const publish = async (): Promise<void> => pool.publish(await snapshots.build())
  const problems = { text: '' }
  const watch = await watchPolicyFolder(policiesDir, (loaded) => {
    void usePolicies(loaded).catch(fault)
  })
  undo.defer(() => watch.close())
  const usePolicies = async (loaded: LoadedPolicies): Promise<void> => {
    problems.text = loaded.kind === 'ok' ? '' : printProblems(loaded.problems)
    if (loaded.kind === 'refused')
      return options.onEvent({ kind: 'policies.refused', text: problems.text })
    await snapshots.usePolicies(loaded.policies)
    await publish()
    options.onEvent({
      kind: 'policies.loaded',
      version: snapshots.policyVersion,
      rules: snapshots.ruleCount,
    })
  }

  const api: { listener?: ApiListener } = {}
  const ports = (): Status['ports'] => ({ api: api.listener?.port ?? 0, postgres: pool.port })
  const status = async (): Promise<Status> => ({
    version: gatewayVersion,
    pid: process.pid,
    dataDir: options.dataDir,
    storage: store.version,
    host: options.host,
    ports: ports(),
    demo: options.demo,
    policies: {
      version: snapshots.policyVersion,
      rules: snapshots.ruleCount,
      problems: problems.text,
    },
    workers: pool.states(),
  })
  const operations: Operations = {
    status,
    listConnections: () => connections.list(),
    getConnection: (name) => connections.get(name),
    async putConnection(connection) {
      const view = await connections.put(connection)
      await publish()
      return view
    },
    async setConnection(name, change) {
      const view = await connections.set(name, change)
      await publish()
      return view
    },
    async removeConnection(name) {
      await connections.remove(name)
      agents.connectionRemoved(name)
      await publish()
    },
    testConnection: async (name) => pool.probe(await connections.config(name)),
    issueCredential: (request) => credentials.issue(request),
    async listSessions() {
      await sessions.settled()
      return sessions.list()
    },
    async readSession(prefix, form) {
      const id = await sessions.whole(prefix)
      return recordedSession(journalDir, keys.recording.expose(), id, form)
    },
  }
  api.listener = await listenApi(
    apiRoutes(operations, keys.ownerToken),
    options.host,
    options.ports.api,
  )
  undo.defer(() => api.listener?.close())
  await announce(options.dataDir, await status(), keys.tls.cert, undo)
  step('api', `http://${options.host}:${api.listener.port}`)
  return {
    ports: ports(),
    status,
    connections: () => connections.list(),
    issueCredential: (request) => operations.issueCredential(request),
    agents,
    async stop(graceMs = graceMsDefault) {
      await pool.stop(graceMs)
      await sessions.settled()
      await undo.disposeAsync()
    },
  }
}

async function openStore(options: ControlPlaneOptions, undo: AsyncDisposableStack): Promise<Store> {
  if (options.databaseUrl === undefined) {
    const embedded = await openPgliteStore(options.dataDir)
    undo.defer(() => embedded.close())
    return embedded
  }
  // The journal and the keys are in the folder whatever the database, so it is held in both cases.
  const lock = await takeDataLock(options.dataDir)
  undo.defer(() => lock.release())
  const onServer = await openPostgresStore(options.databaseUrl)
  undo.defer(() => onServer.close())
  return onServer
}

function accepted(loaded: LoadedPolicies): Extract<LoadedPolicies, { kind: 'ok' }>['policies'] {
  if (loaded.kind === 'ok') return loaded.policies
  const text = printProblems(loaded.problems)
  throw new SallyportError('SP_CONFIG_INVALID', text, { detail: text })
}

async function startDemo(
  options: ControlPlaneOptions,
  undo: AsyncDisposableStack,
): Promise<DemoDatabase> {
  const demo = await options.parts.startDemo({ dataDir: join(options.dataDir, 'demo'), port: 0 })
  undo.defer(() => demo.close())
  return demo
}

function workerConfig(
  options: ControlPlaneOptions,
  keys: DataKeys,
  journalDir: string,
  worker: number,
  port: number | undefined,
): WorkerConfig {
  return {
    worker,
    node: hostname(),
    listen: { host: options.host, port: port ?? options.ports.postgres },
    tls: keys.tls,
    tlsRequired: options.plainText !== true,
    journal: {
      dir: journalDir,
      durability: options.durability,
      minFreeBytes: 256 * mebibyte,
      maxBytes: 8192 * mebibyte,
      recordingKey: keys.recording.expose().toString('base64'),
    },
    limits: {
      messageBytesMax: 64 * mebibyte,
      // PostgreSQL's own limit for a startup packet.
      startupBytesMax: 10_000,
      loginMsMax: 60_000,
      preparedStatementsMax: 10_000,
      portalsMax: 1000,
      sessionsMax: 1000,
    },
    staleAfterMs,
    logLevel: 'warn',
  }
}

/** Other commands find the gateway by this file. */
async function announce(
  dataDir: string,
  status: Status,
  cert: string,
  undo: AsyncDisposableStack,
): Promise<void> {
  const path = join(dataDir, 'gateway.json')
  const url = `http://${status.host}:${status.ports.api}`
  const facts = {
    url,
    pid: status.pid,
    postgres: { host: status.host, port: status.ports.postgres },
    // A local broker pins it: the listener's certificate is signed by nobody.
    certSha256: new X509Certificate(cert).fingerprint256.replaceAll(':', '').toLowerCase(),
  }
  await writeFile(path, `${JSON.stringify(facts)}\n`, { mode: 0o600 })
  undo.defer(() => rm(path, { force: true }))
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
