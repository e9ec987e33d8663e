import type { Socket } from 'node:net'
import {
  buildSessionFacts,
  decideOpening,
  decideSelected,
  ERRORS,
  SallyportError,
  selectRules,
  type Chain,
  type ErrorCode,
  type SessionId,
} from '@sallyport/core'
import type { AgentCredential } from '../../../boundary/agents.ts'
import type { ConnectionConfig } from '../../../boundary/snapshot.ts'
import type { Purse } from '../../agents/purse.ts'
import { Seat } from '../../agents/seat.ts'
import { openingRefused } from '../../pipeline/grant-refusal.ts'
import { SessionAgent } from '../../agents/session-agent.ts'
import type { PostgresWorker } from './login.ts'
import type { StartupSettings } from './startup-settings.ts'

/** Who wants to open a session on what. */
export interface Opening {
  readonly id: SessionId
  readonly credential: AgentCredential
  readonly config: ConnectionConfig
  readonly database: string
  readonly settings: StartupSettings
  readonly socket: Socket
  /** A local broker has logged in. */
  readonly isLink: boolean
}

/** Leave to open a session, and its place in the live index. */
export interface Admitted {
  readonly agent: SessionAgent
  readonly seat: Seat
  readonly purse: Purse
  /** Throws where the agent was taken away since. */
  check(): void
  /** Gives the place up. */
  release(): void
}

/** A secret of its own for one session. */
const levelWithoutEvidence = 2

/** A worker that does not hear of an agent's newest state by then can't serve it. */
const newestMsMax = 5_000

/**
 * Takes a place in the live index, asks the control plane for leave, and only then looks at the agent's standing: a
 * revocation that comes at any moment either finds the place, or was there to be seen. The other order leaks sessions.
 */
export async function admit(opening: Opening, worker: PostgresWorker): Promise<Admitted> {
  const { id, credential, config, socket } = opening
  if (worker.sessions.size >= worker.limits.sessionsMax) {
    throw new SallyportError('SP_LIMIT', 'too many sessions', {
      detail: `This gateway process serves at most ${worker.limits.sessionsMax} sessions.`,
    })
  }
  // Only a broker's link comes with evidence about a process; a secret that was typed says no more than itself.
  const level = opening.isLink ? credential.level : Math.min(credential.level, levelWithoutEvidence)
  const agent = new SessionAgent(worker.agents, credential.agent, level)
  const seat = new Seat(id, credential.agent, config.name)
  const unregister = worker.agents.register(seat, agent.path)
  const { purse, release: releasePurse } = worker.purses.open(credential.agent)
  const release = (): void => {
    unregister()
    releasePurse()
  }
  const check = (): void => {
    const refusal = agent.refusal(worker.now())
    if (refusal !== undefined) {
      throw new SallyportError(refusal.code, refusal.detail, { detail: refusal.detail })
    }
    if (seat.isTaken) throw new SallyportError('SP_AGENT_ENDED', 'taken away while it connected')
  }
  try {
    check()
    judgeOpening(opening, agent.chain, worker)
    const { admission } = await worker.line.ask('admission', {
      kind: 'admit',
      request: {
        session: id,
        credential: credential.id,
        agent: credential.agent,
        connection: config.name,
        source: socket.remoteAddress ?? '',
        application: opening.settings.application,
        database: opening.database,
      },
    })
    if (admission.kind === 'refused') {
      throw new SallyportError(knownCode(admission.code), admission.detail, {
        detail: admission.detail,
      })
    }
    await newest(worker, admission.version)
    check()
    return { agent, seat, purse, check, release }
  } catch (error) {
    release()
    throw error
  }
}

function knownCode(code: string): ErrorCode {
  return Object.hasOwn(ERRORS, code) ? (code as ErrorCode) : 'SP_LOGIN_REFUSED'
}

async function newest(worker: PostgresWorker, version: number): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => {
    reject(new SallyportError('SP_STATE_STALE', `agents of version ${version} did not come`))
  }, newestMsMax)
  try {
    await Promise.race([worker.agents.reached(version), promise])
  } finally {
    clearTimeout(timer)
  }
}

/** Grants of the whole chain, then the rules on opening a session. */
function judgeOpening(opening: Opening, chain: Chain, worker: PostgresWorker): void {
  const { config, database, settings, socket } = opening
  const grant = decideOpening(chain, {
    connection: config.name,
    nowMs: worker.now(),
    source: socket.remoteAddress ?? '',
    level: chain.level,
  })
  if (!grant.allowed) throw openingRefused(grant, { chain, connection: config })
  const { known } = worker.snapshots
  const facts = buildSessionFacts({
    chain,
    connection: config,
    client: { ip: socket.remoteAddress ?? '', app: settings.application },
    now: new Date(worker.now()),
    session: { protocol: 'postgres', login: config.login.user, database },
  })
  const rules = selectRules(known.policies, 'session', config, chain)
  const outcome = decideSelected(rules, facts, false)
  if (outcome.effect === 'allow') return
  const rule = outcome.decidedBy === undefined ? '' : ` (rule ${outcome.decidedBy})`
  throw new SallyportError(
    outcome.effect === 'block' ? 'SP_POLICY_BLOCKED' : 'SP_APPROVAL_UNAVAILABLE',
    `session refused${rule}`,
    { detail: `${outcome.message}${rule}` },
  )
}
