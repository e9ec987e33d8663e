import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import { printChain, SallyportError, type Chain, type SessionId } from '@sallyport/core'
import {
  encodeAuthentication,
  encodeBackendKeyData,
  encodeNegotiateProtocolVersion,
  encodeParameterStatus,
  encodeReadyForQuery,
  type StartupMessage,
} from '@sallyport/wire'
import type { FromWorker, Limits } from '../../../boundary/messages.ts'
import type { AgentCredential } from '../../../boundary/agents.ts'
import type { ConnectionConfig, TargetPlace } from '../../../boundary/snapshot.ts'
import { cancelTarget } from '../../../target/cancel-target.ts'
import type { AgentIndex } from '../../agents/agent-index.ts'
import { HoldDesk } from '../../approvals/hold-desk.ts'
import type { Holds } from '../../approvals/holds.ts'
import type { ControlLine } from '../../agents/control-line.ts'
import type { Purses } from '../../agents/purses.ts'
import type { Journal } from '../../journal/journal.ts'
import type { WorkerMeter } from '../../meters/worker-meter.ts'
import { Decider } from '../../pipeline/decide.ts'
import { pooledId } from '../../random-pool.ts'
import { maskKeyOf, type SnapshotHolder } from '../../snapshot-holder.ts'
import { admit, type Admitted, type Opening } from './admission.ts'
import { logInCaller } from './caller-login.ts'
import type { Cancels } from './cancels.ts'
import type { Catalogs } from './catalogs.ts'
import type { SqlClassifier } from './classify/classify-sql.ts'
import type { LookupMeters } from './lineage/lookup-meter.ts'
import type { MaskedDatabases } from './lineage/masked-database.ts'
import type { GuardWatches } from './guard/guard-watch.ts'
import { guardSession } from './guard/guard-session.ts'
import type { Link } from './link.ts'
import { notice } from './refuse.ts'
import { Rewriter } from './rewrite.ts'
import { PostgresSession } from './session.ts'
import { readStartupSettings, type StartupSettings } from './startup-settings.ts'
import { dialTarget } from './target-login.ts'

/** What one worker lends its PostgreSQL sessions. */
export interface PostgresWorker {
  readonly worker: number
  readonly snapshots: SnapshotHolder
  readonly journal: Journal
  readonly meter: WorkerMeter
  readonly classifier: SqlClassifier
  readonly databases: MaskedDatabases
  readonly lookups: LookupMeters
  readonly catalogs: Catalogs
  readonly guardWatches: GuardWatches
  readonly cancels: Cancels
  readonly holds: Holds
  readonly sessions: Set<PostgresSession>
  readonly agents: AgentIndex
  readonly purses: Purses
  readonly line: ControlLine
  readonly limits: Limits
  readonly log: Logger
  now(): number
  tell(message: FromWorker): void
}

/** A caller that has said who it is, and is not believed yet. */
export interface Arrival {
  readonly socket: Socket
  readonly startup: StartupMessage
  readonly isTls: boolean
  readonly channelBinding: Buffer | undefined
  /** Set where a local broker has logged in for the caller. */
  readonly link: Link | undefined
}

/** The newest protocol that the gateway speaks with callers. */
const newestMinor = 2

/** Logs the caller in, opens the target and the recording, and starts the session. Throws a SallyportError that the caller may read. */
export async function openSession(arrival: Arrival, worker: PostgresWorker): Promise<void> {
  const { socket, startup } = arrival
  const { known } = worker.snapshots
  if (worker.snapshots.isStale) throw new SallyportError('SP_STATE_STALE', 'the snapshot is stale')
  const settings = readStartupSettings(startup.parameters)
  negotiate(socket, startup, settings)
  const { credential, rest } = await login(arrival, worker)
  const config = known.connections.get(credential.connection)
  if (config === undefined) throw new SallyportError('SP_LOGIN_REFUSED', 'the connection is gone')
  const database = settings.database ?? config.database
  const id = pooledId<SessionId>('s')
  const isLink = arrival.link !== undefined
  const opening = { id, credential, config, database, settings, socket, isLink }
  const admitted = await admit(opening, worker)
  try {
    await serve({ ...arrival, ...opening, rest, admitted }, worker)
  } catch (error) {
    admitted.release()
    // The control plane has counted it since it was admitted.
    const none = { commands: 0, blocked: 0, maskedValues: 0 }
    const session = { id, closedAtMs: worker.now(), reason: 'not opened', ...none }
    worker.tell({ kind: 'session.closed', session })
    throw error
  }
}

