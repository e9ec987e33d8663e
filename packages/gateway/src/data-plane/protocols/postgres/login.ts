import type { Socket } from 'node:net'
import type { Logger } from 'pino'
import {
  buildSessionFacts,
  decideOpening,
  decideSelected,
  makeId,
  printChain,
  SallyportError,
  selectRules,
  type SessionId,
} from '@sallyport/core'
import {
  encodeAuthentication,
  encodeBackendKeyData,
  encodeNegotiateProtocolVersion,
  encodeParameterStatus,
  encodeReadyForQuery,
  type StartupMessage,
} from '@sallyport/wire'
import type { FromWorker, Limits } from '../../../boundary/messages.ts'
import type { ConnectionConfig, CredentialRecord } from '../../../boundary/snapshot.ts'
import type { Journal } from '../../journal/journal.ts'
import { Decider } from '../../pipeline/decide.ts'
import { openingRefused } from '../../pipeline/grant-refusal.ts'
import { pooledRandom } from '../../random-pool.ts'
import { maskKeyOf, type SnapshotHolder } from '../../snapshot-holder.ts'
import { logInCaller } from './caller-login.ts'
import { cancelTarget, type Cancels } from './cancels.ts'
import type { Catalogs } from './catalogs.ts'
import type { SqlClassifier } from './classify/classify-sql.ts'
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
  readonly classifier: SqlClassifier
  readonly catalogs: Catalogs
  readonly cancels: Cancels
  readonly sessions: Set<PostgresSession>
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
  const { credential, rest } = await logInCaller({
    socket,
    user: startup.parameters.get('user') ?? '',
    known,
    channelBinding: arrival.channelBinding,
    waitMsMax: worker.limits.loginMsMax,
    nowMs: worker.now(),
  })
  const config = known.connections.get(credential.connection)
  if (config === undefined) throw new SallyportError('SP_LOGIN_REFUSED', 'the connection is gone')
  const database = settings.database ?? config.database
  admit(credential, config, database, settings, socket, worker)

  const target = await dialTarget(
    config,
    new Map([['database', database], ...targetSettings(settings, credential)]),
  )
  socket.once('error', () => target.socket.destroy())
  // An error that nobody hears would end the process, and every other session with it.
  target.socket.on('error', () => target.socket.destroy())
  if (socket.destroyed) {
    target.socket.destroy()
    return
  }
  const catalog = worker.catalogs.of(config, database)
  if (catalog.fresh === undefined) {
    await catalog.load().catch((error: unknown) => {
      target.socket.destroy()
      throw error
    })
  }
  const id = makeId<SessionId>('s', pooledRandom)
  const source = socket.remoteAddress ?? ''
  const { chain } = credential
  const journal = worker.journal.openSession({
    session: id,
    connection: config.name,
    database,
    credential: credential.id,
    chain: chain.agents.map((agent) => ({ id: agent.id, name: agent.name })),
    level: chain.level,
    application: settings.application,
    source,
    tls: arrival.isTls,
  })
  const cancel = worker.cancels.register(startup.minor, {
    config,
    targetKey: target.cancelKey,
    noteCancel: () => {
      if (!journal.closed) journal.note({ kind: 'cancelled', seq: 0 })
    },
  })
  const speaks = speaksNotices(config, settings, credential)
  const context = {
    chain,
    connection: config,
    database,
    client: { ip: source, app: settings.application },
  }
  const session = new PostgresSession({
    id,
    caller: socket,
    target: target.socket,
    callerRest: rest,
    targetRest: target.rest,
    journal,
    judge: {
      classifier: worker.classifier,
      catalog,
      decider: new Decider(worker.snapshots, context, () => worker.now()),
      trustedFunctions: new Set(config.trustedFunctions),
    },
    rewriter: new Rewriter(() => catalog.current, maskKeyOf(known, credential)),
    recordsAnswers: config.responses === 'masked',
    tellsMasks: speaks,
    isPathKnown: !settings.setsSearchPath,
    limits: worker.limits,
    log: worker.log,
    cancelTarget: async () => await cancelTarget(config, target.cancelKey),
    onClosed: (closed) => {
      cancel.release()
      worker.sessions.delete(session)
      worker.log.info({ event: 'session.closed', sessionId: id, reason: closed.reason })
      worker.tell({ kind: 'session.closed', session: closed })
    },
  })
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
      chain: chain.agents.map((agent) => agent.name),
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

/** Grants of the whole chain, then the rules on opening a session. */
function admit(
  credential: CredentialRecord,
  connection: ConnectionConfig,
  database: string,
  settings: StartupSettings,
  socket: Socket,
  worker: PostgresWorker,
): void {
  const { chain } = credential
  if (worker.sessions.size >= worker.limits.sessionsMax) {
    throw new SallyportError('SP_LIMIT', 'too many sessions', {
      detail: `This gateway process serves at most ${worker.limits.sessionsMax} sessions.`,
    })
  }
  const source = socket.remoteAddress ?? ''
  const nowMs = worker.now()
  const grant = decideOpening(chain, {
    connection: connection.name,
    nowMs,
    source,
    level: chain.level,
  })
  if (!grant.allowed) throw openingRefused(grant, { chain, connection })
  const { known } = worker.snapshots
  const facts = buildSessionFacts({
    chain,
    connection,
    client: { ip: source, app: settings.application },
    now: new Date(nowMs),
    session: { protocol: 'postgres', login: connection.login.user, database },
  })
  const outcome = decideSelected(
    selectRules(known.policies, 'session', connection, chain),
    facts,
    false,
  )
  if (outcome.effect === 'allow') return
  const rule = outcome.decidedBy === undefined ? '' : ` (rule ${outcome.decidedBy})`
  throw new SallyportError(
    outcome.effect === 'block' ? 'SP_POLICY_BLOCKED' : 'SP_APPROVAL_UNAVAILABLE',
    `session refused${rule}`,
    { detail: `${outcome.message}${rule}` },
  )
}

/** Programs read their own `application_name` back, so it passes as it is; without one the target sees the agent. */
function targetSettings(
  settings: StartupSettings,
  credential: CredentialRecord,
): Map<string, string> {
  const parameters = new Map(settings.parameters)
  if (!parameters.has('application_name')) {
    parameters.set('application_name', `sallyport ${credential.chain.agents.at(-1)?.name ?? ''}`)
  }
  return parameters
}

function speaksNotices(
  config: ConnectionConfig,
  settings: StartupSettings,
  credential: CredentialRecord,
): boolean {
  if (config.notices !== 'auto') return config.notices === 'always'
  return settings.application === 'psql' || credential.chain.agents.length > 1
}