async function login(
  arrival: Arrival,
  worker: PostgresWorker,
): Promise<{ credential: AgentCredential; rest: Buffer }> {
  if (arrival.link !== undefined) {
    return { credential: arrival.link.credential, rest: Buffer.alloc(0) }
  }
  return await logInCaller({
    socket: arrival.socket,
    user: arrival.startup.parameters.get('user') ?? '',
    agents: worker.agents,
    channelBinding: arrival.channelBinding,
    waitMsMax: worker.limits.loginMsMax,
    nowMs: worker.now(),
  })
}

/** Dials the target, opens the recording, greets the caller and starts the session. */
async function serve(
  opening: Arrival & Opening & { readonly rest: Buffer; readonly admitted: Admitted },
  worker: PostgresWorker,
): Promise<void> {
  const { id, socket, startup, credential, config, database, settings, rest, admitted } = opening
  const { known } = worker.snapshots
  const { agent } = admitted
  const catalog = worker.catalogs.of(config, database)
  const guarded = await guardSession(opening, catalog, worker)
  const target = await dialTarget(
    guarded?.config ?? config,
    new Map([
      ['database', database],
      ...targetSettings(settings, agent.chain),
      ...(guarded?.settings ?? []),
    ]),
  )
  socket.once('error', () => target.socket.destroy())
  // An error that nobody hears would end the process, and every other session with it.
  target.socket.on('error', () => target.socket.destroy())
  if (socket.destroyed) {
    target.socket.destroy()
    throw new SallyportError('SP_PROTOCOL', 'the caller left while its target was dialled')
  }
  if (catalog.fresh === undefined) {
    await catalog.load().catch((error: unknown) => {
      target.socket.destroy()
      throw error
    })
  }
  try {
    admitted.check()
  } catch (error) {
    target.socket.destroy()
    throw error
  }
  const source = socket.remoteAddress ?? ''
  const { chain } = agent
  const place = placeOf(config, target.wire)
  worker.tell({ kind: 'target.opened', session: id, target: { place, ...target.cancelKey } })
  const journal = worker.journal.openSession({
    session: id,
    connection: config.name,
    database,
    credential: credential.id,
    chain: chain.agents.map((agent) => ({ id: agent.id, name: agent.name })),
    level: chain.level,
    application: settings.application,
    source,
    tls: opening.isTls,
  })
  if (opening.link !== undefined)
    journal.note({ kind: 'notice', text: `process ${opening.link.evidence}` })
  if (guarded?.role !== undefined) {
    journal.note({ kind: 'notice', text: `masked by the target's role ${guarded.role.login}` })
  }
  const cancel = worker.cancels.register(startup.minor, {
    place,
    targetKey: target.cancelKey,
    noteCancel: () => {
      if (!journal.closed) journal.note({ kind: 'cancelled', seq: 0 })
      return session.cancelAsked()
    },
  })
  const speaks = speaksNotices(config, settings, chain)
  const context = {
    agent,
    connection: config,
    database,
    client: { ip: source, app: settings.application },
  }
  const session = new PostgresSession({
    id,
    caller: socket,
    target: target.socket,
    targetWire: target.wire,
    callerRest: rest,
    targetRest: target.rest,
    journal,
    meter: worker.meter.sessionOpened(config.name),
    judge: {
      classifier: worker.classifier,
      catalog,
      decider: new Decider(worker.snapshots, context, () => worker.now()),
      trustedFunctions: new Set([...config.trustedFunctions, ...(guarded?.lookups ?? [])]),
      databases: worker.databases,
      lookups: worker.lookups.of(chain.agents[0]?.id ?? ''),
      connection: config.name,
      startup: settings.meaning,
      guard: guarded?.guard,
      desk: new HoldDesk({
        holds: worker.holds,
        journal,
        agent,
        session: id,
        connection: config.name,
        target: [config.target.host, String(config.target.port), config.login.user],
        database,
        application: settings.application,
        source,
        holdMaxMs: config.holdMaxMs,
        holdInTransactionMaxMs: config.holdInTransactionMaxMs,
        now: () => worker.now(),
        linkOf: (approval) => {
          const { approvalUrl } = worker.snapshots.known
          return approvalUrl === undefined ? undefined : `${approvalUrl}${approval}`
        },
        tell: (told) => session.tell(told),
      }),
    },
    rewriter: new Rewriter(
      maskKeyOf(known, chain),
      () => {
        catalog.markStale()
        worker.log.warn({ event: 'lineage.moved', sessionId: id, connection: config.name })
      },
      (typeOid) => catalog.current?.typeInfo(typeOid),
    ),
    recordsAnswers: config.responses === 'masked',
    tellsMasks: speaks,
    isPathKnown: !settings.setsSearchPath,
    limits: worker.limits,
    log: worker.log,
    agent,
    purse: admitted.purse,
    now: () => worker.now(),
    cancelTarget: async () => await cancelTarget(place, target.cancelKey),
    onClosed: (closed) => {
      cancel.release()
      admitted.release()
      worker.sessions.delete(session)
      worker.log.info({ event: 'session.closed', sessionId: id, reason: closed.reason })
      worker.tell({ kind: 'session.closed', session: closed })
    },
  })
  admitted.seat.occupy(session)
  worker.sessions.add(session)
  worker.log.info({ event: 'session.opened', sessionId: id, connection: config.name })
  worker.tell({
    kind: 'session.opened',
    session: {
      id,
      worker: worker.worker,
      connection: config.name,
      database,
      credential: credential.id,
      agent: agent.id,
      path: agent.path,
      level: chain.level,
      chain: chain.agents.map((each) => each.name),
      application: settings.application,
      source,
      openedAtMs: worker.now(),
    },
  })
  socket.write(
    Buffer.concat([
      encodeAuthentication({ kind: 'AuthenticationOk' }),
      ...[...target.parameters].map(([name, value]) => encodeParameterStatus({ name, value })),
      encodeBackendKeyData({ processId: cancel.processId, key: cancel.key }),
      ...target.notices,
      ...(speaks
        ? [notice(`${config.name} as ${printChain(chain)} (L${chain.level}), session ${id}`)]
        : []),
      encodeReadyForQuery('I'),
    ]),
  )
  session.start()
}

function placeOf({ name, target, tls }: ConnectionConfig, wire: Socket): TargetPlace {
  const { remoteAddress: address } = wire
  return { name, target, tls, ...(address === undefined ? {} : { address }) }
}

/** Protocol section 54.2.1: a newer minor version, or options that we don't know, are answered with what we speak. */
function negotiate(socket: Socket, startup: StartupMessage, settings: StartupSettings): void {
  if (startup.minor <= newestMinor && settings.unknownOptions.length === 0) return
  socket.write(
    encodeNegotiateProtocolVersion({
      version: (3 << 16) | Math.min(startup.minor, newestMinor),
      unknownOptions: settings.unknownOptions,
    }),
  )
}

/** Programs read their own `application_name` back, so it passes as it is; without one the target sees the agent. */
function targetSettings(settings: StartupSettings, chain: Chain): Map<string, string> {
  const parameters = new Map(settings.parameters)
  if (!parameters.has('application_name')) {
    parameters.set('application_name', `sallyport ${chain.agents.at(-1)?.name ?? ''}`)
  }
  return parameters
}

function speaksNotices(config: ConnectionConfig, settings: StartupSettings, chain: Chain): boolean {
  if (config.notices !== 'auto') return config.notices === 'always'
  return settings.application === 'psql' || chain.agents.length > 1
}
